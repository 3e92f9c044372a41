//! Programming languages.

use kdive_debuginfo::description::Language as Inner;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A programming language, as far as names and operators of its types differ.
#[pyclass(frozen, eq, hash, module = "kdive")]
#[derive(PartialEq, Hash)]
pub(crate) struct Language {
    pub(crate) inner: Inner,
}

/// The one object for each language.
pub(crate) fn to_python(py: Python<'_>, language: Inner) -> PyResult<Py<Language>> {
    static C: PyOnceLock<Py<Language>> = PyOnceLock::new();
    static CPP: PyOnceLock<Py<Language>> = PyOnceLock::new();
    let cell = match language {
        Inner::C => &C,
        Inner::Cpp => &CPP,
    };
    let object = cell.get_or_try_init(py, || Py::new(py, Language { inner: language }))?;
    Ok(object.clone_ref(py))
}

/// Sets the attributes of the class that are the languages.
pub(crate) fn add_constants(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<Language>();
    class.setattr("C", to_python(py, Inner::C)?)?;
    class.setattr("CPP", to_python(py, Inner::Cpp)?)
}

#[pymethods]
impl Language {
    /// Its name.
    #[getter]
    fn name(&self) -> &'static str {
        match self.inner {
            Inner::C => "C",
            Inner::Cpp => "C++",
        }
    }

    fn __repr__(&self) -> &'static str {
        match self.inner {
            Inner::C => "Language.C",
            Inner::Cpp => "Language.CPP",
        }
    }
}
