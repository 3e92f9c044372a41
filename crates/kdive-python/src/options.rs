//! How the files of modules are searched for.

use std::sync::{Arc, Mutex, PoisonError};

use kdive_engine as engine;
use kdive_engine::module::{DebugInfoOptions as Inner, KmodSearchMethod};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::arguments::{FilePath, Truth};
use crate::enums::Enumeration;

/// How the files of modules are searched for; every attribute may be set.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct DebugInfoOptions {
    place: Place,
}

/// Where the options are: by themselves, or those of a program.
enum Place {
    Own(Mutex<Inner>),
    Program(Arc<engine::Program>),
}

impl DebugInfoOptions {
    /// The options of a program: setting an attribute sets the program's.
    pub(crate) fn of_program(program: Arc<engine::Program>) -> Self {
        Self {
            place: Place::Program(program),
        }
    }

    pub(crate) fn get(&self) -> Inner {
        match &self.place {
            Place::Own(options) => options
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            Place::Program(program) => program.debug_info_options(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        match &self.place {
            Place::Own(options) => {
                change(&mut options.lock().unwrap_or_else(PoisonError::into_inner));
            }
            Place::Program(program) => {
                let mut options = program.debug_info_options();
                change(&mut options);
                program.set_debug_info_options(options);
            }
        }
    }
}

fn strings(items: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let text = |item: Bound<'_, PyAny>| Ok(item.extract::<FilePath>()?.text().into_owned());
    items.try_iter()?.map(|item| text(item?)).collect()
}

#[pymethods]
impl DebugInfoOptions {
    #[new]
    #[pyo3(signature = (options=None, /, **attributes))]
    #[pyo3(
        text_signature = "(options=None, /, *, directories=..., try_module_name=..., \
        try_build_id=..., debug_link_directories=..., try_debug_link=..., try_procfs=..., \
        try_embedded_vdso=..., try_reuse=..., try_supplementary=..., kernel_directories=..., \
        try_kmod=...)"
    )]
    fn new(
        py: Python<'_>,
        options: Option<&Bound<'_, Self>>,
        attributes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<Self>> {
        let inner = options.map_or_else(Inner::default, |options| options.get().get());
        let new = Bound::new(
            py,
            Self {
                place: Place::Own(Mutex::new(inner)),
            },
        )?;
        for (name, value) in attributes.into_iter().flatten() {
            let name = name.cast_into::<PyString>()?;
            if !new.hasattr(&name)? {
                return Err(PyTypeError::new_err(format!(
                    "'{name}' is an invalid keyword argument for DebugInfoOptions()"
                )));
            }
            new.setattr(name, value)?;
        }
        Ok(new.unbind())
    }

    /// The directories of debug files; `/usr/lib/debug` by default.
    #[getter]
    fn directories<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.get().directories)
    }

    #[setter]
    fn set_directories(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = strings(value)?;
        self.change(|options| options.directories = value);
        Ok(())
    }

    /// Whether the name of a module is tried as the path of its file.
    #[getter]
    fn try_module_name(&self) -> bool {
        self.get().try_module_name
    }

    #[setter]
    fn set_try_module_name(&self, value: Truth) {
        self.change(|options| options.try_module_name = value.0);
    }

    /// Whether files are searched for by build ID.
    #[getter]
    fn try_build_id(&self) -> bool {
        self.get().try_build_id
    }

    #[setter]
    fn set_try_build_id(&self, value: Truth) {
        self.change(|options| options.try_build_id = value.0);
    }

    /// Where the file that a `.gnu_debuglink` names is searched for.
    #[getter]
    fn debug_link_directories<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.get().debug_link_directories)
    }

    #[setter]
    fn set_debug_link_directories(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = strings(value)?;
        self.change(|options| options.debug_link_directories = value);
        Ok(())
    }

    /// Whether files are searched for by `.gnu_debuglink`.
    #[getter]
    fn try_debug_link(&self) -> bool {
        self.get().try_debug_link
    }

    #[setter]
    fn set_try_debug_link(&self, value: Truth) {
        self.change(|options| options.try_debug_link = value.0);
    }

    /// Whether the files of live processes are opened through `/proc`.
    #[getter]
    fn try_procfs(&self) -> bool {
        self.get().try_procfs
    }

    #[setter]
    fn set_try_procfs(&self, value: Truth) {
        self.change(|options| options.try_procfs = value.0);
    }

    /// Whether the vDSO is read from the memory of the program.
    #[getter]
    fn try_embedded_vdso(&self) -> bool {
        self.get().try_embedded_vdso
    }

    #[setter]
    fn set_try_embedded_vdso(&self, value: Truth) {
        self.change(|options| options.try_embedded_vdso = value.0);
    }

    /// Whether the loaded file of a module is tried as its debug file, and the reverse.
    #[getter]
    fn try_reuse(&self) -> bool {
        self.get().try_reuse
    }

    #[setter]
    fn set_try_reuse(&self, value: Truth) {
        self.change(|options| options.try_reuse = value.0);
    }

    /// Whether supplementary files are searched for.
    #[getter]
    fn try_supplementary(&self) -> bool {
        self.get().try_supplementary
    }

    #[setter]
    fn set_try_supplementary(&self, value: Truth) {
        self.change(|options| options.try_supplementary = value.0);
    }

    /// Where the kernel and its modules are searched for: directories where a kernel was built,
    /// that are like `/lib/modules/RELEASE` or like the root directory. The empty path is the root
    /// directory, with `directories`.
    #[getter]
    fn kernel_directories<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.get().kernel_directories)
    }

    #[setter]
    fn set_kernel_directories(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = strings(value)?;
        self.change(|options| options.kernel_directories = value);
        Ok(())
    }

    /// How the files of kernel modules are found.
    #[getter]
    fn try_kmod(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.get().try_kmod.to_python(py)
    }

    #[setter]
    fn set_try_kmod(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = KmodSearchMethod::find(value)?
            .ok_or_else(|| PyTypeError::new_err("try_kmod must be KmodSearchMethod"))?;
        self.change(|options| options.try_kmod = value);
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let names = [
            "directories",
            "try_module_name",
            "try_build_id",
            "debug_link_directories",
            "try_debug_link",
            "try_procfs",
            "try_embedded_vdso",
            "try_reuse",
            "try_supplementary",
            "kernel_directories",
            "try_kmod",
        ];
        let attributes = names
            .iter()
            .map(|name| Ok(format!("{name}={}", slf.getattr(*name)?.repr()?)))
            .collect::<PyResult<Vec<_>>>()?;
        Ok(format!("DebugInfoOptions({})", attributes.join(", ")))
    }
}
