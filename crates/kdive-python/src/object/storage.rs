//! How objects are made and freed in Python's memory.
//!
//! Scripts make and drop objects by the million, most of them within one expression. `PyO3` makes
//! instances by calling `object.__new__`, tracks each in the garbage collector, and frees them
//! under a handler for panics. Objects hold nothing that the collector could follow (types and
//! programs are Rust's), cannot be subclassed, and do not panic when they are dropped; so
//! [`prepare`] takes their class out of the collector's care, and [`create`] builds them where
//! they stay. Integers that objects hold become Python's without a handler for panics, too.
//!
//! All of this is what the C API offers to any extension class. What is assumed of `PyO3` is where it
//! puts the contents of an instance; [`prepare`] checks that, and leaves everything to `PyO3` where it
//! is not so.

#![allow(
    clippy::cast_ptr_alignment,
    reason = "CPython aligns objects to 16 bytes, as numbers of 128 bits need it"
)]

use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use kdive_engine as engine;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::Object;
use crate::program::Program;

/// An instance of a class without a dictionary or weak references, as `PyO3` lays it out.
#[repr(C)]
struct Instance {
    head: ffi::PyObject,
    object: Object,
}

/// The class of objects once [`prepare`] has changed it; null before, and where it could not.
static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

/// The conversion to `int` that [`to_int`] stands in for.
static TO_INT: OnceLock<ffi::unaryfunc> = OnceLock::new();

/// Takes the class of objects out of the garbage collector's care. It must not have instances yet.
pub(crate) fn prepare(class: &Bound<'_, PyType>) {
    let class = class.as_type_ptr();
    // SAFETY: the class is a valid heap type that lives as long as the interpreter, since CLASS and
    // `PyO3` both refer to it; nobody else uses it yet, as it is being added to its module. A type
    // without Py_TPFLAGS_HAVE_GC has instances without the collector's header: it must have
    // PyObject_Free in place of PyObject_GC_Del, and a tp_dealloc that does not untrack them, and it
    // gets both here. PyType_GenericAlloc, by which `PyO3` makes instances, follows the flag.
    unsafe {
        if (*class).tp_basicsize != size_of::<Instance>() as ffi::Py_ssize_t
            || (*class).tp_flags & ffi::Py_TPFLAGS_BASETYPE != 0
        {
            return;
        }
        (*class).tp_flags &= !ffi::Py_TPFLAGS_HAVE_GC;
        (*class).tp_traverse = None;
        (*class).tp_clear = None;
        (*class).tp_dealloc = Some(free);
        (*class).tp_free = Some(ffi::PyObject_Free);
        if let Some(numbers) = (*class).tp_as_number.as_mut()
            && let Some(slot) = numbers.nb_int
        {
            let _ = TO_INT.set(slot);
            numbers.nb_int = Some(to_int);
        }
        ffi::PyType_Modified(class);
    }
    CLASS.store(class, Ordering::Release);
}

/// Makes the Python object for an object of `prog`.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "an object that is returned in memory and moved costs as much as making it"
)]
pub(crate) fn create(
    py: Python<'_>,
    inner: engine::Object,
    prog: &Py<Program>,
) -> PyResult<Py<PyAny>> {
    let class = CLASS.load(Ordering::Acquire);
    if class.is_null() {
        return Ok(Py::new(py, Object::new(inner, prog, py))?.into_any());
    }
    // SAFETY: the thread is attached, and PyObject_Malloc gives memory of the size and the alignment
    // (16) of an instance, or null, which is checked. PyObject_Init makes it an instance of the class
    // with one reference, which the result takes over; its contents are written before anyone sees
    // them.
    unsafe {
        let memory = ffi::PyObject_Malloc(size_of::<Instance>()).cast::<Instance>();
        if memory.is_null() {
            return Err(PyErr::from_type(
                py.get_type::<pyo3::exceptions::PyMemoryError>(),
                (),
            ));
        }
        ffi::PyObject_Init(memory.cast(), class);
        ptr::write(
            &raw mut (*memory).object,
            Object {
                inner,
                prog: prog.clone_ref(py),
            },
        );
        Ok(Bound::from_owned_ptr(py, memory.cast()).unbind())
    }
}

/// The object that a Python object is, if it is one.
#[inline(always)]
#[allow(clippy::inline_always, reason = "it is two loads and a comparison")]
pub(crate) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a Object> {
    let class = CLASS.load(Ordering::Acquire);
    // SAFETY: the thread is attached and the object is valid as long as it is borrowed. An instance
    // of the class, which has no subclasses, has the layout that `prepare` checked, and its contents
    // are never changed, as the class is frozen.
    unsafe {
        if ffi::Py_TYPE(object.as_ptr()) == class {
            return Some(&(*object.as_ptr().cast::<Instance>()).object);
        }
    }
    if !class.is_null() {
        return None;
    }
    object.cast::<Object>().ok().map(Bound::get)
}

/// `nb_int` of the class.
///
/// # Safety
///
/// `object` is an instance of the class; the thread is attached.
unsafe extern "C" fn to_int(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the contents of an instance are valid and never change. What is called takes what this
    // function was given, and what it gives is a new reference, or null with an exception set.
    unsafe {
        match (
            (*object.cast::<Instance>()).object.inner.held_word(),
            TO_INT.get(),
        ) {
            (Some(word), _) if word.is_signed => ffi::PyLong_FromLongLong(word.bits as i64),
            (Some(word), _) => ffi::PyLong_FromUnsignedLongLong(word.bits),
            (None, slot) => slot.map_or(ptr::null_mut(), |slot| slot(object)),
        }
    }
}

/// `tp_dealloc` of the class.
///
/// # Safety
///
/// `object` is an instance of the class to which no reference is left; the thread is attached.
unsafe extern "C" fn free(object: *mut ffi::PyObject) {
    const { assert!(offset_of!(Instance, object) >= size_of::<ffi::PyObject>()) };
    // SAFETY: the contents are valid, are not used afterwards, and so are moved out once; the
    // instance holds a reference to its program and, being one of a heap type, to its class, which
    // are given back, the latter after its memory.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let Object { inner, prog } = ptr::read(&raw const (*object.cast::<Instance>()).object);
        drop(inner);
        ffi::PyObject_Free(object.cast());
        ffi::Py_DECREF(prog.into_ptr());
        ffi::Py_DECREF(class.cast());
    }
}
