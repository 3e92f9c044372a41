//! The one table from errors of the crates below to exceptions of Python.

use kdive_engine as engine;
use pyo3::exceptions::{
    PyKeyError, PyLookupError, PyNotImplementedError, PyOSError, PyOverflowError, PyRecursionError,
    PySyntaxError, PyTypeError, PyValueError, PyZeroDivisionError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

/// The exceptions that `kdive._errors` defines.
pub(crate) struct Exceptions {
    pub(crate) bad_data: Py<PyType>,
    pub(crate) fault: Py<PyType>,
    pub(crate) missing_debug_info: Py<PyType>,
    pub(crate) no_default_program: Py<PyType>,
    pub(crate) object_absent: Py<PyType>,
    pub(crate) object_not_found: Py<PyType>,
    pub(crate) out_of_bounds: Py<PyType>,
}

/// The exceptions that `kdive._errors` defines, imported once.
pub(crate) fn exceptions(py: Python<'_>) -> PyResult<&'static Exceptions> {
    static EXCEPTIONS: PyOnceLock<Exceptions> = PyOnceLock::new();
    EXCEPTIONS.get_or_try_init(py, || {
        let module = py.import("kdive._errors")?;
        let class = |name: &str| -> PyResult<Py<PyType>> {
            Ok(module.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        Ok(Exceptions {
            bad_data: class("BadDataError")?,
            fault: class("FaultError")?,
            missing_debug_info: class("MissingDebugInfoError")?,
            no_default_program: class("NoDefaultProgramError")?,
            object_absent: class("ObjectAbsentError")?,
            object_not_found: class("ObjectNotFoundError")?,
            out_of_bounds: class("OutOfBoundsError")?,
        })
    })
}

/// Makes an exception of an error.
pub(crate) trait IntoPython {
    fn into_python(self) -> PyErr;
}

/// Raises the error of a result.
pub(crate) trait OrRaise<T> {
    fn or_raise(self) -> PyResult<T>;
}

impl<T, E: IntoPython> OrRaise<T> for Result<T, E> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(IntoPython::into_python)
    }
}

impl IntoPython for engine::Error {
    fn into_python(self) -> PyErr {
        match self {
            Self::Target(error) => error.into_python(),
            Self::DebugInfo(error) => error.into_python(),
            Self::Callback(error) => from_callback(error),
            Self::NotFound { name, message } => object_not_found(&name, message),
            Self::Lookup(message) | Self::NoMember(message) => PyLookupError::new_err(message),
            Self::Type(message) => PyTypeError::new_err(message),
            Self::Value(message) => PyValueError::new_err(message),
            Self::Syntax(message) => PySyntaxError::new_err(message),
            Self::Overflow(message) => PyOverflowError::new_err(message),
            Self::DivisionByZero => PyZeroDivisionError::new_err(self.to_string()),
            Self::Unsupported(message) => PyNotImplementedError::new_err(message),
            Self::Recursion(message) => PyRecursionError::new_err(message),
            Self::OutOfBounds(message) => ours(|exceptions| &exceptions.out_of_bounds, message),
            Self::Absent(message) => ours(|exceptions| &exceptions.object_absent, message),
        }
    }
}

impl IntoPython for kdive_debuginfo::Error {
    fn into_python(self) -> PyErr {
        match self {
            Self::Target(error) => error.into_python(),
            Self::Io { path, source } => from_io(&path, &source),
            Self::Bad { .. } => ours(|exceptions| &exceptions.bad_data, self.to_string()),
        }
    }
}

impl IntoPython for kdive_target::Error {
    fn into_python(self) -> PyErr {
        match self {
            Self::Fault { address, reason } => fault(reason, address),
            Self::Io { path, source } => from_io(&path, &source),
            Self::Reader(error) => from_callback(error),
            Self::Format { .. } => PyValueError::new_err(self.to_string()),
            Self::Truncated(_) => ours(|exceptions| &exceptions.bad_data, self.to_string()),
        }
    }
}

/// A `FaultError`.
pub(crate) fn fault(message: String, address: u64) -> PyErr {
    Python::attach(|py| match exceptions(py) {
        Ok(exceptions) => PyErr::from_type(exceptions.fault.bind(py).clone(), (message, address)),
        Err(error) => error,
    })
}

/// A `NoDefaultProgramError`.
pub(crate) fn no_default_program() -> PyErr {
    ours(
        |exceptions| &exceptions.no_default_program,
        "no default program".to_owned(),
    )
}

/// A `BadDataError`.
pub(crate) fn bad_data(message: String) -> PyErr {
    ours(|exceptions| &exceptions.bad_data, message)
}

/// A `MissingDebugInfoError`.
pub(crate) fn missing_debug_info(message: String) -> PyErr {
    ours(|exceptions| &exceptions.missing_debug_info, message)
}

/// Whether an exception is a `MissingDebugInfoError`.
pub(crate) fn is_missing_debug_info(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    Ok(error.is_instance(py, exceptions(py)?.missing_debug_info.bind(py)))
}

fn object_not_found(name: &str, message: String) -> PyErr {
    Python::attach(|py| {
        let make = || {
            let class = exceptions(py)?.object_not_found.bind(py);
            let keywords = PyDict::new(py);
            keywords.set_item("name", name)?;
            class.call((message,), Some(&keywords))
        };
        make().map_or_else(|error| error, PyErr::from_value)
    })
}

fn ours(class: impl FnOnce(&Exceptions) -> &Py<PyType>, message: String) -> PyErr {
    Python::attach(|py| match exceptions(py) {
        Ok(exceptions) => PyErr::from_type(class(exceptions).bind(py).clone(), message),
        Err(error) => error,
    })
}

/// What a Python function raised comes out as it went in.
fn from_callback(error: Box<dyn std::error::Error + Send + Sync>) -> PyErr {
    match error.downcast::<PyErr>() {
        Ok(error) => *error,
        Err(error) => pyo3::exceptions::PyException::new_err(error.to_string()),
    }
}

/// Linux's numbers of "permission denied" and "is a directory".
const EACCES: i32 = 13;
const EISDIR: i32 = 21;

/// Python picks the subclass (such as `FileNotFoundError`) by the error number.
pub(crate) fn from_io(path: &std::path::Path, error: &std::io::Error) -> PyErr {
    let of_kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Some(EACCES),
        std::io::ErrorKind::IsADirectory => Some(EISDIR),
        _ => None,
    };
    match error.raw_os_error().or(of_kind) {
        Some(number) => {
            PyOSError::new_err((number, description(error), path.as_os_str().to_owned()))
        }
        None => PyOSError::new_err(format!("{}: {error}", path.display())),
    }
}

/// The message of an error of the operating system, without the number that Rust adds.
fn description(error: &std::io::Error) -> String {
    let text = if error.kind() == std::io::ErrorKind::IsADirectory {
        std::io::Error::from_raw_os_error(EISDIR).to_string()
    } else {
        error.to_string()
    };
    text.split_once(" (os error ")
        .map_or(text.as_str(), |(message, _)| message)
        .to_owned()
}

/// A key that a mapping does not have.
pub(crate) fn key_error(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err(key.clone().unbind())
}
