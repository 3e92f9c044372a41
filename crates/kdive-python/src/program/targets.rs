//! What a program looks into, and how whole that is.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use kdive_target::verify::{Verification, verify};
use kdive_target::{ExcludedPages, OpenOptions, Target};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyString, PyTuple};

use super::Program;
use crate::arguments::{FilePath, Text, Truth};
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

    fn set_target(&self, py: Python<'_>, target: Target) -> PyResult<()> {
        for remark in &target.remarks {
            log::warning(py, remark)?;
        }
        for notice in &target.notices {
            log::info(py, notice)?;
        }
        py.detach(|| self.inner.set_target(target)).or_raise()
    }
}

#[pymethods]
impl Program {
    /// Make a core dump the target, given its path, an open file descriptor, or a list of the
    /// paths of a split dump.
    #[pyo3(signature = (path, *, excluded_pages="fault", allow_truncated=true, snapshot=false))]
    pub(crate) fn set_core_dump(
        &self,
        py: Python<'_>,
        path: CoreDump,
        excluded_pages: &str,
        allow_truncated: bool,
        snapshot: bool,
    ) -> PyResult<()> {
        let options = OpenOptions {
            snapshot,
            excluded_pages: self::excluded_pages(excluded_pages)?,
            refuse_truncated: !allow_truncated,
            is_interrupted: Some(is_interrupted),
            ..self.open_options()
        };
        let target = py.detach(|| path.open(&options));
        if let Some(error) = RAISED.take() {
            return Err(error);
        }
        self.set_target(py, target?)
    }

    /// Make the running kernel the target; needs the right to read `/proc/kcore`.
    #[pyo3(signature = (*, snapshot=false))]
    pub(crate) fn set_kernel(&self, py: Python<'_>, snapshot: bool) -> PyResult<()> {
        let options = self.live_options(snapshot);
        let target = py
            .detach(|| kdive_target::open_live_kernel(&options))
            .or_raise()?;
        self.set_target(py, target)
    }

    /// Make a running process the target; needs the right to trace it.
    #[pyo3(signature = (pid, *, snapshot=false))]
    pub(crate) fn set_pid(&self, py: Python<'_>, pid: u32, snapshot: bool) -> PyResult<()> {
        let options = self.live_options(snapshot);
        let target = py
            .detach(|| kdive_target::open_process(pid, &options))
            .or_raise()?;
        self.set_target(py, target)
    }

    /// Make the kernel of a guest of QEMU the target, given its QMP socket: a path, `HOST:PORT`
    /// or a connected file descriptor.
    #[pyo3(signature = (address, *, snapshot=false))]
    fn set_qemu_qmp(
        &self,
        py: Python<'_>,
        address: &Bound<'_, PyAny>,
        snapshot: bool,
    ) -> PyResult<()> {
        let options = self.live_options(snapshot);
        let target = if let Ok(number) = address.cast::<PyInt>() {
            let socket = duplicate(number.extract()?)?;
            py.detach(|| kdive_target::open_qemu_socket(socket, &options))
        } else if let Ok(name) = address.cast::<PyString>() {
            let name = name.to_str()?;
            py.detach(|| kdive_target::open_qemu(name, &options))
        } else {
            return Err(PyTypeError::new_err("address must be str or int"));
        };
        self.set_target(py, target.or_raise()?)
    }

    /// Make a kernel the target whose memory `add_memory_segment()` has provided.
    fn set_linux_kernel_custom(
        &self,
        py: Python<'_>,
        vmcoreinfo: Text,
        is_live: Truth,
    ) -> PyResult<()> {
        if self.inner.target().is_some() {
            return Err(PyValueError::new_err(
                "program memory was already initialized",
            ));
        }
        let memory = self.inner.memory().clone();
        let platform = self.inner.platform();
        let target =
            py.detach(|| kdive_target::custom_kernel(memory, platform, &vmcoreinfo.0, is_live.0));
        self.set_target(py, target)
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
    set_target: impl FnOnce(&Program) -> PyResult<()>,
) -> PyResult<Py<Program>> {
    let prog = Program::new(py, None, None)?;
    set_target(prog.get())?;
    prog.get().load_what_is_found(py)?;
    Ok(prog)
}

/// Open a core dump, given its path or an open file descriptor, and load debug information.
#[pyfunction]
pub(crate) fn program_from_core_dump(py: Python<'_>, path: CoreDump) -> PyResult<Py<Program>> {
    opened(py, |prog| {
        prog.set_core_dump(py, path, "fault", true, false)
    })
}

/// Open the running kernel and load debug information.
#[pyfunction]
pub(crate) fn program_from_kernel(py: Python<'_>) -> PyResult<Py<Program>> {
    opened(py, |prog| prog.set_kernel(py, false))
}

/// Open a running process and load debug information.
#[pyfunction]
pub(crate) fn program_from_pid(py: Python<'_>, pid: u32) -> PyResult<Py<Program>> {
    opened(py, |prog| prog.set_pid(py, pid, false))
}
