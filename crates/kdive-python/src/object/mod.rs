//! Objects: how they are made, what they hold, and their parts.
//!
//! Operators and conversions to Python numbers are in [`operators`], printing in [`format`], how they
//! lie in Python's memory in [`storage`].

mod format;
mod operators;
pub(crate) mod storage;

use kdive_debuginfo::description::AbsenceReason;
use kdive_engine as engine;
use kdive_engine::TypeKind;
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PySlice, PyString};

use crate::arguments::{
    bytes_of, literal_of, literal_to_python, number_of, small_integer, word_to_python,
};
use crate::enums::Enumeration;
use crate::errors::{IntoPython, OrRaise};
use crate::program::Program;
use crate::types::Type;

/// A variable, function, constant or intermediate value of a program.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct Object {
    pub(crate) inner: engine::Object,
    pub(crate) prog: Py<Program>,
}

impl Object {
    #[inline]
    pub(crate) fn new(inner: engine::Object, prog: &Py<Program>, py: Python<'_>) -> Self {
        Self {
            inner,
            prog: prog.clone_ref(py),
        }
    }

    /// Whether it is a structure or an array, which may take long to read.
    fn has_parts(&self) -> bool {
        let kind = self.inner.ty().unaliased_kind();
        kind.is_ok_and(|kind| kind.is_compound() || kind == TypeKind::Array)
    }

    /// Whether its type is an integer, a boolean or an enumeration.
    pub(crate) fn is_integer(&self) -> PyResult<bool> {
        let kind = self.inner.ty().unaliased_kind().or_raise()?;
        Ok(matches!(
            kind,
            TypeKind::Int | TypeKind::Bool | TypeKind::Enum
        ))
    }

    /// The value of an integer, enumerator or pointer of at most 64 bits. Booleans are left out:
    /// to Python they are 0 or 1, whatever is in memory.
    pub(crate) fn plain_word(&self) -> PyResult<Option<engine::object::Word>> {
        match self.inner.ty().unaliased_kind().or_raise()? {
            TypeKind::Bool => Ok(None),
            _ => self.inner.word().or_raise(),
        }
    }

    /// The Python object for another object of the same program.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "see storage::create")]
    fn make(&self, inner: engine::Object, py: Python<'_>) -> PyResult<Py<PyAny>> {
        storage::create(py, inner, &self.prog)
    }
}

/// The generic lookup, which finds methods and properties.
fn generic_attribute(object: &Bound<'_, Object>, name: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    // SAFETY: both are borrowed, valid Python objects and the thread is attached; the result is
    // a new reference, or null with an exception set, which from_owned_ptr_or_err takes over.
    unsafe {
        Bound::from_owned_ptr_or_err(
            object.py(),
            ffi::PyObject_GenericGetAttr(object.as_ptr(), name.as_ptr()),
        )
    }
    .map(Bound::unbind)
}

/// The error of `__getattribute__` that makes Python call `__getattr__`, which says what is
/// wrong. It is made once, since nobody ever sees it.
fn not_found(py: Python<'_>) -> PyResult<PyErr> {
    static ERROR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let error = ERROR.get_or_try_init(py, || {
        py.get_type::<PyAttributeError>().call0().map(Bound::unbind)
    })?;
    Ok(PyErr::from_value(error.bind(py).clone()))
}

#[pymethods]
impl Object {
    #[new]
    #[pyo3(signature = (
        prog, r#type=None, value=None, *, address=None, absence_reason=None, bit_offset=None,
        bit_field_size=None
    ))]
    #[pyo3(text_signature = "(prog, type=None, value=None, *, address=None, \
        absence_reason=AbsenceReason.OTHER, bit_offset=None, bit_field_size=None)")]
    fn py_new(
        prog: &Bound<'_, Program>,
        r#type: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
        address: Option<u64>,
        absence_reason: Option<&Bound<'_, PyAny>>,
        bit_offset: Option<u64>,
        bit_field_size: Option<u64>,
    ) -> PyResult<Py<PyAny>> {
        let reason = absence_reason.map(AbsenceReason::from_python).transpose()?;
        let contradiction = match (address, value, reason) {
            (Some(_), Some(_), _) => Some("object cannot have address and value"),
            (Some(_), _, Some(_)) => Some("object cannot have address and absence reason"),
            (_, Some(_), Some(_)) => Some("object cannot have value and absence reason"),
            (None, Some(_), _) if bit_offset.is_some() => Some("value cannot have bit offset"),
            (None, None, _) if bit_offset.is_some() => Some("absent object cannot have bit offset"),
            (Some(_), _, _) if r#type.is_none() => Some("reference must have type"),
            (None, None, _) if r#type.is_none() => Some("absent object must have type"),
            _ => None,
        };
        if let Some(message) = contradiction {
            return Err(PyValueError::new_err(message));
        }
        let program = &prog.get().inner;
        let inner = match (r#type, address, value) {
            (Some(ty), Some(address), _) => {
                let ty = Program::resolve(prog, ty)?;
                let bit_offset = bit_offset.unwrap_or(0);
                engine::Object::reference(program, ty, address, bit_offset, bit_field_size)
            }
            (Some(ty), None, Some(value)) => {
                let ty = Program::resolve(prog, ty)?;
                engine::Object::from_literal(program, ty, &literal_of(value)?, bit_field_size)
            }
            (None, _, Some(value)) => {
                if bit_field_size.is_some() {
                    return Err(PyValueError::new_err("literal cannot be bit field"));
                }
                let number = match value.cast::<Object>() {
                    Ok(_) => None,
                    Err(_) => number_of(value)?,
                };
                let number = number.ok_or_else(|| {
                    let name = value
                        .get_type()
                        .name()
                        .map_or_else(|_| "object".to_owned(), |name| name.to_string());
                    PyTypeError::new_err(format!(
                        "literal must be int, float, or bool, not '{name}'"
                    ))
                })?;
                engine::Object::from_literal_number(program, number, false)
            }
            (Some(ty), None, None) => {
                let ty = Program::resolve(prog, ty)?;
                let reason = reason.unwrap_or(AbsenceReason::Other);
                engine::Object::absent(program, ty, reason, bit_field_size)
            }
            (None, _, None) => return Err(PyValueError::new_err("object must have type")),
        };
        storage::create(prog.py(), inner.or_raise()?, prog.as_unbound())
    }

    fn __getattribute__(slf: &Bound<'_, Self>, name: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let text = name.cast::<PyString>()?.to_str()?;
        let is_own = text.ends_with('_');
        if is_own {
            match generic_attribute(slf, name) {
                Err(error) if error.is_instance_of::<PyAttributeError>(py) => {}
                result => return result,
            }
        }
        let object = slf.get();
        match object.inner.find_member(text) {
            Ok(Some(member)) => object.make(member, py),
            Ok(None) | Err(engine::Error::Type(_)) => Err(not_found(py)?),
            Err(error) => Err(error.into_python()),
        }
    }

    fn __getattr__(&self, name: &str) -> PyResult<Py<PyAny>> {
        Err(PyAttributeError::new_err(
            match self.inner.find_member(name) {
                Err(engine::Error::Type(_)) => {
                    format!("'kdive.Object' object has no attribute '{name}'")
                }
                _ => self.inner.no_such_member(name).to_string(),
            },
        ))
    }

    /// The program that it belongs to.
    #[getter]
    fn prog_(&self, py: Python<'_>) -> Py<Program> {
        self.prog.clone_ref(py)
    }

    /// Its type.
    #[getter]
    fn type_(&self, py: Python<'_>) -> Type {
        Type::new(self.inner.ty().clone(), &self.prog, py)
    }

    /// The address of a reference.
    #[getter]
    fn address_(&self) -> Option<u64> {
        self.inner.address()
    }

    /// Whether it is absent.
    #[getter]
    fn absent_(&self) -> bool {
        self.inner.absence_reason().is_some()
    }

    /// Why it is absent, if it is.
    #[getter]
    fn absence_reason_(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.inner
            .absence_reason()
            .map(|reason| reason.to_python(py))
            .transpose()
    }

    /// The offset in bits of a reference from its address, 0 to 7.
    #[getter]
    fn bit_offset_(&self) -> Option<u8> {
        self.inner.bit_offset()
    }

    /// Its size in bits, if it is a bit field.
    #[getter]
    fn bit_field_size_(&self) -> Option<u64> {
        self.inner.bit_field_size()
    }

    /// Return its value.
    fn value_(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(word) = self.inner.held_word() {
            return word_to_python(py, word).map(Bound::unbind);
        }
        if let Some(word) = self.plain_word()? {
            return word_to_python(py, word).map(Bound::unbind);
        }
        let value = if self.has_parts() {
            py.detach(|| self.inner.value())
        } else {
            self.inner.value()
        };
        literal_to_python(py, value.or_raise()?)
    }

    /// Return the bytes of an array, or those that a pointer points to, up to a zero byte.
    fn string_<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let string = py.detach(|| self.inner.string(None)).or_raise()?;
        Ok(PyBytes::new(py, &string))
    }

    /// Return a member of a structure, union or class, or of what a pointer points to.
    fn member_(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        match self.inner.find_member(name).or_raise()? {
            Some(member) => self.make(member, py),
            None => Err(self.inner.no_such_member(name).into_python()),
        }
    }

    /// Return what a designator such as `"a.b[1].c"` or `"[2]"` leads to.
    fn subobject_(&self, py: Python<'_>, designator: &str) -> PyResult<Py<PyAny>> {
        self.make(self.inner.subobject(designator).or_raise()?, py)
    }

    /// Return a pointer to a reference; C's `&`.
    fn address_of_(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.make(self.inner.address_of().or_raise()?, py)
    }

    /// Return its value as it is now; a value is returned as it is.
    fn read_(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let object = slf.get();
        if let engine::Place::Value(_) | engine::Place::Partial(_) = object.inner.place() {
            return Ok(slf.clone().into_any().unbind());
        }
        let value = if object.has_parts() {
            py.detach(|| object.inner.read())
        } else {
            object.inner.read()
        };
        object.make(value.or_raise()?, py)
    }

    /// Return the bytes of its value as they are in memory.
    fn to_bytes_<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.inner.to_bytes()).or_raise()?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Make a value of its bytes in memory.
    #[classmethod]
    #[pyo3(signature = (prog, r#type, bytes, *, bit_offset=0, bit_field_size=None))]
    fn from_bytes_(
        _class: &Bound<'_, pyo3::types::PyType>,
        prog: &Bound<'_, Program>,
        r#type: &Bound<'_, PyAny>,
        bytes: &Bound<'_, PyAny>,
        bit_offset: u64,
        bit_field_size: Option<u64>,
    ) -> PyResult<Self> {
        let ty = Program::resolve(prog, r#type)?;
        let bytes = bytes_of(bytes)?;
        let program = &prog.get().inner;
        let inner = engine::Object::from_bytes(program, ty, &bytes, bit_offset, bit_field_size);
        let inner = inner.map_err(|error| match error {
            engine::Error::OutOfBounds(_) => PyValueError::new_err("buffer is too small"),
            error => error.into_python(),
        })?;
        Ok(Self::new(inner, prog.as_unbound(), prog.py()))
    }

    fn __getitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if let Some(index) = small_integer(key) {
            return self.make(self.inner.subscript(index).or_raise()?, py);
        }
        if let Ok(slice) = key.cast::<PySlice>() {
            return self.slice(slice);
        }
        let index = match key.extract::<i64>() {
            Ok(index) => index,
            Err(error)
                if error.is_instance_of::<PyTypeError>(py)
                    && !key.hasattr(intern!(py, "__index__"))? =>
            {
                let name = key.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "object subscript must be integer or slice, not {name}"
                )));
            }
            Err(error) => return Err(error),
        };
        self.make(self.inner.subscript(index).or_raise()?, py)
    }

    fn __len__(&self) -> PyResult<usize> {
        match self.inner.length().or_raise()? {
            Some(length) => Ok(usize::try_from(length)?),
            None => Err(self.type_error("'{}' has no len()")),
        }
    }

    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<ObjectIterator> {
        let length = slf.get().iterable_length()?;
        Ok(ObjectIterator {
            array: slf.clone().unbind(),
            length,
            is_reversed: false,
            next: std::sync::atomic::AtomicU64::new(0),
        })
    }

    fn __reversed__(slf: &Bound<'_, Self>) -> PyResult<ObjectIterator> {
        Ok(ObjectIterator {
            is_reversed: true,
            ..Self::__iter__(slf)?
        })
    }

    fn __dir__(slf: &Bound<'_, Self>) -> PyResult<Vec<String>> {
        let py = slf.py();
        let generic = py
            .get_type::<PyAny>()
            .call_method1(intern!(py, "__dir__"), (slf,))?;
        let mut names: Vec<String> = generic.extract()?;
        let inner = &slf.get().inner;
        let members = py.detach(|| inner.member_names()).or_raise()?;
        names.extend(members.iter().map(|name| (**name).to_owned()));
        names.sort_unstable();
        Ok(names)
    }
}

impl Object {
    /// A `TypeError` whose message has the name of the type in place of `{}`.
    fn type_error(&self, message: &str) -> PyErr {
        match self.inner.ty().type_name() {
            Ok(name) => PyTypeError::new_err(message.replacen("{}", &name, 1)),
            Err(error) => error.into_python(),
        }
    }

    fn iterable_length(&self) -> PyResult<u64> {
        self.inner
            .length()
            .or_raise()?
            .ok_or_else(|| self.type_error("'{}' is not iterable"))
    }

    fn slice(&self, slice: &Bound<'_, PySlice>) -> PyResult<Py<PyAny>> {
        let py = slice.py();
        let part = |name| -> PyResult<Option<i64>> { slice.getattr(name)?.extract() };
        let stop = part(intern!(py, "stop"))?;
        if stop.is_none() && self.inner.length().or_raise()?.is_none() {
            return Err(self.type_error("'{}' has no length; slice stop must be given"));
        }
        if part(intern!(py, "step"))?.is_some_and(|step| step != 1) {
            return Err(PyValueError::new_err("object slice step must be 1"));
        }
        let start = part(intern!(py, "start"))?.unwrap_or(0);
        self.make(self.inner.slice(start, stop).or_raise()?, py)
    }
}

/// Iterates over the elements of an array.
#[pyclass(frozen, module = "kdive", name = "_ObjectIterator")]
pub(crate) struct ObjectIterator {
    array: Py<Object>,
    length: u64,
    is_reversed: bool,
    next: std::sync::atomic::AtomicU64,
}

#[pymethods]
impl ObjectIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let index = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if index >= self.length {
            return Ok(None);
        }
        let index = if self.is_reversed {
            self.length - 1 - index
        } else {
            index
        };
        let array = self.array.get();
        let element = array.inner.subscript(index as i64).or_raise()?;
        array.make(element, py).map(Some)
    }

    fn __length_hint__(&self) -> u64 {
        self.length
            .saturating_sub(self.next.load(std::sync::atomic::Ordering::Relaxed))
    }
}
