//! The parts of types: members, enumerators, parameters.

use std::sync::Arc;

use kdive_debuginfo::description::AbsenceReason;
use kdive_engine as engine;
use kdive_engine::types::{
    Argument, Content, Enumerator, Member, Parameter, TemplateParameter, Thunk,
};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::errors::OrRaise;
use crate::object::Object;
use crate::program::Program;
use crate::types::Type;

/// A Python function that returns the type or object of a member or parameter.
struct Callable {
    function: Py<PyAny>,
    /// What takes such functions, for the message of an error.
    owner: &'static str,
    /// The program of what the function returned.
    prog: PyOnceLock<Py<Program>>,
}

impl Thunk for Callable {
    fn evaluate(&self) -> engine::Result<Argument> {
        Python::attach(|py| self.call(py)).map_err(|error| engine::Error::Callback(Box::new(error)))
    }
}

impl Callable {
    fn call(&self, py: Python<'_>) -> PyResult<Argument> {
        let result = self.function.bind(py).call0()?;
        let (argument, prog) = argument_of(&result).ok_or_else(|| {
            PyTypeError::new_err(format!(
                "{}() callable must return Object or Type",
                self.owner
            ))
        })?;
        let _ = self.prog.set(py, prog);
        Ok(argument)
    }
}

fn argument_of(object: &Bound<'_, PyAny>) -> Option<(Argument, Py<Program>)> {
    let py = object.py();
    if let Ok(ty) = object.cast::<Type>() {
        let ty = ty.get();
        return Some((Argument::Type(ty.inner.clone()), ty.prog.clone_ref(py)));
    }
    let object = object.cast::<Object>().ok()?.get();
    Some((
        Argument::Object(object.inner.clone()),
        object.prog.clone_ref(py),
    ))
}

/// Which program a part belongs to: known from the start, or from what a function returns.
enum Owner {
    Program(Py<Program>),
    Callable(Arc<Callable>),
}

impl Owner {
    /// The program, once the content has been evaluated.
    fn get(&self, py: Python<'_>) -> PyResult<Py<Program>> {
        match self {
            Self::Program(prog) => Ok(prog.clone_ref(py)),
            Self::Callable(callable) => {
                if callable.prog.get(py).is_none() {
                    callable.call(py)?;
                }
                callable
                    .prog
                    .get(py)
                    .map(|prog| prog.clone_ref(py))
                    .ok_or_else(|| PyValueError::new_err("the program is not known"))
            }
        }
    }
}

impl Owner {
    /// Refuses what is known to belong to another program than `prog`.
    fn check(&self, prog: &Bound<'_, Program>) -> PyResult<()> {
        match self {
            Self::Program(own) if !own.is(prog) => {
                Err(PyValueError::new_err("object is from different program"))
            }
            _ => Ok(()),
        }
    }
}

/// The content that the first argument of a constructor stands for.
fn content_of(argument: &Bound<'_, PyAny>, class: &'static str) -> PyResult<(Content, Owner)> {
    if let Some((content, prog)) = argument_of(argument) {
        let content = match content {
            Argument::Type(ty) => Content::from_type(ty),
            Argument::Object(object) => Content::from_object(object),
        };
        return Ok((content, Owner::Program(prog)));
    }
    if !argument.is_callable() {
        return Err(PyTypeError::new_err(format!(
            "{class}() first argument must be Object, Type, or callable returning Object or Type"
        )));
    }
    let callable = Arc::new(Callable {
        function: argument.clone().unbind(),
        owner: class,
        prog: PyOnceLock::new(),
    });
    Ok((
        Content::from_thunk(callable.clone()),
        Owner::Callable(callable),
    ))
}

fn content_type(content: &Content, owner: &Owner, py: Python<'_>) -> PyResult<Type> {
    let ty = py.detach(|| content.ty()).or_raise()?;
    Ok(Type {
        inner: ty,
        prog: owner.get(py)?,
    })
}

/// The object of a content; of a type, an absent one.
fn content_object(content: &Content, owner: &Owner, py: Python<'_>) -> PyResult<Object> {
    let (argument, bit_field_size) = py
        .detach(|| Ok::<_, engine::Error>((content.argument()?, content.bit_field_size()?)))
        .or_raise()?;
    let prog = owner.get(py)?;
    let inner = match argument {
        Argument::Object(object) => object,
        Argument::Type(ty) => {
            engine::Object::absent(&prog.get().inner, ty, AbsenceReason::Other, bit_field_size)
                .or_raise()?
        }
    };
    Ok(Object { inner, prog })
}

/// The first argument of the call that makes a part: `prog.type('int')` or an object.
fn content_repr(content: &Content, owner: &Owner, py: Python<'_>) -> PyResult<String> {
    let object = content_object(content, owner, py)?;
    let inner = &object.inner;
    if inner.absence_reason() == Some(AbsenceReason::Other) && inner.bit_field_size().is_none() {
        let name = PyString::new(py, &inner.ty().type_name().or_raise()?);
        return Ok(format!("prog.type({})", name.repr()?));
    }
    object.repr(py)
}

fn name_repr(name: Option<&str>, py: Python<'_>) -> PyResult<String> {
    match name {
        Some(name) => Ok(format!(", name={}", PyString::new(py, name).repr()?)),
        None => Ok(String::new()),
    }
}

fn optional_name(name: Option<&Bound<'_, PyAny>>, class: &str) -> PyResult<Option<Arc<str>>> {
    match name {
        None => Ok(None),
        Some(name) => match name.cast::<PyString>() {
            Ok(name) => Ok(Some(name.to_str()?.into())),
            Err(_) => Err(PyTypeError::new_err(format!(
                "{class} name must be str or None"
            ))),
        },
    }
}

/// A member of a structure, union or class.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct TypeMember {
    pub(crate) inner: Member,
    owner: Owner,
}

impl TypeMember {
    /// What it is to the engine, as a part of a type of `prog`.
    pub(crate) fn inner_for(&self, prog: &Bound<'_, Program>) -> PyResult<Member> {
        self.owner.check(prog)?;
        Ok(self.inner.clone())
    }
}

impl TypeMember {
    pub(crate) fn from_engine(inner: Member, prog: &Py<Program>, py: Python<'_>) -> Self {
        Self {
            inner,
            owner: Owner::Program(prog.clone_ref(py)),
        }
    }
}

#[pymethods]
impl TypeMember {
    #[new]
    #[pyo3(signature = (object_or_type, name=None, bit_offset=0))]
    fn new(
        object_or_type: &Bound<'_, PyAny>,
        name: Option<&Bound<'_, PyAny>>,
        bit_offset: u64,
    ) -> PyResult<Self> {
        let (content, owner) = content_of(object_or_type, "TypeMember")?;
        let name = optional_name(name, "TypeMember")?;
        Ok(Self {
            inner: Member {
                name,
                bit_offset,
                is_base_class: false,
                alignment: None,
                content,
            },
            owner,
        })
    }

    /// An absent object of its type and bit-field size, or its default value.
    #[getter]
    fn object(&self, py: Python<'_>) -> PyResult<Object> {
        content_object(&self.inner.content, &self.owner, py)
    }

    /// Its type.
    #[getter]
    fn r#type(&self, py: Python<'_>) -> PyResult<Type> {
        content_type(&self.inner.content, &self.owner, py)
    }

    /// Its name; none for an anonymous structure or union.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// Its offset in bits from the start of the type.
    #[getter]
    fn bit_offset(&self) -> u64 {
        self.inner.bit_offset
    }

    /// Its offset in bytes from the start of the type.
    #[getter]
    fn offset(&self) -> PyResult<u64> {
        if self.inner.bit_offset.is_multiple_of(8) {
            Ok(self.inner.bit_offset / 8)
        } else {
            Err(PyValueError::new_err("member is not byte-aligned"))
        }
    }

    /// Its size in bits, if it is a bit field.
    #[getter]
    fn bit_field_size(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        py.detach(|| self.inner.bit_field_size()).or_raise()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "TypeMember({}{}, bit_offset={})",
            content_repr(&self.inner.content, &self.owner, py)?,
            name_repr(self.name(), py)?,
            self.inner.bit_offset
        ))
    }
}

/// A parameter of a function.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct TypeParameter {
    pub(crate) inner: Parameter,
    owner: Owner,
}

impl TypeParameter {
    /// What it is to the engine, as a part of a type of `prog`.
    pub(crate) fn inner_for(&self, prog: &Bound<'_, Program>) -> PyResult<Parameter> {
        self.owner.check(prog)?;
        Ok(self.inner.clone())
    }
}

impl TypeParameter {
    pub(crate) fn from_engine(inner: Parameter, prog: &Py<Program>, py: Python<'_>) -> Self {
        Self {
            inner,
            owner: Owner::Program(prog.clone_ref(py)),
        }
    }
}

#[pymethods]
impl TypeParameter {
    #[new]
    #[pyo3(signature = (default_argument_or_type, name=None))]
    fn new(
        default_argument_or_type: &Bound<'_, PyAny>,
        name: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (content, owner) = content_of(default_argument_or_type, "TypeParameter")?;
        let name = optional_name(name, "TypeParameter")?;
        Ok(Self {
            inner: Parameter { name, content },
            owner,
        })
    }

    /// Its default argument; absent if it has none.
    #[getter]
    fn default_argument(&self, py: Python<'_>) -> PyResult<Object> {
        content_object(&self.inner.content, &self.owner, py)
    }

    /// Its type.
    #[getter]
    fn r#type(&self, py: Python<'_>) -> PyResult<Type> {
        content_type(&self.inner.content, &self.owner, py)
    }

    /// Its name, if it has one.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "TypeParameter({}{})",
            content_repr(&self.inner.content, &self.owner, py)?,
            name_repr(self.name(), py)?
        ))
    }
}

/// An argument of a template.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct TypeTemplateParameter {
    pub(crate) inner: TemplateParameter,
    owner: Owner,
}

impl TypeTemplateParameter {
    /// What it is to the engine, as a part of a type of `prog`.
    pub(crate) fn inner_for(&self, prog: &Bound<'_, Program>) -> PyResult<TemplateParameter> {
        self.owner.check(prog)?;
        Ok(self.inner.clone())
    }
}

impl TypeTemplateParameter {
    pub(crate) fn from_engine(
        inner: TemplateParameter,
        prog: &Py<Program>,
        py: Python<'_>,
    ) -> Self {
        Self {
            inner,
            owner: Owner::Program(prog.clone_ref(py)),
        }
    }
}

#[pymethods]
impl TypeTemplateParameter {
    #[new]
    #[pyo3(
        signature = (argument, name=None, is_default=false),
        text_signature = "(argument, name=None, is_default=False)"
    )]
    fn new(
        argument: &Bound<'_, PyAny>,
        name: Option<&Bound<'_, PyAny>>,
        is_default: bool,
    ) -> PyResult<Self> {
        let is_absent = argument
            .cast::<Object>()
            .is_ok_and(|object| object.get().inner.absence_reason().is_some());
        if is_absent {
            return Err(PyValueError::new_err(
                "TypeTemplateParameter() first argument must not be absent Object",
            ));
        }
        let (content, owner) = content_of(argument, "TypeTemplateParameter")?;
        let name = optional_name(name, "TypeTemplateParameter")?;
        Ok(Self {
            inner: TemplateParameter {
                name,
                content,
                is_default,
            },
            owner,
        })
    }

    /// The type or value.
    #[getter]
    fn argument(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let argument = py.detach(|| self.inner.content.argument()).or_raise()?;
        let prog = self.owner.get(py)?;
        Ok(match argument {
            Argument::Type(inner) => Py::new(py, Type { inner, prog })?.into_any(),
            Argument::Object(inner) => Py::new(py, Object { inner, prog })?.into_any(),
        })
    }

    /// The name of the parameter, if it has one.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// Whether the argument is the default.
    #[getter]
    fn is_default(&self) -> bool {
        self.inner.is_default
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "TypeTemplateParameter({}{}{})",
            content_repr(&self.inner.content, &self.owner, py)?,
            name_repr(self.name(), py)?,
            if self.inner.is_default {
                ", is_default=True"
            } else {
                ""
            }
        ))
    }
}

/// An enumerator; unpacks to `(name, value)`.
#[pyclass(frozen, eq, sequence, module = "kdive")]
#[derive(PartialEq)]
pub(crate) struct TypeEnumerator {
    pub(crate) inner: Enumerator,
}

#[pymethods]
impl TypeEnumerator {
    #[new]
    fn new(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let value = value.extract::<i128>()?;
        Ok(Self {
            inner: Enumerator {
                name: name.into(),
                value,
            },
        })
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its value.
    #[getter]
    fn value(&self) -> i128 {
        self.inner.value
    }

    #[expect(clippy::unused_self, reason = "Python calls it as a method")]
    fn __len__(&self) -> usize {
        2
    }

    fn __getitem__(&self, py: Python<'_>, key: isize) -> PyResult<Py<PyAny>> {
        match key {
            0 | -2 => Ok(PyString::new(py, &self.inner.name).into_any().unbind()),
            1 | -1 => Ok(self.inner.value.into_pyobject(py)?.into_any().unbind()),
            _ => Err(PyIndexError::new_err("TypeEnumerator index out of range")),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyIterator>> {
        (&*self.inner.name, self.inner.value)
            .into_pyobject(py)?
            .as_any()
            .try_iter()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = PyString::new(py, &self.inner.name);
        Ok(format!(
            "TypeEnumerator({}, {})",
            name.repr()?,
            self.inner.value
        ))
    }
}
