//! Searching memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use kdive_target::search::{Match, Pattern, Search};
use kdive_target::{AddressSpace, ByteOrder};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple, PyType};

use crate::arguments::{Truth, bytes_of};
use crate::enums::wrong_type;
use crate::errors::OrRaise;
use crate::object::Object;
use crate::program::Program;

/// What of a match the iterator yields.
#[derive(Clone, Copy)]
enum Yield {
    Address,
    Number(ByteOrder),
    Bytes,
    Text,
}

/// Iterates over what a search of memory finds.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct MemorySearchIterator {
    prog: Py<Program>,
    pattern: Pattern,
    yields: Yield,
    state: Mutex<State>,
}

struct State {
    /// In a box, since a search holds vectors of the processor, and Python aligns its objects to 16 bytes only.
    search: Box<Search>,
    found: VecDeque<Match>,
}

const _: () = assert!(
    align_of::<MemorySearchIterator>() <= 16,
    "Python aligns objects to 16 bytes"
);

impl MemorySearchIterator {
    fn new(slf: &Bound<'_, Program>, pattern: Pattern, yields: Yield) -> PyResult<Self> {
        let inner = &slf.get().inner;
        inner.address_size().or_raise()?;
        let search = Search::new(
            inner.memory().clone(),
            AddressSpace::Virtual,
            pattern.clone(),
        );
        let search = search.within(0, inner.address_mask());
        let state = Mutex::new(State {
            search: Box::new(search),
            found: VecDeque::new(),
        });
        Ok(Self {
            prog: slf.clone().unbind(),
            pattern,
            yields,
            state,
        })
    }

    /// The next match; none at the end. Waits for memory without the GIL, and comes back now
    /// and then so that the user can interrupt it.
    fn advance(&self, py: Python<'_>) -> PyResult<Option<Match>> {
        loop {
            let step = py.detach(|| {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(found) = state.found.pop_front() {
                    return Some(Some(found));
                }
                let more = state.search.step()?;
                state.found.extend(more);
                Some(state.found.pop_front())
            });
            match step {
                Some(None) => py.check_signals()?,
                Some(found) => return Ok(found),
                None => return Ok(None),
            }
        }
    }
}

#[pymethods]
impl MemorySearchIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(found) = self.advance(py)? else {
            return Ok(None);
        };
        let item = match self.yields {
            Yield::Address => found.address.into_pyobject(py)?.into_any(),
            Yield::Number(order) => (found.address, found.number(order))
                .into_pyobject(py)?
                .into_any(),
            Yield::Bytes => (found.address, PyBytes::new(py, &found.bytes))
                .into_pyobject(py)?
                .into_any(),
            Yield::Text => {
                let text = String::from_utf8_lossy(&found.bytes);
                (found.address, text).into_pyobject(py)?.into_any()
            }
        };
        Ok(Some(item))
    }

    /// Search only part of memory, from its start.
    #[pyo3(signature = (min_address=None, max_address=None, physical=None))]
    fn set_address_range<'py>(
        slf: &Bound<'py, Self>,
        min_address: Option<u64>,
        max_address: Option<u64>,
        physical: Option<Truth>,
    ) -> PyResult<Bound<'py, Self>> {
        let iterator = slf.get();
        let program = &iterator.prog.get().inner;
        let space = crate::program::space(physical.is_some_and(|physical| physical.0));
        let search = Search::new(program.memory().clone(), space, iterator.pattern.clone());
        let last = max_address.unwrap_or_else(|| match space {
            AddressSpace::Virtual => program.address_mask(),
            AddressSpace::Physical => u64::MAX,
        });
        let first = min_address.unwrap_or(0);
        if first > last {
            return Err(PyValueError::new_err("invalid memory search address range"));
        }
        let search = search.within(first, last);
        let state = State {
            search: Box::new(search),
            found: VecDeque::new(),
        };
        slf.py().detach(|| {
            *iterator
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = state;
        });
        Ok(slf.clone())
    }

    #[classmethod]
    fn __class_getitem__(class: &Bound<'_, PyType>, _item: &Bound<'_, PyAny>) -> Py<PyType> {
        class.clone().unbind()
    }
}

fn pair_of(pair: &Bound<'_, PyTuple>) -> PyResult<(u64, u64)> {
    if pair.len() != 2 {
        return Err(PyTypeError::new_err("values must be int or (int, int)"));
    }
    pair.extract()
}

fn wrong_value(value: &Bound<'_, PyAny>) -> PyErr {
    wrong_type("bytes, str, int, or kdive.Object", value)
}

/// The pattern for integers of `size` bytes, given as integers and pairs.
fn numbers(
    slf: &Bound<'_, Program>,
    size: u8,
    values: &Bound<'_, PyTuple>,
    ignore_mask: u64,
) -> PyResult<MemorySearchIterator> {
    if values.is_empty() {
        return Err(PyValueError::new_err(
            "at least one value or range is required",
        ));
    }
    let greatest = u64::MAX >> (64 - 8 * u32::from(size));
    let fits = |value: u64| {
        if value <= greatest {
            return Ok(value);
        }
        let bits = 8 * u32::from(size);
        Err(PyOverflowError::new_err(format!(
            "{value:#x} does not fit into {bits} bits"
        )))
    };
    let mut ranges = Vec::new();
    for value in values {
        let (least, greatest) = if let Ok(pair) = value.cast::<PyTuple>() {
            pair_of(pair)?
        } else {
            let value = value.extract()?;
            (value, value)
        };
        ranges.push((fits(least)?, fits(greatest)?));
    }
    let order = slf.get().inner.byte_order();
    let ignore_mask = fits(ignore_mask)?;
    let pattern = Pattern::Numbers {
        size: size.into(),
        order,
        ranges,
        ignore_mask,
    };
    MemorySearchIterator::new(slf, pattern, Yield::Number(order))
}

/// The regular expression with bytes that are no ASCII written as escapes.
fn escaped(pattern: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(pattern.len());
    for byte in pattern {
        if byte.is_ascii() {
            text.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[pymethods]
impl Program {
    /// Search all memory for bytes, for the UTF-8 of a string, or for the bytes of an object.
    #[pyo3(signature = (value, *, alignment=1))]
    fn search_memory(
        slf: &Bound<'_, Self>,
        value: &Bound<'_, PyAny>,
        alignment: u64,
    ) -> PyResult<MemorySearchIterator> {
        let inner = &slf.get().inner;
        let bytes = if let Ok(object) = value.cast::<Object>() {
            let object = &object.get().inner;
            slf.py().detach(|| object.to_bytes()).or_raise()?
        } else if let Ok(text) = value.cast::<PyString>() {
            text.to_str()?.as_bytes().to_owned()
        } else if value.hasattr(intern!(value.py(), "__index__"))? {
            let number: u64 = value.extract()?;
            let size = inner.address_size().or_raise()?;
            let bytes = number.to_le_bytes();
            let mut bytes = bytes.get(..size.into()).unwrap_or(&bytes).to_vec();
            if inner.byte_order() == ByteOrder::Big {
                bytes.reverse();
            }
            bytes
        } else {
            bytes_of(value).map_err(|_| wrong_value(value))?
        };
        if bytes.is_empty() {
            return Err(PyValueError::new_err("needle cannot be empty"));
        }
        if !alignment.is_power_of_two() {
            return Err(PyValueError::new_err("alignment must be power of 2"));
        }
        MemorySearchIterator::new(slf, Pattern::Bytes { bytes, alignment }, Yield::Address)
    }

    /// Search all memory for aligned 16-bit integers in the program's byte order.
    #[pyo3(signature = (*values, ignore_mask=0))]
    fn search_memory_u16(
        slf: &Bound<'_, Self>,
        values: &Bound<'_, PyTuple>,
        ignore_mask: u64,
    ) -> PyResult<MemorySearchIterator> {
        numbers(slf, 2, values, ignore_mask)
    }

    /// Search all memory for 32-bit integers; like `search_memory_u16`.
    #[pyo3(signature = (*values, ignore_mask=0))]
    fn search_memory_u32(
        slf: &Bound<'_, Self>,
        values: &Bound<'_, PyTuple>,
        ignore_mask: u64,
    ) -> PyResult<MemorySearchIterator> {
        numbers(slf, 4, values, ignore_mask)
    }

    /// Search all memory for 64-bit integers; like `search_memory_u16`.
    #[pyo3(signature = (*values, ignore_mask=0))]
    fn search_memory_u64(
        slf: &Bound<'_, Self>,
        values: &Bound<'_, PyTuple>,
        ignore_mask: u64,
    ) -> PyResult<MemorySearchIterator> {
        numbers(slf, 8, values, ignore_mask)
    }

    /// Search all memory for integers of the size of an address; like `search_memory_u16`.
    #[pyo3(signature = (*values, ignore_mask=0))]
    fn search_memory_word(
        slf: &Bound<'_, Self>,
        values: &Bound<'_, PyTuple>,
        ignore_mask: u64,
    ) -> PyResult<MemorySearchIterator> {
        let size = slf.get().inner.address_size().or_raise()?;
        numbers(slf, size, values, ignore_mask)
    }

    /// Search all memory for matches of a regular expression.
    fn search_memory_regex(
        slf: &Bound<'_, Self>,
        pattern: &Bound<'_, PyAny>,
    ) -> PyResult<MemorySearchIterator> {
        let (text, yields) = if let Ok(text) = pattern.cast::<PyString>() {
            (text.to_str()?.to_owned(), Yield::Text)
        } else if let Ok(bytes) = bytes_of(pattern) {
            (escaped(&bytes), Yield::Bytes)
        } else {
            return Err(PyTypeError::new_err("pattern must be bytes or str"));
        };
        let regex = regex::bytes::RegexBuilder::new(&text)
            .unicode(matches!(yields, Yield::Text))
            .build()
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        MemorySearchIterator::new(slf, Pattern::Regex(regex), yields)
    }
}
