//! Printing objects.

use kdive_engine::object::{FormatFlags, FormatOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::Object;
use crate::arguments::Truth;
use crate::errors::OrRaise;

impl Object {
    /// The call that makes the object.
    pub(crate) fn repr(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.inner.constructor_call()).or_raise()
    }
}

#[pymethods]
impl Object {
    #[pyo3(signature = (
        *, columns=None, integer_base=None, dereference=None, symbolize=None, string=None,
        char=None, type_name=None, member_type_names=None, element_type_names=None,
        members_same_line=None, elements_same_line=None, member_names=None, element_indices=None,
        implicit_members=None, implicit_elements=None
    ))]
    #[allow(
        clippy::too_many_arguments,
        reason = "each is a keyword of the public function"
    )]
    fn format_(
        &self,
        py: Python<'_>,
        columns: Option<usize>,
        integer_base: Option<u8>,
        dereference: Option<Truth>,
        symbolize: Option<Truth>,
        string: Option<Truth>,
        char: Option<Truth>,
        type_name: Option<Truth>,
        member_type_names: Option<Truth>,
        element_type_names: Option<Truth>,
        members_same_line: Option<Truth>,
        elements_same_line: Option<Truth>,
        member_names: Option<Truth>,
        element_indices: Option<Truth>,
        implicit_members: Option<Truth>,
        implicit_elements: Option<Truth>,
    ) -> PyResult<String> {
        let mut options = FormatOptions {
            columns,
            ..FormatOptions::default()
        };
        if let Some(base) = integer_base {
            if ![8, 10, 16].contains(&base) {
                return Err(PyValueError::new_err("integer_base must be 8, 10, or 16"));
            }
            options.integer_base = base;
        }
        for (flag, wanted) in [
            (FormatFlags::DEREFERENCE, dereference),
            (FormatFlags::SYMBOLIZE, symbolize),
            (FormatFlags::STRING, string),
            (FormatFlags::CHAR, char),
            (FormatFlags::TYPE_NAME, type_name),
            (FormatFlags::MEMBER_TYPE_NAMES, member_type_names),
            (FormatFlags::ELEMENT_TYPE_NAMES, element_type_names),
            (FormatFlags::MEMBERS_SAME_LINE, members_same_line),
            (FormatFlags::ELEMENTS_SAME_LINE, elements_same_line),
            (FormatFlags::MEMBER_NAMES, member_names),
            (FormatFlags::ELEMENT_INDICES, element_indices),
            (FormatFlags::IMPLICIT_MEMBERS, implicit_members),
            (FormatFlags::IMPLICIT_ELEMENTS, implicit_elements),
        ] {
            if let Some(wanted) = wanted {
                options.flags.set(flag, wanted.0);
            }
        }
        py.detach(|| self.inner.format(&options)).or_raise()
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.inner.format(&FormatOptions::default()))
            .or_raise()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.repr(py)
    }

    fn _repr_pretty_(
        slf: &Bound<'_, Self>,
        p: &Bound<'_, PyAny>,
        cycle: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        crate::pretty::print(slf.as_any(), p, cycle, "Object")
    }
}
