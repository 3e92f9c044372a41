//! Walks along chains and down trees of pointers, which the helpers for the Linux kernel are made of;
//! private.
//!
//! One step is one read, made when the next element is asked for: a walk that is not finished does
//! not touch what it did not come to, and a fault is raised where the chain leads to it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use kdive_engine as engine;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList};

use crate::arguments::{Size, Truth};
use crate::errors::OrRaise;
use crate::object::storage;
use crate::program::Program;
use crate::types::Type;

/// Reads the pointer-sized member at an offset of the structure at an address.
#[pyclass(frozen, module = "kdive._native", name = "_MemberReader")]
pub(crate) struct MemberReader {
    prog: Py<Program>,
    offset: u64,
    size: u8,
}

#[pymethods]
impl MemberReader {
    #[new]
    fn new(prog: &Bound<'_, Program>, offset: u64) -> PyResult<Self> {
        Ok(Self {
            size: prog.get().inner.address_size().or_raise()?,
            prog: prog.clone().unbind(),
            offset,
        })
    }

    fn __call__(&self, py: Python<'_>, address: u64) -> PyResult<u64> {
        let prog = self.prog.get();
        let place = address.wrapping_add(self.offset) & prog.inner.address_mask();
        prog.read_uint(py, place, false, self.size)
    }
}

/// The exception for a structure that cannot be what it should be.
fn validation_error(py: Python<'_>, message: String) -> PyResult<PyErr> {
    let error = py.import("kdive.helpers")?.getattr("ValidationError")?;
    Ok(PyErr::from_value(error.call1((message,))?))
}

/// The state of a walk, which one thread at a time may take to make a step. No lock is held
/// meanwhile, since reading memory may let other threads run.
struct Walk<T>(Mutex<Option<T>>);

impl<T> Walk<T> {
    fn new(state: T) -> Self {
        Self(Mutex::new(Some(state)))
    }

    /// Makes a step. After one that fails, the walk is at its end.
    fn step<R>(
        &self,
        end: impl FnOnce() -> T,
        step: impl FnOnce(&mut T) -> PyResult<R>,
    ) -> PyResult<R> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut state) = taken else {
            return Err(PyValueError::new_err("walk already executing"));
        };
        let result = step(&mut state);
        if result.is_err() {
            state = end();
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        result
    }
}

/// What follows an address.
enum Step {
    Member(Py<MemberReader>),
    Function(Py<PyAny>),
}

/// How far a walk has come.
enum Progress {
    /// At an address that was not given yet.
    At(Place),
    /// The address was given; its successor is looked for when it is wanted.
    After(Place),
    Done,
}

/// An address, and what finds cycles by Brent's algorithm: a marked address is compared with each
/// one that follows and is moved forward at growing distances, which needs no memory.
#[derive(Clone, Copy)]
struct Place {
    address: u64,
    marked: u64,
    steps_left: u64,
    limit: u64,
}

/// The distance at which the marked address is moved first.
const FIRST_LIMIT: u64 = 64;

/// The addresses of a chain from the first one on, until one is the end.
#[pyclass(frozen, module = "kdive._native", name = "_Chain")]
pub(crate) struct Chain {
    step: Step,
    first: u64,
    end: u64,
    kind: String,
    progress: Walk<Progress>,
}

impl Chain {
    fn advance(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        let step = |progress: &mut Progress| {
            let place = match *progress {
                Progress::At(place) => place,
                Progress::After(place) => self.next_place(py, place)?,
                Progress::Done => return Ok(None),
            };
            if place.address == self.end {
                *progress = Progress::Done;
                return Ok(None);
            }
            *progress = Progress::After(place);
            Ok(Some(place.address))
        };
        self.progress.step(|| Progress::Done, step)
    }

    fn next_place(&self, py: Python<'_>, mut place: Place) -> PyResult<Place> {
        place.address = match &self.step {
            Step::Member(reader) => reader.get().__call__(py, place.address)?,
            Step::Function(function) => function.call1(py, (place.address,))?.extract(py)?,
        };
        if place.address == place.marked && place.address != self.end {
            let message = format!(
                "{} {:#x} runs into a cycle at {:#x}",
                self.kind, self.first, place.address
            );
            return Err(validation_error(py, message)?);
        }
        place.steps_left -= 1;
        if place.steps_left == 0 {
            place.marked = place.address;
            place.limit = place.limit.saturating_mul(2);
            place.steps_left = place.limit;
        }
        Ok(place)
    }
}

#[pymethods]
impl Chain {
    #[new]
    fn new(step: &Bound<'_, PyAny>, first: u64, end: u64, kind: String) -> Self {
        let step = match step.cast::<MemberReader>() {
            Ok(reader) => Step::Member(reader.clone().unbind()),
            Err(_) => Step::Function(step.clone().unbind()),
        };
        let place = Place {
            address: first,
            marked: first,
            steps_left: FIRST_LIMIT,
            limit: FIRST_LIMIT,
        };
        Self {
            step,
            first,
            end,
            kind,
            progress: Walk::new(Progress::At(place)),
        }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.advance(py)
    }
}

/// The addresses of the nodes of a binary tree in order: what is left of a node, the node, what is
/// right of it. No node comes twice, which would be a cycle.
#[pyclass(frozen, module = "kdive._native", name = "_BinaryTree")]
pub(crate) struct BinaryTree {
    left: Py<MemberReader>,
    right: Py<MemberReader>,
    kind: String,
    progress: Walk<Descent>,
}

/// Where a walk down a tree is.
#[derive(Default)]
struct Descent {
    /// The tree to go into next, unless it is 0.
    below: u64,
    /// The nodes whose left trees are being walked, with their right trees.
    pending: Vec<(u64, u64)>,
    seen: HashSet<u64>,
}

impl BinaryTree {
    fn advance(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.progress.step(Descent::default, |descent| {
            while descent.below != 0 {
                let node = descent.below;
                if !descent.seen.insert(node) {
                    let message = format!("{} reaches node {node:#x} twice", self.kind);
                    return Err(validation_error(py, message)?);
                }
                descent.below = self.left.get().__call__(py, node)?;
                let right = self.right.get().__call__(py, node)?;
                descent.pending.push((node, right));
            }
            Ok(descent.pending.pop().map(|(node, right)| {
                descent.below = right;
                node
            }))
        })
    }
}

#[pymethods]
impl BinaryTree {
    #[new]
    fn new(
        left: &Bound<'_, MemberReader>,
        right: &Bound<'_, MemberReader>,
        root: u64,
        kind: String,
    ) -> Self {
        Self {
            left: left.clone().unbind(),
            right: right.clone().unbind(),
            kind,
            progress: Walk::new(Descent {
                below: root,
                ..Descent::default()
            }),
        }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.advance(py)
    }
}

/// Where addresses come from.
enum Addresses {
    Chain(Py<Chain>),
    Tree(Py<BinaryTree>),
    Iterator(Py<PyIterator>),
}

/// Addresses, less an offset, as pointers of a type.
#[pyclass(frozen, module = "kdive._native", name = "_Pointers")]
pub(crate) struct Pointers {
    prog: Py<Program>,
    ty: engine::Type,
    addresses: Addresses,
    offset: u64,
}

#[pymethods]
impl Pointers {
    #[new]
    #[pyo3(signature = (r#type, addresses, offset=0))]
    fn new(r#type: &Bound<'_, Type>, addresses: &Bound<'_, PyAny>, offset: u64) -> PyResult<Self> {
        let py = addresses.py();
        let Type { inner: ty, prog } = r#type.get();
        if ty.unaliased_kind().or_raise()? != engine::TypeKind::Pointer {
            return Err(PyTypeError::new_err("the type must be one of pointers"));
        }
        Ok(Self {
            prog: prog.clone_ref(py),
            ty: ty.clone(),
            addresses: if let Ok(chain) = addresses.cast::<Chain>() {
                Addresses::Chain(chain.clone().unbind())
            } else if let Ok(tree) = addresses.cast::<BinaryTree>() {
                Addresses::Tree(tree.clone().unbind())
            } else {
                Addresses::Iterator(addresses.try_iter()?.unbind())
            },
            offset,
        })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let address = match &self.addresses {
            Addresses::Chain(chain) => chain.get().advance(py)?,
            Addresses::Tree(tree) => tree.get().advance(py)?,
            Addresses::Iterator(iterator) => match iterator.bind(py).clone().next() {
                Some(address) => Some(address?.extract()?),
                None => None,
            },
        };
        let Some(address) = address else {
            return Ok(None);
        };
        let program = &self.prog.get().inner;
        let address = address.wrapping_sub(self.offset);
        let pointer = engine::Object::from_word(program, self.ty.clone(), address).or_raise()?;
        storage::create(py, pointer, &self.prog).map(Some)
    }
}

/// The words of the size of a pointer at an address.
#[pyfunction]
#[pyo3(name = "_words_at")]
pub(crate) fn words_at<'py>(
    prog: &Bound<'py, Program>,
    address: u64,
    count: u64,
) -> PyResult<Bound<'py, PyList>> {
    let py = prog.py();
    let prog = prog.get();
    let size = prog.inner.address_size().or_raise()?;
    let order = prog.inner.byte_order();
    let bytes: Bound<'_, PyBytes> = prog.read(
        py,
        address,
        Size(count.saturating_mul(size.into())),
        Truth(false),
    )?;
    let words = bytes
        .as_bytes()
        .chunks_exact(usize::from(size).max(1))
        .map(|bytes| {
            let mut word = [0; 8];
            if let Some(low) = word.get_mut(..bytes.len()) {
                low.copy_from_slice(bytes);
                if order == kdive_target::ByteOrder::Big {
                    low.reverse();
                }
            }
            u64::from_le_bytes(word)
        });
    PyList::new(py, words)
}
