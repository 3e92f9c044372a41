//! The operators of C that Python has no operator for.

use kdive_debuginfo::path_ends_with;
use kdive_engine::object as engine;
use kdive_engine::types::PointerKind;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::arguments::FilePath;
use crate::errors::OrRaise;
use crate::object::{Object, storage};
use crate::program::{Program, default_program};
use crate::types::Type;

/// The type that an argument is, or names in the default program.
fn type_of(ty: &Bound<'_, PyAny>, expected: &str) -> PyResult<kdive_engine::Type> {
    if let Ok(ty) = ty.cast::<Type>() {
        return Ok(ty.get().inner.clone());
    }
    let Ok(name) = ty.cast::<PyString>() else {
        let name = ty.get_type().qualname()?;
        return Err(PyTypeError::new_err(format!(
            "expected {expected}, not {name}"
        )));
    };
    Program::find_type(&default_program(ty.py())?, name.to_str()?, None)
}

/// What C++ takes for the type of a reference: that of what it refers to.
fn referred(ty: kdive_engine::Type) -> PyResult<kdive_engine::Type> {
    match ty.unaliased().or_raise()?.pointer_kind() {
        Some(PointerKind::Reference | PointerKind::RvalueReference) => {
            let target = ty.unaliased().or_raise()?.target().or_raise()?;
            Ok(target.unwrap_or(ty))
        }
        _ => Ok(ty),
    }
}

/// Return the null pointer of a pointer type; zero of any other scalar type.
#[pyfunction(name = "NULL")]
pub(crate) fn null(prog: &Bound<'_, Program>, r#type: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let ty = Program::resolve(prog, r#type)?;
    let zero = kdive_engine::Object::from_integer(&prog.get().inner, ty, 0).or_raise()?;
    storage::create(prog.py(), zero, prog.as_unbound())
}

/// Convert an object to another type, as an explicit cast of the language does.
#[pyfunction]
pub(crate) fn cast(r#type: &Bound<'_, PyAny>, obj: &Bound<'_, Object>) -> PyResult<Py<PyAny>> {
    let (py, object) = (obj.py(), obj.get());
    let ty = Program::resolve(object.prog.bind(py), r#type)?;
    storage::create(
        py,
        engine::cast(&ty, &object.inner).or_raise()?,
        &object.prog,
    )
}

/// Convert an object to another type, as an assignment of the language does.
#[pyfunction]
#[pyo3(signature = (r#type, obj, *, bit_field_size=None))]
pub(crate) fn implicit_convert(
    r#type: &Bound<'_, PyAny>,
    obj: &Bound<'_, Object>,
    bit_field_size: Option<u64>,
) -> PyResult<Py<PyAny>> {
    let (py, object) = (obj.py(), obj.get());
    let ty = Program::resolve(object.prog.bind(py), r#type)?;
    let converted = engine::implicit_convert(&ty, &object.inner, bit_field_size).or_raise()?;
    storage::create(py, converted, &object.prog)
}

/// Return the bytes of an object as an object of another type.
#[pyfunction]
pub(crate) fn reinterpret(
    r#type: &Bound<'_, PyAny>,
    obj: &Bound<'_, Object>,
) -> PyResult<Py<PyAny>> {
    let (py, object) = (obj.py(), obj.get());
    let ty = Program::resolve(object.prog.bind(py), r#type)?;
    storage::create(
        py,
        engine::reinterpret(&ty, &object.inner).or_raise()?,
        &object.prog,
    )
}

/// Return a pointer to the structure in which a member lies.
#[pyfunction]
pub(crate) fn container_of(
    ptr: &Bound<'_, Object>,
    r#type: &Bound<'_, PyAny>,
    member: &str,
) -> PyResult<Py<PyAny>> {
    let (py, object) = (ptr.py(), ptr.get());
    let ty = Program::resolve(object.prog.bind(py), r#type)?;
    let container = engine::container_of(&object.inner, &ty, member).or_raise()?;
    storage::create(py, container, &object.prog)
}

/// Return the size in bytes of a type or object; a name is one of the default program.
#[pyfunction]
#[pyo3(signature = (type_or_obj, /))]
pub(crate) fn sizeof(type_or_obj: &Bound<'_, PyAny>) -> PyResult<u64> {
    if let Ok(object) = type_or_obj.cast::<Object>() {
        let object = &object.get().inner;
        if object.bit_field_size().is_some() {
            return Err(PyTypeError::new_err("cannot get size of bit field"));
        }
        return object.ty().size().or_raise();
    }
    referred(type_of(type_or_obj, "Type, Object, or str")?)?
        .size()
        .or_raise()
}

/// Return the alignment in bytes of a type; a name is one of the default program.
#[pyfunction]
#[pyo3(signature = (r#type, /))]
pub(crate) fn alignof(r#type: &Bound<'_, PyAny>) -> PyResult<u64> {
    referred(type_of(r#type, "Type or str")?)?
        .alignment()
        .or_raise()
}

/// Return the offset in bytes of a member; a name is that of a type of the default program.
#[pyfunction]
pub(crate) fn offsetof(r#type: &Bound<'_, PyAny>, member: &str) -> PyResult<u64> {
    type_of(r#type, "Type or str")?.offset_of(member).or_raise()
}

/// Return whether the path `haystack` ends with the path components of `needle`.
#[pyfunction]
#[pyo3(signature = (haystack, needle))]
pub(crate) fn filename_matches(haystack: Option<FilePath>, needle: Option<FilePath>) -> bool {
    let Some(needle) = needle else {
        return true;
    };
    let haystack = haystack.as_ref().map(FilePath::text);
    path_ends_with(haystack.as_deref().unwrap_or_default(), &needle.text())
}
