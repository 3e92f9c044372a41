//! Modules and their debug information.

use std::path::PathBuf;
use std::sync::Arc;

use kdive_engine::module::{DebugInfoFinder, LoadReport, Module as EngineModule, ModuleKind};
use kdive_engine::{self as engine, TypeKind};
use pyo3::exceptions::{PyLookupError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PySequence, PySet, PyString, PyTuple};

use super::Program;
use super::finders::{Finder, Place, registered, set_enabled};
use crate::arguments::{FilePath, Truth};
use crate::errors::{OrRaise, is_missing_debug_info, missing_debug_info};
use crate::object::Object;
use crate::options::DebugInfoOptions;
use crate::{log, module};

impl DebugInfoFinder for Finder {
    fn find(
        &self,
        _program: &Arc<engine::Program>,
        modules: &[Arc<EngineModule>],
    ) -> engine::Result<()> {
        self.ask(|function, prog| {
            let prog = prog.cast_into::<Program>()?.unbind();
            let modules = to_python(function.py(), modules.iter().cloned(), &prog)?;
            function.call1((modules,))?;
            Ok(())
        })
    }
}

/// Asks the servers of `$DEBUGINFOD_URLS` for what modules want.
#[pyfunction]
fn find_by_debuginfod(modules: &Bound<'_, PyAny>) -> PyResult<()> {
    // Without servers not even the client is loaded.
    if std::env::var_os("DEBUGINFOD_URLS").is_some_and(|urls| !urls.is_empty()) {
        let client = modules.py().import("kdive.debuginfod")?;
        client.call_method1("find", (modules,))?;
    }
    Ok(())
}

/// Gives a program that has just been made its finder `debuginfod`.
pub(super) fn register_debuginfod(prog: &Bound<'_, Program>) -> PyResult<()> {
    let function = wrap_pyfunction!(find_by_debuginfod, prog.py())?;
    let finder = Finder::new(prog, &function)?;
    let finders = prog.get().inner.modules().finders();
    finders.register("debuginfod", finder, Some(-1)).or_raise()
}

fn to_python<'py>(
    py: Python<'py>,
    modules: impl IntoIterator<Item = Arc<EngineModule>>,
    prog: &Py<Program>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for module in modules {
        list.append(module::to_python(py, module, prog)?)?;
    }
    Ok(list)
}

fn not_found() -> PyErr {
    PyLookupError::new_err("module not found")
}

impl Program {
    fn one_module(
        slf: &Bound<'_, Self>,
        kind: ModuleKind,
        name: FilePath,
        create: Truth,
    ) -> PyResult<Py<PyAny>> {
        let inner = &slf.get().inner;
        let name = name.0.to_string_lossy().into_owned();
        let found = if create.0 {
            inner.get_or_create_module(kind, &name).or_raise()?.0
        } else {
            let mut all = inner.modules().all().into_iter();
            all.find(|module| module.kind() == kind && module.name() == name)
                .ok_or_else(not_found)?
        };
        module::to_python(slf.py(), found, slf.as_unbound())
    }

    /// Loads debug information; what is not found is an error.
    fn load(&self, py: Python<'_>, paths: &[PathBuf], default: bool, main: bool) -> PyResult<()> {
        let report = self.load_and_report(py, paths, default, main)?;
        for (path, reason) in &report.unused {
            log::warning(py, &format!("{} was not used: {reason}", path.display()))?;
        }
        if report.missing.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = report.missing.iter().map(|module| module.name()).collect();
        Err(missing_debug_info(format!(
            "missing debugging symbols for {}",
            names.join(", ")
        )))
    }

    /// The same for who says itself what was not used, and what is missing.
    fn load_and_report(
        &self,
        py: Python<'_>,
        paths: &[PathBuf],
        default: bool,
        main: bool,
    ) -> PyResult<LoadReport> {
        let report = py
            .detach(|| self.inner.load_debug_info(paths, default, main))
            .or_raise()?;
        for problem in &report.problems {
            log::warning(py, problem)?;
        }
        if let Some(error) = &report.unreadable {
            let message = format!("not all loaded modules could be found: {error}");
            log::warning(py, &message)?;
        }
        Ok(report)
    }

    /// Loads what is found of the default debug information.
    pub(super) fn load_what_is_found(&self, py: Python<'_>) -> PyResult<()> {
        match self.load(py, &[], true, false) {
            Err(error) if is_missing_debug_info(py, &error)? => {
                log::info(py, &error.value(py).str()?.to_string_lossy())
            }
            result => result,
        }
    }
}

/// Load debug information like `Program.load_debug_info`. Returns the given files that were not
/// used, each with the reason, and whether all modules have what they want.
#[pyfunction]
#[pyo3(name = "_load_debug_info")]
pub(crate) fn load_debug_info(
    prog: &Bound<'_, Program>,
    paths: Vec<PathBuf>,
    default: bool,
    main: bool,
) -> PyResult<(Vec<(PathBuf, String)>, bool)> {
    let report = prog
        .get()
        .load_and_report(prog.py(), &paths, default, main)?;
    Ok((report.unused, report.missing.is_empty()))
}

#[pymethods]
impl Program {
    /// Iterate over the modules that the program has been found to have.
    fn modules<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        let modules = slf.get().inner.modules().all();
        to_python(slf.py(), modules, slf.as_unbound())?.try_iter()
    }

    /// Find out which modules the program has loaded, one by one.
    fn loaded_modules<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        let py = slf.py();
        let inner = &slf.get().inner;
        let modules = py.detach(|| inner.create_loaded_modules()).or_raise()?;
        let list = PyList::empty(py);
        for (module, is_new) in modules {
            list.append((module::to_python(py, module, slf.as_unbound())?, is_new))?;
        }
        list.try_iter()
    }

    /// Find out which modules the program has loaded, all of them.
    fn create_loaded_modules(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.create_loaded_modules())
            .or_raise()?;
        Ok(())
    }

    /// Return the module of the executable or the kernel.
    #[pyo3(signature = (name=None, *, create=Truth(false)))]
    #[pyo3(text_signature = "($self, name=None, *, create=False)")]
    fn main_module(
        slf: &Bound<'_, Self>,
        name: Option<FilePath>,
        create: Truth,
    ) -> PyResult<Py<PyAny>> {
        match name {
            Some(name) => Self::one_module(slf, ModuleKind::Main, name, create),
            None if create.0 => Err(PyTypeError::new_err("name must be given if create=True")),
            None => {
                let main = slf.get().inner.main_module().ok_or_else(not_found)?;
                module::to_python(slf.py(), main, slf.as_unbound())
            }
        }
    }

    /// Return, or create, the module of a shared library; like `main_module`.
    #[pyo3(signature = (name, dynamic_address, *, create=Truth(false)))]
    #[pyo3(text_signature = "($self, name, dynamic_address, *, create=False)")]
    fn shared_library_module(
        slf: &Bound<'_, Self>,
        name: FilePath,
        dynamic_address: u64,
        create: Truth,
    ) -> PyResult<Py<PyAny>> {
        Self::one_module(
            slf,
            ModuleKind::SharedLibrary { dynamic_address },
            name,
            create,
        )
    }

    /// Return, or create, the module of the vDSO; like `shared_library_module`.
    #[pyo3(signature = (name, dynamic_address, *, create=Truth(false)))]
    #[pyo3(text_signature = "($self, name, dynamic_address, *, create=False)")]
    fn vdso_module(
        slf: &Bound<'_, Self>,
        name: FilePath,
        dynamic_address: u64,
        create: Truth,
    ) -> PyResult<Py<PyAny>> {
        Self::one_module(slf, ModuleKind::Vdso { dynamic_address }, name, create)
    }

    /// Return, or create, the module of a relocatable object, such as a kernel module.
    #[pyo3(signature = (name, address, *, create=Truth(false)))]
    #[pyo3(text_signature = "($self, name, address, *, create=False)")]
    fn relocatable_module(
        slf: &Bound<'_, Self>,
        name: FilePath,
        address: u64,
        create: Truth,
    ) -> PyResult<Py<PyAny>> {
        Self::one_module(slf, ModuleKind::Relocatable { address }, name, create)
    }

    /// Return, or create, the module of a loadable kernel module.
    #[pyo3(signature = (module_obj, *, create=Truth(false)))]
    #[pyo3(text_signature = "($self, module_obj, *, create=False)")]
    fn linux_kernel_loadable_module(
        slf: &Bound<'_, Self>,
        module_obj: &Bound<'_, Object>,
        create: Truth,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let object = &module_obj.get().inner;
        if object.ty().unaliased_kind().or_raise()? != TypeKind::Pointer {
            return Err(PyTypeError::new_err("struct module * is required"));
        }
        let wanted = object.number().or_raise()?;
        let inner = &slf.get().inner;
        let find = || {
            inner.modules().all().into_iter().find(|module| {
                module
                    .object()
                    .is_some_and(|object| object.number().ok() == Some(wanted))
            })
        };
        let mut found = py.detach(find);
        if found.is_none() && create.0 {
            py.detach(|| inner.create_loaded_modules()).or_raise()?;
            found = py.detach(find);
        }
        module::to_python(py, found.ok_or_else(not_found)?, slf.as_unbound())
    }

    /// Return, or create, a module that is no part of the program.
    #[pyo3(signature = (name, id=0, *, create=Truth(false)))]
    #[pyo3(text_signature = "($self, name, id=0, *, create=False)")]
    fn extra_module(
        slf: &Bound<'_, Self>,
        name: FilePath,
        id: u64,
        create: Truth,
    ) -> PyResult<Py<PyAny>> {
        Self::one_module(slf, ModuleKind::Extra { id }, name, create)
    }

    /// Return the module that contains an address, or has a name.
    #[pyo3(signature = (address_or_name, /))]
    fn module(slf: &Bound<'_, Self>, address_or_name: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let inner = &slf.get().inner;
        let found = match address_or_name.cast::<PyString>() {
            Ok(name) => inner.module_named(name.to_str()?),
            Err(_) => inner.module_at(address_or_name.extract()?),
        };
        module::to_python(slf.py(), found.ok_or_else(not_found)?, slf.as_unbound())
    }

    /// Load debug information.
    #[pyo3(signature = (paths=None, default=Truth(false), main=Truth(false)))]
    #[pyo3(text_signature = "($self, paths=(), default=False, main=False)")]
    fn load_debug_info(
        &self,
        py: Python<'_>,
        paths: Option<&Bound<'_, PyAny>>,
        default: Truth,
        main: Truth,
    ) -> PyResult<()> {
        let mut files = Vec::new();
        if let Some(paths) = paths {
            for path in paths.try_iter()? {
                files.push(path?.extract::<FilePath>()?.0);
            }
        }
        self.load(py, &files, default.0, main.0)
    }

    /// Load debug information of all loaded modules; like `load_debug_info`.
    fn load_default_debug_info(&self, py: Python<'_>) -> PyResult<()> {
        self.load(py, &[], true, true)
    }

    /// Load debug information of these modules; like `load_debug_info`.
    #[pyo3(signature = (*modules))]
    fn load_module_debug_info(&self, modules: &Bound<'_, PyTuple>) -> PyResult<()> {
        let py = modules.py();
        let modules = module::modules_of(modules.as_any())?;
        py.detach(|| self.inner.load_module_debug_info(&modules))
            .or_raise()?;
        module::warn_of_problems(py, &self.inner)
    }

    /// Search for the files of modules in the standard places.
    #[pyo3(signature = (modules, options=None))]
    fn find_standard_debug_info(
        &self,
        modules: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, DebugInfoOptions>>,
    ) -> PyResult<()> {
        let options = options.map_or_else(
            || self.inner.debug_info_options(),
            |options| options.get().get(),
        );
        let py = modules.py();
        let modules = module::modules_of(modules)?;
        py.detach(|| self.inner.find_standard_debug_info(&modules, &options))
            .or_raise()?;
        module::warn_of_problems(py, &self.inner)
    }

    /// How debug information is searched for; its attributes may be set.
    #[getter]
    fn debug_info_options(&self) -> DebugInfoOptions {
        DebugInfoOptions::of_program(self.inner.clone())
    }

    #[setter]
    fn set_debug_info_options(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let options = value
            .cast::<DebugInfoOptions>()
            .map_err(|_| PyTypeError::new_err("debug_info_options must be DebugInfoOptions"))?;
        self.inner.set_debug_info_options(options.get().get());
        Ok(())
    }

    /// Add a function that finds the files of modules; like `register_type_finder`.
    #[pyo3(signature = (name, r#fn, *, enable_index=None))]
    fn register_debug_info_finder(
        slf: &Bound<'_, Self>,
        name: &str,
        r#fn: &Bound<'_, PyAny>,
        enable_index: Option<Place>,
    ) -> PyResult<()> {
        let finders = slf.get().inner.modules().finders();
        finders
            .register(
                name,
                Finder::new(slf, r#fn)?,
                enable_index.map(|place| place.0),
            )
            .or_raise()
    }

    /// Return the names of all debug information finders.
    fn registered_debug_info_finders<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        registered(py, self.inner.modules().finders())
    }

    /// Enable exactly these debug information finders; they are asked in this order.
    fn set_enabled_debug_info_finders(&self, names: &Bound<'_, PySequence>) -> PyResult<()> {
        set_enabled(self.inner.modules().finders(), names)
    }

    /// Return the names of the enabled debug information finders in their order.
    fn enabled_debug_info_finders(&self) -> Vec<String> {
        self.inner.modules().finders().enabled()
    }
}
