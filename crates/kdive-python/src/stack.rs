//! Threads, stack traces and their frames.

use kdive_engine::stack as engine;
use pyo3::exceptions::{PyIndexError, PyLookupError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::sequence_item;
use crate::errors::OrRaise;
use crate::object::Object;
use crate::program::Program;
use crate::source::location_of;
use crate::symbol::Symbol;

/// A thread of a program.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct Thread {
    pub(crate) inner: engine::Thread,
    prog: Py<Program>,
}

impl Thread {
    pub(crate) fn new(inner: engine::Thread, prog: &Py<Program>, py: Python<'_>) -> Self {
        Self {
            inner,
            prog: prog.clone_ref(py),
        }
    }
}

#[pymethods]
impl Thread {
    /// Its ID.
    #[getter]
    fn tid(&self) -> u32 {
        self.inner.tid()
    }

    /// Its name, if it is known.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        py.detach(|| self.inner.name()).or_raise()
    }

    /// Its `struct task_struct *`.
    #[getter]
    fn object(&self, py: Python<'_>) -> PyResult<Object> {
        let object = py.detach(|| self.inner.object()).or_raise()?;
        Ok(Object::new(object, &self.prog, py))
    }

    /// Return its stack trace.
    fn stack_trace(&self, py: Python<'_>) -> PyResult<StackTrace> {
        let trace = py.detach(|| self.inner.stack_trace()).or_raise()?;
        Ok(StackTrace::new(trace, &self.prog, py))
    }
}

/// The frames of a stack, innermost first.
#[pyclass(frozen, sequence, module = "kdive")]
pub(crate) struct StackTrace {
    inner: engine::StackTrace,
    prog: Py<Program>,
}

impl StackTrace {
    pub(crate) fn new(inner: engine::StackTrace, prog: &Py<Program>, py: Python<'_>) -> Self {
        Self {
            inner,
            prog: prog.clone_ref(py),
        }
    }
}

#[pymethods]
impl StackTrace {
    /// The program that it belongs to.
    #[getter]
    fn prog(&self, py: Python<'_>) -> Py<Program> {
        self.prog.clone_ref(py)
    }

    /// Why there are no more frames, in words.
    #[getter]
    fn end_reason(&self) -> String {
        self.inner.end_reason()
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn __getitem__(&self, i: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = i.py();
        let frame = |number| {
            let Some(inner) = self.inner.frame(number) else {
                return Ok(None);
            };
            let prog = self.prog.clone_ref(py);
            Ok(Some(Py::new(py, StackFrame { inner, prog })?.into_any()))
        };
        sequence_item(i, self.inner.len(), frame, || {
            PyIndexError::new_err("stack frame index out of range")
        })
    }

    fn __str__(&self, py: Python<'_>) -> String {
        py.detach(|| self.inner.to_string())
    }

    fn _repr_pretty_(
        slf: &Bound<'_, Self>,
        p: &Bound<'_, PyAny>,
        cycle: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        crate::pretty::print(slf.as_any(), p, cycle, "StackTrace")
    }
}

/// A call of a function, also of an inlined one.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct StackFrame {
    inner: engine::StackFrame,
    prog: Py<Program>,
}

#[pymethods]
impl StackFrame {
    /// The function, or else its symbol and an offset, or else the program counter.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.inner.name()).or_raise()
    }

    /// The function, if it is known.
    #[getter]
    fn function_name(&self) -> Option<&str> {
        self.inner.function_name()
    }

    /// Whether the call was inlined: it shares the registers of its caller.
    #[getter]
    fn is_inline(&self) -> bool {
        self.inner.is_inline()
    }

    /// Whether the function left to the one before by a jump, so that its frame is gone.
    #[getter]
    fn is_tail_call(&self) -> bool {
        self.inner.is_tail_call()
    }

    /// Whether it was interrupted, so that the program counter is the next instruction.
    #[getter]
    fn interrupted(&self) -> bool {
        self.inner.is_interrupted()
    }

    /// Whether the frame, or one before it, had to be guessed.
    #[getter]
    fn is_guess(&self) -> bool {
        self.inner.is_guess()
    }

    /// The program counter.
    #[getter]
    fn pc(&self) -> u64 {
        self.inner.pc()
    }

    /// The stack pointer.
    #[getter]
    fn sp(&self) -> PyResult<u64> {
        self.inner
            .sp()
            .ok_or_else(|| PyLookupError::new_err("stack pointer is not known"))
    }

    /// Return a parameter, local variable or, after those, a global one.
    fn __getitem__(&self, py: Python<'_>, name: &str) -> PyResult<Object> {
        let object = py.detach(|| self.inner.object(name)).or_raise()?;
        Ok(Object::new(object, &self.prog, py))
    }

    fn __contains__(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        py.detach(|| self.inner.contains(name)).or_raise()
    }

    /// Return the names of all parameters and local variables.
    fn locals(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| self.inner.locals()).or_raise()
    }

    /// Return why a parameter or local variable has no value, in words; `None` if it has one.
    fn why_absent(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        py.detach(|| self.inner.why_absent(name)).or_raise()
    }

    /// Return where in the source code it is.
    fn source(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        location_of(py, &self.inner)?
            .ok_or_else(|| PyLookupError::new_err("source code location not available"))
    }

    /// Return the symbol that contains the program counter; for calls, the one before it.
    fn symbol(&self, py: Python<'_>) -> PyResult<Symbol> {
        let symbol = py.detach(|| self.inner.symbol()).or_raise()?;
        symbol.map(|inner| Symbol { inner }).ok_or_else(|| {
            let pc = self.inner.pc();
            PyLookupError::new_err(format!("could not find symbol containing {pc:#x}"))
        })
    }

    /// Return the value of a register.
    fn register(&self, reg: &str) -> PyResult<u64> {
        self.inner
            .register(reg)
            .or_raise()?
            .ok_or_else(|| PyLookupError::new_err("register value is not known"))
    }

    /// Return the values of all registers that are known.
    fn registers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let registers = PyDict::new(py);
        for (name, value) in self.inner.registers() {
            registers.set_item(name, value)?;
        }
        Ok(registers)
    }

    fn __str__(&self, py: Python<'_>) -> String {
        py.detach(|| self.inner.to_string())
    }

    fn _repr_pretty_(
        slf: &Bound<'_, Self>,
        p: &Bound<'_, PyAny>,
        cycle: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        crate::pretty::print(slf.as_any(), p, cycle, "StackFrame")
    }
}

/// A stack that was found as text.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct LoggedStack {
    inner: engine::LoggedStack,
    prog: Py<Program>,
}

impl LoggedStack {
    pub(crate) fn new(inner: engine::LoggedStack, prog: &Py<Program>, py: Python<'_>) -> Self {
        Self {
            inner,
            prog: prog.clone_ref(py),
        }
    }
}

#[pymethods]
impl LoggedStack {
    /// The number of the line of the log where it begins, from 0.
    #[getter]
    fn line(&self) -> usize {
        self.inner.line
    }

    /// Its frames.
    #[getter]
    fn trace(&self, py: Python<'_>) -> StackTrace {
        StackTrace::new(self.inner.trace.clone(), &self.prog, py)
    }

    /// The frames whose functions were not found, as the log has them.
    #[getter]
    fn unresolved(&self) -> Vec<String> {
        self.inner.unresolved.clone()
    }

    fn __str__(&self, py: Python<'_>) -> String {
        py.detach(|| self.inner.trace.to_string())
    }
}
