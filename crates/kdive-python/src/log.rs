//! Messages to Python's `logging`, under the name `kdive`.

use pyo3::prelude::*;

fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("logging")?.call_method1("getLogger", ("kdive",))
}

/// Says what explains why something did not come about.
pub(crate) fn debug(py: Python<'_>, message: &str) -> PyResult<()> {
    logger(py)?.call_method1("debug", ("%s", message))?;
    Ok(())
}

/// Says what is good to know.
pub(crate) fn info(py: Python<'_>, message: &str) -> PyResult<()> {
    logger(py)?.call_method1("info", ("%s", message))?;
    Ok(())
}

/// Says what should be known, but does not stop anything.
pub(crate) fn warning(py: Python<'_>, message: &str) -> PyResult<()> {
    logger(py)?.call_method1("warning", ("%s", message))?;
    Ok(())
}
