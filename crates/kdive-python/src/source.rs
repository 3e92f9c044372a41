//! Places in source code.

use kdive_engine::stack::{StackFrame, StackTrace};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use crate::arguments::sequence_item;
use crate::errors::OrRaise;
use crate::program::Program;

/// Where an address is, as the frame that it would be in. Its name is looked up when asked for.
pub(crate) fn location_of(py: Python<'_>, frame: &StackFrame) -> PyResult<Option<Py<PyAny>>> {
    let Some(line) = py.detach(|| frame.source()).or_raise()? else {
        return Ok(None);
    };
    let named = frame.clone();
    let name = PyCFunction::new_closure(py, None, None, move |arguments, _| {
        arguments.py().detach(|| named.location_name()).or_raise()
    })?;
    let class = py.import("kdive._records")?.getattr("SourceLocation")?;
    let location = class.call1((&*line.file, line.line, line.column, name))?;
    Ok(Some(location.unbind()))
}

/// Where in the source code an address is: the innermost inlined function comes first.
#[pyclass(frozen, sequence, module = "kdive")]
pub(crate) struct SourceLocationList {
    locations: Vec<Py<PyAny>>,
    prog: Py<Program>,
}

impl SourceLocationList {
    /// The places of the frames of a trace; none if it is not known where they are.
    pub(crate) fn of_trace(
        py: Python<'_>,
        trace: &StackTrace,
        prog: &Py<Program>,
    ) -> PyResult<Option<Self>> {
        let mut locations = Vec::new();
        for frame in trace.frames() {
            locations.extend(location_of(py, &frame)?);
        }
        Ok((!locations.is_empty()).then(|| Self {
            locations,
            prog: prog.clone_ref(py),
        }))
    }
}

#[pymethods]
impl SourceLocationList {
    /// The program that it belongs to.
    #[getter]
    fn prog(&self, py: Python<'_>) -> Py<Program> {
        self.prog.clone_ref(py)
    }

    fn __len__(&self) -> usize {
        self.locations.len()
    }

    fn __getitem__(&self, i: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = i.py();
        sequence_item(
            i,
            self.locations.len(),
            |number| Ok(self.locations.get(number).map(|place| place.clone_ref(py))),
            || PyIndexError::new_err("source location list index out of range"),
        )
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        let mut lines = Vec::with_capacity(self.locations.len());
        for (number, location) in self.locations.iter().enumerate() {
            let text = location.bind(py).str()?;
            lines.push(match self.locations.len() {
                1 => text.to_string(),
                _ => format!("#{number:<2} {text}"),
            });
        }
        Ok(lines.join("\n"))
    }

    fn _repr_pretty_(
        slf: &Bound<'_, Self>,
        p: &Bound<'_, PyAny>,
        cycle: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        crate::pretty::print(slf.as_any(), p, cycle, "SourceLocationList")
    }
}
