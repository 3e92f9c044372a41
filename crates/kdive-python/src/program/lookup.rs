//! Types, objects and symbols by name and by address.

use kdive_engine as engine;
use kdive_engine::program::{ObjectKinds, SymbolQuery};
use pyo3::exceptions::{PyLookupError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::Program;
use crate::arguments::FilePath;
use crate::enums::Flags;
use crate::errors::{IntoPython, OrRaise, key_error};
use crate::object::storage;
use crate::symbol::Symbol;
use crate::types::Type;

impl Program {
    /// The type of a name; one that is not found is a plain `LookupError`.
    pub(crate) fn find_type(
        prog: &Bound<'_, Self>,
        name: &str,
        file_name: Option<&str>,
    ) -> PyResult<engine::Type> {
        let inner = &prog.get().inner;
        if file_name.is_none()
            && let Some(ty) = inner.known_type(name)
        {
            return Ok(ty);
        }
        prog.py()
            .detach(|| inner.find_type(name, file_name))
            .map_err(|error| match error {
                engine::Error::NotFound { message, .. } => PyLookupError::new_err(message),
                error => error.into_python(),
            })
    }

    fn find_object(
        slf: &Bound<'_, Self>,
        name: &str,
        kinds: ObjectKinds,
        file: Option<&FilePath>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let file_name = file.map(FilePath::text);
        let file_name = file_name.as_deref();
        let inner = &slf.get().inner;
        let known = if kinds == ObjectKinds::all() && file_name.is_none() {
            inner.known_object(name)
        } else {
            None
        };
        let object = match known {
            Some(object) => object,
            None => py
                .detach(|| inner.find_object(name, kinds, file_name))
                .or_raise()?,
        };
        storage::create(py, object, slf.as_unbound())
    }
}

/// What a symbol is looked for by.
#[derive(Clone)]
enum SymbolKey<'py> {
    Name(Bound<'py, PyString>),
    Address(u64),
}

impl<'py> FromPyObject<'_, 'py> for SymbolKey<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.cast::<PyString>() {
            Ok(name) => Ok(Self::Name(name.to_owned())),
            Err(_) => object.extract().map(Self::Address),
        }
    }
}

#[pymethods]
impl Program {
    /// Having items by name does not make a program a sequence.
    #[classattr]
    #[pyo3(name = "__iter__")]
    const NOT_ITERABLE: Option<u8> = None;

    fn __getitem__(slf: &Bound<'_, Self>, name: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let Ok(text) = name.cast::<PyString>() else {
            return Err(key_error(name));
        };
        Self::find_object(slf, text.to_str()?, ObjectKinds::all(), None)
    }

    fn __contains__(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(name) = name.cast::<PyString>() else {
            return Ok(false);
        };
        let name = name.to_str()?;
        let found = py
            .detach(|| {
                self.inner
                    .find_object_if_any(name, ObjectKinds::all(), None)
            })
            .or_raise()?;
        Ok(found.is_some())
    }

    /// Return the object called `name`.
    #[pyo3(signature = (name, flags=None, filename=None))]
    #[pyo3(text_signature = "($self, name, flags=FindObjectFlags.ANY, filename=None)")]
    fn object(
        slf: &Bound<'_, Self>,
        name: &str,
        flags: Option<&Bound<'_, PyAny>>,
        filename: Option<FilePath>,
    ) -> PyResult<Py<PyAny>> {
        let kinds = flags.map_or(Ok(ObjectKinds::all()), ObjectKinds::from_python)?;
        if kinds.is_empty() {
            return Err(PyValueError::new_err("invalid find object flags"));
        }
        Self::find_object(slf, name, kinds, filename.as_ref())
    }

    /// Return the enumerator or macro called `name`; like `object`.
    #[pyo3(signature = (name, filename=None))]
    fn constant(
        slf: &Bound<'_, Self>,
        name: &str,
        filename: Option<FilePath>,
    ) -> PyResult<Py<PyAny>> {
        Self::find_object(slf, name, ObjectKinds::CONSTANT, filename.as_ref())
    }

    /// Return the function called `name`; like `object`.
    #[pyo3(signature = (name, filename=None))]
    fn function(
        slf: &Bound<'_, Self>,
        name: &str,
        filename: Option<FilePath>,
    ) -> PyResult<Py<PyAny>> {
        Self::find_object(slf, name, ObjectKinds::FUNCTION, filename.as_ref())
    }

    /// Return the variable called `name`; like `object`.
    #[pyo3(signature = (name, filename=None))]
    fn variable(
        slf: &Bound<'_, Self>,
        name: &str,
        filename: Option<FilePath>,
    ) -> PyResult<Py<PyAny>> {
        Self::find_object(slf, name, ObjectKinds::VARIABLE, filename.as_ref())
    }

    /// Return the type that C source calls `name`.
    #[pyo3(signature = (name, filename=None))]
    fn r#type(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        filename: Option<FilePath>,
    ) -> PyResult<Py<Type>> {
        let py = slf.py();
        if let Ok(ty) = name.cast::<Type>() {
            if !ty.get().prog.is(slf) {
                return Err(PyValueError::new_err("type is from different program"));
            }
            return Ok(ty.clone().unbind());
        }
        let Ok(name) = name.cast::<PyString>() else {
            return Err(PyTypeError::new_err(
                "type() argument 1 must be str or Type",
            ));
        };
        let file = filename.as_ref().map(FilePath::text);
        let ty = Self::find_type(slf, name.to_str()?, file.as_deref())?;
        Py::new(py, Type::new(ty, slf.as_unbound(), py))
    }

    /// Return the symbol that contains an address, or has a name.
    #[pyo3(signature = (address_or_name, /))]
    fn symbol(&self, py: Python<'_>, address_or_name: SymbolKey<'_>) -> PyResult<Symbol> {
        let (found, missing) = match &address_or_name {
            SymbolKey::Name(name) => {
                let name = name.to_str()?;
                let found = py.detach(|| self.inner.symbol_named(name));
                (found, format!("with name '{name}'"))
            }
            SymbolKey::Address(address) => {
                let found = py.detach(|| self.inner.symbol_at(*address));
                (found, format!("containing {address:#x}"))
            }
        };
        match found.or_raise()? {
            Some(inner) => Ok(Symbol { inner }),
            None => Err(PyLookupError::new_err(format!(
                "could not find symbol {missing}"
            ))),
        }
    }

    /// Return all symbols, or all those that contain an address or have a name.
    #[pyo3(signature = (address_or_name=None, /))]
    fn symbols(
        &self,
        py: Python<'_>,
        address_or_name: Option<SymbolKey<'_>>,
    ) -> PyResult<Vec<Symbol>> {
        let (name, address) = match &address_or_name {
            None => (None, None),
            Some(SymbolKey::Name(name)) => (Some(name.to_str()?), None),
            Some(SymbolKey::Address(address)) => (None, Some(*address)),
        };
        let query = SymbolQuery {
            name,
            address,
            one: false,
        };
        let found = py.detach(|| self.inner.find_symbols(query)).or_raise()?;
        Ok(found.into_iter().map(|inner| Symbol { inner }).collect())
    }
}
