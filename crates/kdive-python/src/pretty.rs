//! The protocol of `IPython` for printing.

use pyo3::prelude::*;

/// Prints what `str` says; an object that holds itself is printed as an ellipsis.
pub(crate) fn print(
    object: &Bound<'_, PyAny>,
    printer: &Bound<'_, PyAny>,
    cycle: &Bound<'_, PyAny>,
    name: &str,
) -> PyResult<()> {
    if cycle.is_truthy()? {
        printer.call_method1("text", (format!("{name}(...)"),))?;
    } else {
        printer.call_method1("text", (object.str()?,))?;
    }
    Ok(())
}
