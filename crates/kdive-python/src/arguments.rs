//! Kinds of arguments that many functions take.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;

use kdive_engine::object::{Literal, Number, Word};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PySlice, PyString};

use crate::object::Object;

/// Anything, as a condition.
#[derive(Clone, Copy)]
pub(crate) struct Truth(pub(crate) bool);

impl<'py> FromPyObject<'_, 'py> for Truth {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        object.is_truthy().map(Self)
    }
}

/// A `str`, `bytes` or `os.PathLike`.
pub(crate) struct FilePath(pub(crate) PathBuf);

impl<'py> FromPyObject<'_, 'py> for FilePath {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let path = object
            .py()
            .import("os")?
            .call_method1(intern!(object.py(), "fsdecode"), (object,))?;
        Ok(Self(path.extract::<OsString>()?.into()))
    }
}

impl FilePath {
    /// The path as text, in which what is no UTF-8 is replaced.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        self.0.to_string_lossy()
    }
}

/// A number of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Size(pub(crate) u64);

impl<'py> FromPyObject<'_, 'py> for Size {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<i64>() {
            Ok(negative) if negative < 0 => Err(PyValueError::new_err("negative size")),
            _ => object.extract().map(Self),
        }
    }
}

/// `str` or `bytes`.
pub(crate) struct Text(pub(crate) Vec<u8>);

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Self(text.to_str()?.as_bytes().to_owned()));
        }
        bytes_of(&object).map(Self)
    }
}

/// A copy of the bytes of `bytes`, `bytearray`, `memoryview` or anything else that has them.
pub(crate) fn bytes_of(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_owned());
    }
    let buffer = pyo3::buffer::PyBuffer::<u8>::get(object)?;
    buffer.to_vec(object.py())
}

/// A Python number; none for anything else.
pub(crate) fn number_of(object: &Bound<'_, PyAny>) -> PyResult<Option<Number>> {
    if object.is_instance_of::<PyInt>() {
        return integer_of(object).map(Some);
    }
    if let Ok(float) = object.cast::<PyFloat>() {
        return Ok(Some(Number::Float(float.value())));
    }
    if object.hasattr(intern!(object.py(), "__index__"))? {
        let index = object.call_method0(intern!(object.py(), "__index__"))?;
        return integer_of(&index).map(Some);
    }
    Ok(None)
}

/// An exact `int` of at most 64 bits; none for anything else.
pub(crate) fn small_integer(object: &Bound<'_, PyAny>) -> Option<i64> {
    if !object.is_exact_instance_of::<PyInt>() {
        return None;
    }
    object.extract().ok()
}

/// The Python number for a word.
pub(crate) fn word_to_python(py: Python<'_>, word: Word) -> PyResult<Bound<'_, PyAny>> {
    let number = if word.is_signed {
        (word.bits as i64).into_pyobject(py)?
    } else {
        word.bits.into_pyobject(py)?
    };
    Ok(number.into_any())
}

/// An integer modulo 2^128, as an operand of C's operators can be at most.
fn integer_of(object: &Bound<'_, PyAny>) -> PyResult<Number> {
    if let Ok(value) = object.extract::<i64>() {
        return Ok(Number::from(i128::from(value)));
    }
    if let Ok(value) = object.extract::<u128>() {
        return Ok(Number::Integer {
            bits: value,
            is_negative: false,
        });
    }
    if let Ok(value) = object.extract::<i128>() {
        return Ok(Number::from(value));
    }
    Err(pyo3::exceptions::PyOverflowError::new_err(
        "integer type is too big",
    ))
}

/// How deep a value made of lists and dictionaries may be nested.
const MAX_DEPTH: usize = 200;

/// A value for an object: a number, an object, a sequence or a mapping.
pub(crate) fn literal_of(object: &Bound<'_, PyAny>) -> PyResult<Literal> {
    literal_within(object, MAX_DEPTH)
}

fn literal_within(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Literal> {
    if let Ok(object) = object.cast::<Object>() {
        return Ok(Literal::Object(object.get().inner.clone()));
    }
    if let Ok(value) = object.cast::<PyBool>() {
        return Ok(Literal::Bool(value.is_true()));
    }
    if object.is_instance_of::<PyInt>() {
        return match integer_of(object) {
            Ok(number) => Ok(Literal::Number(number)),
            Err(_) => wide_integer(object),
        };
    }
    if let Some(number) = number_of(object)? {
        return Ok(Literal::Number(number));
    }
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| PyValueError::new_err("the value is nested too deeply"))?;
    if object.hasattr(intern!(object.py(), "items"))? {
        let mut items = Vec::new();
        for item in object
            .call_method0(intern!(object.py(), "items"))?
            .try_iter()?
        {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
            let name = name
                .cast::<PyString>()
                .map_err(|_| PyTypeError::new_err("member key must be string"))?;
            items.push((name.to_str()?.into(), literal_within(&value, depth)?));
        }
        return Ok(Literal::Map(items));
    }
    // A string is a sequence of strings, without end.
    if object.is_instance_of::<PyString>() {
        let length = object.len()?;
        return Ok(Literal::List(vec![Literal::Other; length]));
    }
    if !object.hasattr(intern!(object.py(), "__iter__"))? {
        return Ok(Literal::Other);
    }
    object
        .try_iter()?
        .map(|item| literal_within(&item?, depth))
        .collect::<PyResult<_>>()
        .map(Literal::List)
}

fn wide_integer(object: &Bound<'_, PyAny>) -> PyResult<Literal> {
    let py = object.py();
    let bits: u64 = object.call_method0(intern!(py, "bit_length"))?.extract()?;
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "signed"), true)?;
    let bytes = object.call_method(
        intern!(py, "to_bytes"),
        (bits / 8 + 1, "little"),
        Some(&keywords),
    )?;
    Ok(Literal::WideInteger {
        bytes: bytes.extract()?,
        is_signed: true,
    })
}

/// The Python number for a number.
pub(crate) fn number_to_python(py: Python<'_>, number: Number) -> PyResult<Py<PyAny>> {
    match number {
        Number::Float(value) => Ok(PyFloat::new(py, value).into_any().unbind()),
        // Python's floats have 64 bits.
        Number::Wide(_) => Ok(PyFloat::new(py, number.to_f64()).into_any().unbind()),
        Number::Integer {
            bits,
            is_negative: false,
        } => match u64::try_from(bits) {
            Ok(small) => Ok(small.into_pyobject(py)?.into_any().unbind()),
            Err(_) => Ok(bits.into_pyobject(py)?.into_any().unbind()),
        },
        Number::Integer {
            bits,
            is_negative: true,
        } => match i64::try_from(bits as i128) {
            Ok(small) => Ok(small.into_pyobject(py)?.into_any().unbind()),
            Err(_) => Ok((bits as i128).into_pyobject(py)?.into_any().unbind()),
        },
    }
}

/// The Python value for a plain value.
pub(crate) fn literal_to_python(py: Python<'_>, literal: Literal) -> PyResult<Py<PyAny>> {
    match literal {
        Literal::Bool(value) => Ok(PyBool::new(py, value).to_owned().into_any().unbind()),
        Literal::Number(number) => number_to_python(py, number),
        Literal::WideInteger { bytes, is_signed } => {
            let keywords = PyDict::new(py);
            keywords.set_item(intern!(py, "signed"), is_signed)?;
            let class = py.get_type::<PyInt>();
            let bytes = PyBytes::new(py, &bytes);
            Ok(class
                .call_method(
                    intern!(py, "from_bytes"),
                    (bytes, "little"),
                    Some(&keywords),
                )?
                .unbind())
        }
        Literal::List(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(literal_to_python(py, item)?)?;
            }
            Ok(list.into_any().unbind())
        }
        Literal::Map(items) => {
            let dict = PyDict::new(py);
            for (name, item) in items {
                dict.set_item(PyString::intern(py, &name), literal_to_python(py, item)?)?;
            }
            Ok(dict.into_any().unbind())
        }
        Literal::Object(_) | Literal::Other => {
            Err(PyTypeError::new_err("an object is no plain value"))
        }
    }
}

/// An element of a sequence by its index, which counts from the end if it is negative, or a list
/// of a slice's elements.
pub(crate) fn sequence_item(
    index: &Bound<'_, PyAny>,
    length: usize,
    item: impl Fn(usize) -> PyResult<Option<Py<PyAny>>>,
    out_of_range: impl FnOnce() -> PyErr,
) -> PyResult<Py<PyAny>> {
    let py = index.py();
    if let Ok(slice) = index.cast::<PySlice>() {
        let range = slice.indices(isize::try_from(length)?)?;
        let list = PyList::empty(py);
        let mut number = range.start;
        for _ in 0..range.slicelength {
            if let Some(item) = usize::try_from(number).ok().map(&item).transpose()? {
                list.append(item)?;
            }
            number = number.saturating_add(range.step);
        }
        return Ok(list.into_any().unbind());
    }
    let number: isize = index.extract()?;
    let number = match usize::try_from(number) {
        Ok(number) => Some(number),
        Err(_) => length.checked_sub(number.unsigned_abs()),
    };
    number
        .map(item)
        .transpose()?
        .flatten()
        .ok_or_else(out_of_range)
}
