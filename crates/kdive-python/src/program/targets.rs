//! What a program looks into, and how whole that is.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use kdive_target::verify::{Verification, verify};
use kdive_target::{ExcludedPages, OpenOptions, Target};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyString, PyTuple};

use super::Program;
use crate::arguments::{FilePath, Text, Truth};
use crate::enums::wrong_type;
use crate::errors::{IntoPython, OrRaise, from_io};
use crate::log;

/// The file or files of a core dump.
pub(crate) enum CoreDump {
    Path(PathBuf),
    Descriptor(i32),
    /// The files of one dump, in any order.
    Split(Vec<PathBuf>),
}

impl<'py> FromPyObject<'_, 'py> for CoreDump {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyInt>() {
            return object.extract().map(Self::Descriptor);
        }
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            let paths: PyResult<Vec<PathBuf>> = object
                .try_iter()?
                .map(|path| Ok(path?.extract::<FilePath>()?.0))
                .collect();
            return paths.map(Self::Split);
        }
        object.extract::<FilePath>().map(|path| Self::Path(path.0))
    }
}

impl CoreDump {
    fn open(self, options: &OpenOptions) -> PyResult<Target> {
        match self {
            Self::Path(path) => kdive_target::open(&path, options),
            Self::Descriptor(number) => kdive_target::open_file(duplicate(number)?, options),
            Self::Split(paths) => kdive_target::open_split(&paths, options),
        }
        .map_err(IntoPython::into_python)
    }
}

thread_local! {
    /// What a handler of a signal raised while a dump was opened.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Runs the handlers of signals, and says whether one raised something: Ctrl-C does.
fn is_interrupted() -> bool {
    Python::attach(|py| match py.check_signals() {
        Ok(()) => false,
        Err(error) => {
            RAISED.set(Some(error));
            true
        }
    })
}

fn excluded_pages(name: &str) -> PyResult<ExcludedPages> {
    match name {
        "fault" => Ok(ExcludedPages::Fault),
        "zero" => Ok(ExcludedPages::Zero),
        _ => Err(PyValueError::new_err(
            "excluded_pages must be 'fault' or 'zero'",
        )),
    }
}

fn already_initialized() -> PyErr {
    PyValueError::new_err("program memory was already initialized")
}

/// A descriptor of its own for an open file.
fn duplicate(number: i32) -> PyResult<OwnedFd> {
    if number < 0 {
        return Err(PyValueError::new_err("fd is negative"));
    }
    // SAFETY: the number is not -1, and is only borrowed while it is duplicated; a number that
    // is not open makes the duplication fail.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed
        .try_clone_to_owned()
        .map_err(|error| from_io(Path::new(&format!("/proc/self/fd/{number}")), &error))
}

impl Program {
    fn open_options(&self) -> OpenOptions {
        OpenOptions {
            architecture: self.inner.platform().map(|platform| platform.architecture),
            vmcoreinfo: self.vmcoreinfo.clone(),
            ..OpenOptions::default()
        }
    }

    /// For targets that run, of which a page once read may stay what it was.
    fn live_options(&self, snapshot: bool) -> OpenOptions {
        OpenOptions {
            snapshot,
            ..self.open_options()
        }
    }

    /// A program that has memory can't be given a target, whatever that would be.
    fn check_no_memory(&self) -> PyResult<()> {
        if self.inner.has_memory() {
            return Err(already_initialized());
        }
        Ok(())
    }

    fn set_target(slf: &Bound<'_, Self>, target: Target) -> PyResult<()> {
        let py = slf.py();
        for remark in &target.remarks {
            log::warning(py, remark)?;
        }
        for notice in &target.notices {
            log::info(py, notice)?;
        }
        let inner = &slf.get().inner;
        py.detach(|| inner.set_target(target)).or_raise()?;
        let plugins = py.import("kdive.plugins")?;
        plugins.call_method1("call", ("drgn_prog_set", slf))?;
        Ok(())
    }
}

#[pymethods]
impl Program {
    /// Make a core dump the target, given its path, an open file descriptor, or a list of the
    /// paths of a split dump.
    #[pyo3(signature = (path, *, excluded_pages="fault", allow_truncated=true, snapshot=false))]
    pub(crate) fn set_core_dump(
        slf: &Bound<'_, Self>,
        path: CoreDump,
        excluded_pages: &str,
        allow_truncated: bool,
        snapshot: bool,
    ) -> PyResult<()> {
        let (py, prog) = (slf.py(), slf.get());
        prog.check_no_memory()?;
        let options = OpenOptions {
            snapshot,
            excluded_pages: self::excluded_pages(excluded_pages)?,
            refuse_truncated: !allow_truncated,
            is_interrupted: Some(is_interrupted),
            ..prog.open_options()
        };
        let target = py.detach(|| path.open(&options));
        if let Some(error) = RAISED.take() {
            return Err(error);
        }
        Self::set_target(slf, target?)
    }

    /// Make the running kernel the target; needs the right to read `/proc/kcore`.
    #[pyo3(signature = (*, snapshot=false))]
    pub(crate) fn set_kernel(slf: &Bound<'_, Self>, snapshot: bool) -> PyResult<()> {
        let (py, prog) = (slf.py(), slf.get());
        prog.check_no_memory()?;
        let options = prog.live_options(snapshot);
        let target = py
            .detach(|| kdive_target::open_live_kernel(&options))
            .or_raise()?;
        Self::set_target(slf, target)
    }

    /// Make a running process the target; needs the right to trace it.
    #[pyo3(signature = (pid, *, snapshot=false))]
    pub(crate) fn set_pid(slf: &Bound<'_, Self>, pid: u32, snapshot: bool) -> PyResult<()> {
        let (py, prog) = (slf.py(), slf.get());
        prog.check_no_memory()?;
        let options = prog.live_options(snapshot);
        let target = py
            .detach(|| kdive_target::open_process(pid, &options))
            .or_raise()?;
        Self::set_target(slf, target)
    }

    /// Make the kernel of a guest of QEMU the target, given its QMP socket: a path, `HOST:PORT`
    /// or a connected file descriptor.
    #[pyo3(signature = (address, *, snapshot=false))]
    fn set_qemu_qmp(
        slf: &Bound<'_, Self>,
        address: &Bound<'_, PyAny>,
        snapshot: bool,
    ) -> PyResult<()> {
        let (py, prog) = (slf.py(), slf.get());
        let options = prog.live_options(snapshot);
        let target = if let Ok(number) = address.cast::<PyInt>() {
            let socket = duplicate(number.extract()?)?;
            py.detach(|| kdive_target::open_qemu_socket(socket, &options))
        } else if let Ok(name) = address.cast::<PyString>() {
            let name = name.to_str()?;
            py.detach(|| kdive_target::open_qemu(name, &options))
        } else {
            return Err(wrong_type("str or int", address));
        };
        Self::set_target(slf, target.or_raise()?)
    }

    /// Make a kernel the target whose memory `add_memory_segment()` has provided.
    fn set_linux_kernel_custom(
        slf: &Bound<'_, Self>,
        vmcoreinfo: Text,
        is_live: Truth,
    ) -> PyResult<()> {
        let (py, inner) = (slf.py(), &slf.get().inner);
        if inner.target().is_some() {
            return Err(already_initialized());
        }
        let memory = inner.memory().clone();
        let platform = inner.platform();
        let target =
            py.detach(|| kdive_target::custom_kernel(memory, platform, &vmcoreinfo.0, is_live.0));
        Self::set_target(slf, target)
    }

    /// Read all memory of the target, and check what it says of itself.
    #[pyo3(signature = (progress=None))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let target = self
            .inner
            .target()
            .ok_or_else(|| PyValueError::new_err("the program has no target to verify"))?;
        let mut raised = None;
        let found = py.detach(|| {
            verify(target, |done, total| {
                let goes_on = Python::attach(|py| {
                    py.check_signals()?;
                    match &progress {
                        Some(progress) => progress.call1(py, (done, total)).map(drop),
                        None => Ok(()),
                    }
                });
                match goes_on {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        raised = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
        });
        match raised {
            Some(error) => Err(error),
            None => to_python(py, &found),
        }
    }
}

fn to_python<'py>(py: Python<'py>, found: &Verification) -> PyResult<Bound<'py, PyAny>> {
    let records = py.import("kdive._records")?;
    let damage = records.getattr("Damage")?;
    let damages: PyResult<Vec<Bound<'_, PyAny>>> = found
        .damages
        .iter()
        .map(|it| damage.call1((it.address, it.size, &it.reason)))
        .collect();
    records.getattr("Verification")?.call1((
        found.expected_bytes,
        found.readable_bytes,
        damages?,
        &found.problems,
        found.is_usable,
    ))
}

/// A new program with the target that is set, and the debug information that is found.
fn opened(
    py: Python<'_>,
    set_target: impl FnOnce(&Bound<'_, Program>) -> PyResult<()>,
) -> PyResult<Py<Program>> {
    let prog = Program::new(py, None, None)?;
    set_target(prog.bind(py))?;
    prog.get().load_what_is_found(py)?;
    Ok(prog)
}

/// Open a core dump, given its path or an open file descriptor, and load debug information.
#[pyfunction]
pub(crate) fn program_from_core_dump(py: Python<'_>, path: CoreDump) -> PyResult<Py<Program>> {
    opened(py, |prog| {
        Program::set_core_dump(prog, path, "fault", true, false)
    })
}

/// Open the running kernel and load debug information.
#[pyfunction]
pub(crate) fn program_from_kernel(py: Python<'_>) -> PyResult<Py<Program>> {
    opened(py, |prog| Program::set_kernel(prog, false))
}

/// Open a running process and load debug information.
#[pyfunction]
pub(crate) fn program_from_pid(py: Python<'_>, pid: u32) -> PyResult<Py<Program>> {
    opened(py, |prog| Program::set_pid(prog, pid, false))
}
