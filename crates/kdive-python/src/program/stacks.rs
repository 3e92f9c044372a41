//! Threads, stacks, and where addresses are in source code.

use kdive_engine::Error;
use kdive_engine::stack::{self as engine, StackOf};
use pyo3::exceptions::{PyLookupError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyString};

use super::Program;
use crate::errors::{IntoPython, OrRaise};
use crate::object::Object;
use crate::source::SourceLocationList;
use crate::stack::{LoggedStack, StackTrace, Thread};

impl Program {
    /// The address that `symbol`, `symbol+0xoffset` or a number is.
    fn address_in_source(
        slf: &Bound<'_, Self>,
        address: &Bound<'_, PyAny>,
    ) -> PyResult<Option<u64>> {
        let Ok(text) = address.cast::<PyString>() else {
            return address.extract().map(Some);
        };
        let text = text.to_str()?;
        if text.is_empty() {
            return Err(PyValueError::new_err("expected symbol name or address"));
        }
        let (name, offset) = match text.split_once('+') {
            Some(("", _)) => return Err(PyValueError::new_err("expected symbol name")),
            Some((name, offset)) => (name.trim(), number(offset.trim())?),
            None => (text.trim(), 0),
        };
        let inner = &slf.get().inner;
        let symbol = slf
            .py()
            .detach(|| inner.symbol_named(name))
            .or_raise()?
            .map(|symbol| symbol.address.checked_add(offset));
        match symbol {
            Some(address) => Ok(address),
            None if name.starts_with("0x") => number(name).map(Some),
            None => Err(PyLookupError::new_err(format!(
                "could not find symbol with name '{name}'"
            ))),
        }
    }
}

fn number(text: &str) -> PyResult<u64> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    value.map_err(|_| PyValueError::new_err("expected symbol offset"))
}

fn thread_not_found(tid: &Bound<'_, PyAny>) -> PyErr {
    PyLookupError::new_err(format!("thread with ID {tid} not found"))
}

#[pymethods]
impl Program {
    /// Iterate over the threads of the program.
    fn threads<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        let py = slf.py();
        let inner = &slf.get().inner;
        let list = PyList::empty(py);
        for thread in py.detach(|| inner.threads()).or_raise()? {
            list.append(Thread::new(thread, slf.as_unbound(), py))?;
        }
        list.try_iter()
    }

    /// Return the thread with an ID.
    fn thread(slf: &Bound<'_, Self>, tid: &Bound<'_, PyAny>) -> PyResult<Thread> {
        let py = slf.py();
        let inner = &slf.get().inner;
        // An ID that is too large for one is that of no thread.
        let number: u32 = tid
            .extract::<u64>()?
            .try_into()
            .map_err(|_| thread_not_found(tid))?;
        let thread = py.detach(|| inner.thread(number)).or_raise()?;
        Ok(Thread::new(thread, slf.as_unbound(), py))
    }

    /// Return the first thread of a process.
    fn main_thread(slf: &Bound<'_, Self>) -> PyResult<Thread> {
        let py = slf.py();
        let inner = &slf.get().inner;
        let thread = py.detach(|| inner.main_thread()).or_raise()?;
        Ok(Thread::new(thread, slf.as_unbound(), py))
    }

    /// Return the thread that caused the dump.
    fn crashed_thread(slf: &Bound<'_, Self>) -> PyResult<Thread> {
        let py = slf.py();
        let inner = &slf.get().inner;
        let thread = py.detach(|| inner.crashed_thread()).or_raise()?;
        Ok(Thread::new(thread, slf.as_unbound(), py))
    }

    /// Return the stack trace of a thread, a task or saved registers.
    fn stack_trace(slf: &Bound<'_, Self>, thread: &Bound<'_, PyAny>) -> PyResult<StackTrace> {
        let py = slf.py();
        let inner = &slf.get().inner;
        let trace = match thread.cast::<Object>() {
            Ok(object) if !object.get().is_integer()? => {
                let object = object.get();
                py.detach(|| inner.stack_trace_of(&object.inner))
            }
            _ => {
                let tid = match thread.extract::<i64>() {
                    // An object converts to C's type, and is the ID of no thread then.
                    Ok(negative) if negative < 0 && thread.is_instance_of::<Object>() => u64::MAX,
                    _ => thread.extract()?,
                };
                let tid = u32::try_from(tid).map_err(|_| {
                    PyLookupError::new_err(if inner.is_kernel() {
                        "task not found"
                    } else {
                        "thread not found"
                    })
                })?;
                py.detach(|| inner.stack_trace_of_thread(tid))
            }
        };
        Ok(StackTrace::new(trace.or_raise()?, slf.as_unbound(), py))
    }

    /// Return the stack traces of many threads, unwound by all processors at once.
    fn stack_traces(slf: &Bound<'_, Self>, threads: &Bound<'_, PyAny>) -> PyResult<Py<PyList>> {
        let py = slf.py();
        let inner = &slf.get().inner;
        let mut stacks = Vec::new();
        for thread in threads.try_iter()? {
            let thread = thread?;
            stacks.push(if let Ok(thread) = thread.cast::<Thread>() {
                StackOf::Thread(thread.get().inner.clone())
            } else {
                StackOf::Object(thread.cast::<Object>()?.get().inner.clone())
            });
        }
        let traces = py.detach(|| inner.stack_traces_of(&stacks));
        let list = PyList::empty(py);
        for trace in traces {
            let trace = match trace {
                Err(error @ Error::Type(_)) => return Err(error.into_python()),
                Err(error) => engine::StackTrace::failed(inner, error),
                Ok(trace) => trace,
            };
            list.append(StackTrace::new(trace, slf.as_unbound(), py))?;
        }
        Ok(list.unbind())
    }

    /// Return the stacks that a kernel log has as text.
    fn stack_traces_in_log<'py>(slf: &Bound<'py, Self>, log: &str) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        let inner = &slf.get().inner;
        let list = PyList::empty(py);
        for stack in py.detach(|| inner.stack_traces_in_log(log)).or_raise()? {
            list.append(LoggedStack::new(stack, slf.as_unbound(), py))?;
        }
        Ok(list)
    }

    /// Return a stack trace of program counters.
    fn stack_trace_from_pcs(slf: &Bound<'_, Self>, pcs: Vec<u64>) -> PyResult<StackTrace> {
        let py = slf.py();
        let inner = &slf.get().inner;
        let trace = py.detach(|| inner.stack_trace_from_pcs(&pcs)).or_raise()?;
        Ok(StackTrace::new(trace, slf.as_unbound(), py))
    }

    /// Return where in the source code an address is.
    #[pyo3(signature = (address, /))]
    fn source_location(
        slf: &Bound<'_, Self>,
        address: &Bound<'_, PyAny>,
    ) -> PyResult<SourceLocationList> {
        let py = slf.py();
        let inner = &slf.get().inner;
        let not_found = || PyLookupError::new_err("source code location not found");
        // A saved program counter is one that a call returns to: the code is before it.
        let returned_to = Self::address_in_source(slf, address)?
            .and_then(|address| address.checked_add(1))
            .ok_or_else(not_found)?;
        let trace = py
            .detach(|| inner.stack_trace_from_pcs(&[returned_to]))
            .or_raise()?;
        SourceLocationList::of_trace(py, &trace, slf.as_unbound())?.ok_or_else(not_found)
    }
}
