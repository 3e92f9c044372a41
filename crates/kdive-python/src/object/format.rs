//! Printing objects.

use pyo3::prelude::*;

use super::Object;
use crate::errors::OrRaise;

impl Object {
    /// The call that makes the object.
    pub(crate) fn repr(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.inner.constructor_call()).or_raise()
    }
}

#[pymethods]
impl Object {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.repr(py)
    }
}
