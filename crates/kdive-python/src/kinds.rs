//! Sets of kinds of types.

use kdive_debuginfo::description::TypeKinds;
use kdive_engine::TypeKind;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pyclass::CompareOp;
use pyo3::types::{PyIterator, PyList};

use crate::enums::Enumeration;

/// An immutable set of kinds of types.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct TypeKindSet {
    pub(crate) kinds: TypeKinds,
}

/// The set of the kinds that an iterable yields.
fn collect(kinds: &Bound<'_, PyAny>) -> PyResult<TypeKinds> {
    if let Ok(set) = kinds.cast::<TypeKindSet>() {
        return Ok(set.get().kinds);
    }
    let mut found = TypeKinds::empty();
    for kind in kinds.try_iter()? {
        let kind = TypeKind::find(&kind?)?
            .ok_or_else(|| PyTypeError::new_err("TypeKindSet elements must be TypeKind"))?;
        found |= kind.as_set();
    }
    Ok(found)
}

/// The set of those that are kinds of what an iterable yields.
fn among(items: &Bound<'_, PyAny>) -> PyResult<TypeKinds> {
    let mut found = TypeKinds::empty();
    for item in items.try_iter()? {
        if let Some(kind) = TypeKind::find(&item?)? {
            found |= kind.as_set();
        }
    }
    Ok(found)
}

impl TypeKindSet {
    fn with(
        &self,
        other: &Bound<'_, PyAny>,
        combine: impl FnOnce(TypeKinds, TypeKinds) -> TypeKinds,
    ) -> PyResult<Self> {
        Ok(Self {
            kinds: combine(self.kinds, collect(other)?),
        })
    }

    fn elements<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for (kind, _) in TypeKind::MEMBERS {
            if self.kinds.contains(kind.as_set()) {
                list.append(kind.to_python(py)?)?;
            }
        }
        Ok(list)
    }
}

#[pymethods]
impl TypeKindSet {
    #[new]
    #[pyo3(signature = (kinds=None, /))]
    fn new(kinds: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self {
            kinds: kinds.map_or(Ok(TypeKinds::empty()), collect)?,
        })
    }

    fn __contains__(&self, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(TypeKind::find(item)?.is_some_and(|kind| self.kinds.contains(kind.as_set())))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.elements(py)?.try_iter()
    }

    fn __len__(&self) -> usize {
        self.kinds.iter().count()
    }

    fn __hash__(&self) -> u64 {
        u64::from(self.kinds.bits())
    }

    fn __richcmp__(
        &self,
        other: &Bound<'_, PyAny>,
        operator: CompareOp,
        py: Python<'_>,
    ) -> PyResult<Py<PyAny>> {
        let set = py.import("collections.abc")?.getattr("Set")?;
        if !other.is_instance(&set)? {
            return Ok(py.NotImplemented());
        }
        // A set of anything: what is no kind is in neither half of the comparison but counts.
        let mut theirs = TypeKinds::empty();
        let mut has_others = false;
        for item in other.try_iter()? {
            match TypeKind::find(&item?)? {
                Some(kind) => theirs |= kind.as_set(),
                None => has_others = true,
            }
        }
        let is_equal = self.kinds == theirs && !has_others;
        let is_subset = theirs.contains(self.kinds);
        let is_superset = self.kinds.contains(theirs) && !has_others;
        let result = match operator {
            CompareOp::Eq => is_equal,
            CompareOp::Ne => !is_equal,
            CompareOp::Le => is_subset,
            CompareOp::Lt => is_subset && !is_equal,
            CompareOp::Ge => is_superset,
            CompareOp::Gt => is_superset && !is_equal,
        };
        Ok(result.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __and__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        let kinds = self.kinds & among(other)?;
        Ok(Self { kinds })
    }

    fn __rand__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.__and__(other)
    }

    fn __or__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with(other, |left, right| left | right)
    }

    fn __ror__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with(other, |left, right| left | right)
    }

    fn __xor__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with(other, |left, right| left ^ right)
    }

    fn __rxor__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with(other, |left, right| left ^ right)
    }

    fn __sub__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with(other, |left, right| left - right)
    }

    fn __rsub__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with(other, |left, right| right - left)
    }

    /// Return whether no kind is in both sets.
    fn isdisjoint(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok((self.kinds & among(other)?).is_empty())
    }

    fn __repr__(&self) -> String {
        if self.kinds.is_empty() {
            return "TypeKindSet()".to_owned();
        }
        let mut names = Vec::new();
        for (kind, name) in TypeKind::MEMBERS {
            if self.kinds.contains(kind.as_set()) {
                names.push(format!("TypeKind.{name}"));
            }
        }
        format!("TypeKindSet({{{}}})", names.join(", "))
    }
}
