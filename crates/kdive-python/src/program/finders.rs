//! Finders written in Python.

use std::sync::Arc;

use kdive_engine as engine;
use kdive_engine::program::{
    FinderRegistry, ObjectFinder, ObjectKinds, Symbol, SymbolFinder, SymbolQuery, TypeFinder,
};
use kdive_engine::types::TypeKinds;
use kdive_engine::{Object as EngineObject, Type as EngineType, TypeKind};
use pyo3::exceptions::{PyOverflowError, PyReferenceError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PySet, PyString, PyWeakrefMethods, PyWeakrefReference};

use super::Program;
use crate::enums::{Enumeration, Flags};
use crate::errors::OrRaise;
use crate::kinds::TypeKindSet;
use crate::object::Object;
use crate::symbol::symbols_of;
use crate::types::Type;

/// A Python function that finds something for a program.
pub(super) struct Finder {
    function: Py<PyAny>,
    /// Weak, since the program keeps its finders alive.
    prog: Py<PyWeakrefReference>,
}

impl Finder {
    pub(super) fn new(
        prog: &Bound<'_, Program>,
        function: &Bound<'_, PyAny>,
    ) -> PyResult<Arc<Self>> {
        if !function.is_callable() {
            return Err(PyTypeError::new_err("fn must be callable"));
        }
        let prog = PyWeakrefReference::new(prog)?.unbind();
        Ok(Arc::new(Self {
            function: function.clone().unbind(),
            prog,
        }))
    }

    fn prog<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.prog
            .bind(py)
            .upgrade()
            .ok_or_else(|| PyReferenceError::new_err("the program of the finder is gone"))
    }

    pub(super) fn ask<T>(
        &self,
        ask: impl for<'py> FnOnce(&Bound<'py, PyAny>, Bound<'py, PyAny>) -> PyResult<T>,
    ) -> engine::Result<T> {
        Python::attach(|py| ask(self.function.bind(py), self.prog(py)?))
            .map_err(|error| engine::Error::Callback(Box::new(error)))
    }
}

fn found_type(prog: &Bound<'_, PyAny>, found: &Bound<'_, PyAny>) -> PyResult<Option<EngineType>> {
    if found.is_none() {
        return Ok(None);
    }
    match found.cast::<Type>() {
        Ok(ty) if ty.get().prog.is(prog) => Ok(Some(ty.get().inner.clone())),
        Ok(_) => Err(PyValueError::new_err(
            "type find callback returned type from wrong program",
        )),
        Err(_) => Err(PyTypeError::new_err(
            "type find callback must return Type or None",
        )),
    }
}

impl TypeFinder for Finder {
    fn find(
        &self,
        _program: &Arc<engine::Program>,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> engine::Result<Option<EngineType>> {
        self.ask(|function, prog| {
            let arguments = (&prog, TypeKindSet { kinds }, name, file_name);
            found_type(&prog, &function.call1(arguments)?)
        })
    }
}

/// A function of the older interface, which is asked for one kind at a time.
struct SingleKindFinder(Arc<Finder>);

impl TypeFinder for SingleKindFinder {
    fn find(
        &self,
        _program: &Arc<engine::Program>,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> engine::Result<Option<EngineType>> {
        self.0.ask(|function, prog| {
            for (kind, _) in TypeKind::MEMBERS {
                if kinds.contains(kind.as_set()) {
                    let kind = kind.to_python(prog.py())?;
                    let found = found_type(&prog, &function.call1((kind, name, file_name))?)?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
            }
            Ok(None)
        })
    }
}

impl ObjectFinder for Finder {
    fn find(
        &self,
        _program: &Arc<engine::Program>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> engine::Result<Option<EngineObject>> {
        self.ask(|function, prog| {
            let flags = kinds.to_python(prog.py())?;
            let found = function.call1((&prog, name, flags, file_name))?;
            if found.is_none() {
                return Ok(None);
            }
            match found.cast::<Object>() {
                Ok(object) if object.get().prog.is(&prog) => Ok(Some(object.get().inner.clone())),
                Ok(_) => Err(PyValueError::new_err("objects are from different programs")),
                Err(_) => Err(PyTypeError::new_err(
                    "object find callback must return Object or None",
                )),
            }
        })
    }
}

impl SymbolFinder for Finder {
    fn find(
        &self,
        _program: &Arc<engine::Program>,
        query: SymbolQuery<'_>,
    ) -> engine::Result<Vec<Symbol>> {
        self.ask(|function, prog| {
            let found = function.call1((prog, query.name, query.address, query.one))?;
            if !found.hasattr(intern!(found.py(), "__iter__"))? {
                return Err(PyTypeError::new_err("symbol finder must return a sequence"));
            }
            let found = symbols_of(&found, "symbol finder results must be of type Symbol")?;
            if query.one && found.len() > 1 {
                return Err(PyValueError::new_err(
                    "symbol finder returned multiple elements, but one was requested",
                ));
            }
            Ok(found)
        })
    }
}

/// Where in the order a finder is enabled: an index, or -1 for the end.
pub(super) struct Place(pub(super) i64);

impl<'py> FromPyObject<'_, 'py> for Place {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let index: i64 = object.extract()?;
        if index < -1 {
            let message = "enable_index must be an index or -1, the end";
            return Err(PyOverflowError::new_err(message));
        }
        Ok(Self(index))
    }
}

pub(super) fn registered<'py, F: ?Sized>(
    py: Python<'py>,
    registry: &FinderRegistry<F>,
) -> PyResult<Bound<'py, PySet>> {
    PySet::new(py, registry.registered())
}

pub(super) fn set_enabled<F: ?Sized>(
    registry: &FinderRegistry<F>,
    names: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let iterator = names
        .try_iter()
        .map_err(|_| PyTypeError::new_err("names must be sequence"))?;
    let names = iterator
        .map(|name| name?.extract())
        .collect::<PyResult<Vec<String>>>()?;
    registry.set_enabled(&names).or_raise()
}

/// A name for a finder that was added without one: that of the function, made unique.
fn automatic_name<F: ?Sized>(
    registry: &FinderRegistry<F>,
    function: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let name = match function.getattr("__name__") {
        Ok(name) => name.cast_into::<PyString>()?.to_str()?.to_owned(),
        Err(_) => function.get_type().name()?.to_str()?.to_owned(),
    };
    let known = registry.registered();
    // One more than the known names: at least one of these is new.
    let mut candidates = (0..=known.len()).map(|number| format!("{name}_{number}"));
    Ok(candidates
        .find(|candidate| !known.contains(candidate))
        .unwrap_or(name))
}

#[pymethods]
impl Program {
    /// Add a function that finds types.
    #[pyo3(signature = (name, r#fn, *, enable_index=None))]
    fn register_type_finder(
        slf: &Bound<'_, Self>,
        name: &str,
        r#fn: &Bound<'_, PyAny>,
        enable_index: Option<Place>,
    ) -> PyResult<()> {
        let inner = &slf.get().inner;
        inner
            .type_finders()
            .register(
                name,
                Finder::new(slf, r#fn)?,
                enable_index.map(|place| place.0),
            )
            .or_raise()?;
        inner.forget();
        Ok(())
    }

    /// Return the names of all type finders.
    fn registered_type_finders<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        registered(py, self.inner.type_finders())
    }

    /// Enable exactly these type finders; they are asked in this order.
    fn set_enabled_type_finders(&self, names: &Bound<'_, PyAny>) -> PyResult<()> {
        set_enabled(self.inner.type_finders(), names)?;
        self.inner.forget();
        Ok(())
    }

    /// Return the names of the enabled type finders in the order in which they are asked.
    fn enabled_type_finders(&self) -> Vec<String> {
        self.inner.type_finders().enabled()
    }

    /// Add a function that finds objects; like `register_type_finder`.
    #[pyo3(signature = (name, r#fn, *, enable_index=None))]
    fn register_object_finder(
        slf: &Bound<'_, Self>,
        name: &str,
        r#fn: &Bound<'_, PyAny>,
        enable_index: Option<Place>,
    ) -> PyResult<()> {
        let inner = &slf.get().inner;
        inner
            .object_finders()
            .register(
                name,
                Finder::new(slf, r#fn)?,
                enable_index.map(|place| place.0),
            )
            .or_raise()?;
        inner.forget();
        Ok(())
    }

    /// Return the names of all object finders.
    fn registered_object_finders<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        registered(py, self.inner.object_finders())
    }

    /// Enable exactly these object finders; they are asked in this order.
    fn set_enabled_object_finders(&self, names: &Bound<'_, PyAny>) -> PyResult<()> {
        set_enabled(self.inner.object_finders(), names)?;
        self.inner.forget();
        Ok(())
    }

    /// Return the names of the enabled object finders in their order.
    fn enabled_object_finders(&self) -> Vec<String> {
        self.inner.object_finders().enabled()
    }

    /// Add a function that finds symbols; like `register_type_finder`.
    #[pyo3(signature = (name, r#fn, *, enable_index=None))]
    fn register_symbol_finder(
        slf: &Bound<'_, Self>,
        name: &str,
        r#fn: &Bound<'_, PyAny>,
        enable_index: Option<Place>,
    ) -> PyResult<()> {
        let finders = slf.get().inner.symbol_finders();
        finders
            .register(
                name,
                Finder::new(slf, r#fn)?,
                enable_index.map(|place| place.0),
            )
            .or_raise()
    }

    /// Return the names of all symbol finders.
    fn registered_symbol_finders<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        registered(py, self.inner.symbol_finders())
    }

    /// Enable exactly these symbol finders; they are asked in this order.
    fn set_enabled_symbol_finders(&self, names: &Bound<'_, PyAny>) -> PyResult<()> {
        set_enabled(self.inner.symbol_finders(), names)
    }

    /// Return the names of the enabled symbol finders in their order.
    fn enabled_symbol_finders(&self) -> Vec<String> {
        self.inner.symbol_finders().enabled()
    }

    /// Add and enable a type finder that is asked first, for one kind at a time.
    fn add_type_finder(slf: &Bound<'_, Self>, r#fn: &Bound<'_, PyAny>) -> PyResult<()> {
        let inner = &slf.get().inner;
        let finder = Arc::new(SingleKindFinder(Finder::new(slf, r#fn)?));
        let name = automatic_name(inner.type_finders(), r#fn)?;
        inner
            .type_finders()
            .register(&name, finder, Some(0))
            .or_raise()?;
        inner.forget();
        Ok(())
    }

    /// Add and enable an object finder that is asked first.
    fn add_object_finder(slf: &Bound<'_, Self>, r#fn: &Bound<'_, PyAny>) -> PyResult<()> {
        let inner = &slf.get().inner;
        let finder = Finder::new(slf, r#fn)?;
        let name = automatic_name(inner.object_finders(), r#fn)?;
        inner
            .object_finders()
            .register(&name, finder, Some(0))
            .or_raise()?;
        inner.forget();
        Ok(())
    }
}
