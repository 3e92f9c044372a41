//! The program that a thread uses when none is given.

use std::cell::RefCell;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::Program;
use crate::errors::no_default_program;

thread_local! {
    static DEFAULT: RefCell<Option<Py<Program>>> = const { RefCell::new(None) };
}

/// The program that this thread uses when none is given.
pub(crate) fn default_program(py: Python<'_>) -> PyResult<Bound<'_, Program>> {
    DEFAULT
        .with_borrow(|prog| prog.as_ref().map(|prog| prog.bind(py).clone()))
        .ok_or_else(no_default_program)
}

/// Return the program that this thread uses when none is given.
#[pyfunction]
pub(crate) fn get_default_prog(py: Python<'_>) -> PyResult<Bound<'_, Program>> {
    default_program(py)
}

/// Set or clear the program that this thread uses when none is given.
#[pyfunction]
#[pyo3(signature = (prog, /))]
pub(crate) fn set_default_prog(prog: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let prog = prog
        .map(|prog| match prog.cast::<Program>() {
            Ok(prog) => Ok(prog.clone().unbind()),
            Err(_) => Err(PyTypeError::new_err("prog must be Program or None")),
        })
        .transpose()?;
    // Dropped after the cell is free again: that may run any Python code.
    let previous = DEFAULT.with(|cell| cell.replace(prog));
    drop(previous);
    Ok(())
}
