//! Modules: the executables, libraries and kernel modules of a program.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use kdive_debuginfo::description::AbsenceReason;
use kdive_engine as engine;
use kdive_engine::module::{FileStatus, Module as Inner, ModuleFile, ModuleKind};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use crate::arguments::{FilePath, Truth, bytes_of};
use crate::enums::{Enumeration, wrong_type};
use crate::errors::{IntoPython, OrRaise};
use crate::log;
use crate::object::Object;
use crate::program::Program;

/// An executable, library or kernel module, loaded or not, and its files.
#[pyclass(frozen, subclass, module = "kdive")]
pub(crate) struct Module {
    pub(crate) inner: Arc<Inner>,
    prog: Py<Program>,
}

/// Says what is wrong with files that modules have taken.
pub(crate) fn warn_of_problems(py: Python<'_>, program: &engine::Program) -> PyResult<()> {
    for problem in program.modules().take_problems() {
        log::warning(py, &problem)?;
    }
    Ok(())
}

macro_rules! subclass {
    ($name:ident, $docs:literal) => {
        #[doc = $docs]
        #[pyclass(frozen, extends = Module, module = "kdive")]
        pub(crate) struct $name;
    };
}

subclass!(
    MainModule,
    "The module of the executable, or of the kernel."
);
subclass!(SharedLibraryModule, "The module of a shared library.");
subclass!(
    VdsoModule,
    "The module of the vDSO that the kernel maps into each process."
);
subclass!(
    RelocatableModule,
    "The module of a relocatable object, such as a kernel module."
);
subclass!(ExtraModule, "A module that is no part of the program.");

/// The Python object for a module.
pub(crate) fn to_python(
    py: Python<'_>,
    inner: Arc<Inner>,
    prog: &Py<Program>,
) -> PyResult<Py<PyAny>> {
    let kind = inner.kind();
    let base = PyClassInitializer::from(Module {
        inner,
        prog: prog.clone_ref(py),
    });
    Ok(match kind {
        ModuleKind::Main => Py::new(py, base.add_subclass(MainModule))?.into_any(),
        ModuleKind::SharedLibrary { .. } => {
            Py::new(py, base.add_subclass(SharedLibraryModule))?.into_any()
        }
        ModuleKind::Vdso { .. } => Py::new(py, base.add_subclass(VdsoModule))?.into_any(),
        ModuleKind::Relocatable { .. } => {
            Py::new(py, base.add_subclass(RelocatableModule))?.into_any()
        }
        ModuleKind::Extra { .. } => Py::new(py, base.add_subclass(ExtraModule))?.into_any(),
    })
}

/// The modules that an iterable yields.
pub(crate) fn modules_of(modules: &Bound<'_, PyAny>) -> PyResult<Vec<Arc<Inner>>> {
    modules
        .try_iter()?
        .map(|module| {
            let module = module?;
            let module = module
                .cast::<Module>()
                .map_err(|_| wrong_type("Module", &module))?;
            Ok(module.get().inner.clone())
        })
        .collect()
}

impl Module {
    /// What `object` is of a module that no object describes.
    fn no_object(&self) -> kdive_engine::Result<kdive_engine::Object> {
        let program = &self.prog.get().inner;
        let reason = AbsenceReason::Other;
        kdive_engine::Object::absent(program, program.void_type(), reason, None)
    }
}

/// The only kind of supplementary files; links of DWARF 5 are to files of the same kind.
fn supplementary_kind(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let kinds = py
        .import("kdive._enums")?
        .getattr("SupplementaryFileKind")?;
    Ok(kinds.getattr("GNU_DEBUGALTLINK")?.unbind())
}

/// The status that an attribute is set to.
fn file_status(attribute: &str, value: &Bound<'_, PyAny>) -> PyResult<FileStatus> {
    FileStatus::find(value)?
        .ok_or_else(|| PyTypeError::new_err(format!("{attribute} must be ModuleFileStatus")))
}

fn cannot_change(attribute: &str, old: FileStatus, new: FileStatus) -> PyErr {
    let name = |status: FileStatus| {
        let member = FileStatus::MEMBERS
            .iter()
            .find(|(value, _)| *value == status);
        format!("ModuleFileStatus.{}", member.map_or("", |(_, name)| name))
    };
    let (old, new) = (name(old), name(new));
    PyValueError::new_err(format!("cannot change {attribute} from {old} to {new}"))
}

fn path_of(file: ModuleFile) -> Option<String> {
    file.path.map(|path| path.to_string_lossy().into_owned())
}

#[pymethods]
impl Module {
    /// The program that it belongs to.
    #[getter]
    fn prog(&self, py: Python<'_>) -> Py<Program> {
        self.prog.clone_ref(py)
    }

    /// Its name: a path, or the name of a kernel module.
    #[getter]
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// The ranges of its addresses, each with the first one and the one after the last.
    #[getter]
    fn address_ranges<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.inner
            .address_ranges()
            .map(|ranges| PyTuple::new(py, ranges))
            .transpose()
    }

    #[setter]
    fn set_address_ranges(&self, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let ranges = value
            .map(|ranges| {
                ranges
                    .try_iter()?
                    .map(|range| address_range(&range?, OF_RANGES))
                    .collect()
            })
            .transpose()?;
        self.inner.set_address_ranges(ranges);
        Ok(())
    }

    /// The only one of `address_ranges`; may be set.
    #[getter]
    fn address_range(&self) -> PyResult<Option<(u64, u64)>> {
        match self.inner.address_ranges().as_deref() {
            None => Ok(None),
            Some([range]) => Ok(Some(*range)),
            Some([]) => Ok(Some((0, 0))),
            Some(_) => Err(PyValueError::new_err("module has multiple address ranges")),
        }
    }

    #[setter]
    fn set_address_range(&self, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let ranges = value
            .map(|range| address_range(range, OF_RANGE))
            .transpose()?
            // A module at no address has this range.
            .map(|range| {
                if range == (0, 0) {
                    Vec::new()
                } else {
                    vec![range]
                }
            });
        self.inner.set_address_ranges(ranges);
        Ok(())
    }

    /// Its build ID; none if it is not known. May be set.
    #[getter]
    fn build_id<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.build_id().map(|id| PyBytes::new(py, &id))
    }

    #[setter]
    fn set_build_id(&self, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let id = value.map(bytes_of).transpose()?;
        if id.as_ref().is_some_and(Vec::is_empty) {
            return Err(PyValueError::new_err("build ID cannot be empty"));
        }
        self.inner.set_build_id(id);
        Ok(())
    }

    /// The `struct module *` of a kernel module; else absent. May be set.
    #[getter]
    fn object(&self, py: Python<'_>) -> PyResult<Object> {
        let object = match self.inner.object() {
            Some(object) => Ok(object),
            None => self.no_object(),
        }
        .or_raise()?;
        Ok(Object::new(object, &self.prog, py))
    }

    #[setter]
    fn set_object(&self, value: &Bound<'_, Object>) -> PyResult<()> {
        let object = value.get();
        if !object.prog.is(&self.prog) {
            return Err(PyValueError::new_err("object is from different program"));
        }
        self.inner.set_object(Some(object.inner.clone()));
        Ok(())
    }

    /// Whether it has the file that was loaded; may be set, except to `HAVE`.
    #[getter]
    fn loaded_file_status(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.inner.loaded_file().status.to_python(py)
    }

    #[setter]
    fn set_loaded_file_status(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let status = file_status("loaded_file_status", value)?;
        let old = self.inner.loaded_file().status;
        self.inner
            .set_loaded_file_status(status)
            .map_err(|_| cannot_change("loaded_file_status", old, status))
    }

    /// The path of the file that was loaded, if it has it.
    #[getter]
    fn loaded_file_path(&self) -> Option<String> {
        path_of(self.inner.loaded_file())
    }

    /// What is added to an address in that file to get the one in the program.
    #[getter]
    fn loaded_file_bias(&self) -> Option<u64> {
        self.inner.loaded_file().bias
    }

    /// Whether it has a file with debug information; may be set, except to `HAVE`.
    #[getter]
    fn debug_file_status(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.inner.debug_file().status.to_python(py)
    }

    #[setter]
    fn set_debug_file_status(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let status = file_status("debug_file_status", value)?;
        let old = self.inner.debug_file().status;
        self.inner
            .set_debug_file_status(status)
            .map_err(|_| cannot_change("debug_file_status", old, status))
    }

    /// The path of the file with debug information, if it has it.
    #[getter]
    fn debug_file_path(&self) -> Option<String> {
        path_of(self.inner.debug_file())
    }

    /// What is added to an address in that file to get the one in the program.
    #[getter]
    fn debug_file_bias(&self) -> Option<u64> {
        self.inner.debug_file().bias
    }

    /// The kind of the file that the debug file shares contents with, if it has it.
    #[getter]
    fn supplementary_debug_file_kind(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let has_file = self.inner.supplementary_file().is_some();
        has_file.then(|| supplementary_kind(py)).transpose()
    }

    /// The path of the file that the debug file shares contents with, if it has it.
    #[getter]
    fn supplementary_debug_file_path(&self) -> Option<String> {
        let path = self.inner.supplementary_file()?;
        Some(path.to_string_lossy().into_owned())
    }

    /// The files that were looked at and not taken, each with what was wrong.
    #[getter]
    fn tried_files(&self) -> Vec<(String, String)> {
        let tried = self.inner.tried_files().into_iter();
        tried
            .map(|tried| (tried.path.to_string_lossy().into_owned(), tried.reason))
            .collect()
    }

    /// Return which file the debug file wants to be complete.
    fn wanted_supplementary_debug_file<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let wanted = self.inner.wanted_supplementary().ok_or_else(|| {
            PyValueError::new_err("module does not want supplementary debug file")
        })?;
        let class = py
            .import("kdive._records")?
            .getattr("WantedSupplementaryFile")?;
        class.call1((
            supplementary_kind(py)?,
            wanted.debug_file.to_string_lossy(),
            wanted.path.to_string_lossy(),
            PyBytes::new(py, &wanted.checksum),
        ))
    }

    /// Return whether it wants the file that was loaded.
    fn wants_loaded_file(&self) -> bool {
        self.inner.wants_loaded_file()
    }

    /// Return whether it wants a debug file, or the supplementary file of that.
    fn wants_debug_file(&self) -> bool {
        self.inner.wants_debug_file()
    }

    /// Use a file as the loaded file, the debug file or both, if it is what is wanted.
    ///
    /// `fd` is the file's open descriptor, if it has one; it is closed.
    #[pyo3(signature = (path, *, fd=-1, force=Truth(false)))]
    #[pyo3(text_signature = "($self, path, *, fd=-1, force=False)")]
    fn try_file(&self, py: Python<'_>, path: FilePath, fd: i32, force: Truth) -> PyResult<()> {
        let descriptor = (fd >= 0).then(|| PathBuf::from(format!("/proc/self/fd/{fd}")));
        let place = descriptor.as_ref().unwrap_or(&path.0);
        let tried = py.detach(|| self.inner.try_file_at(&path.0, place, force.0));
        if fd >= 0 {
            // The descriptor is this function's, whatever becomes of the file.
            py.import("os")?.call_method1("close", (fd,))?;
        }
        match tried {
            Ok(_) => warn_of_problems(py, &self.prog.get().inner),
            // What tries files looks for one that there may be.
            Err(engine::Error::DebugInfo(error)) => {
                log::debug(py, &format!("{}: {error}", self.inner.name()))
            }
            Err(error) => Err(error.into_python()),
        }
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Module>()
            .is_ok_and(|other| Arc::ptr_eq(&self.inner, &other.get().inner))
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Arc::as_ptr(&self.inner).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = PyString::new(py, self.inner.name()).repr()?.to_string();
        Ok(match self.inner.kind() {
            ModuleKind::Main => format!("prog.main_module(name={name})"),
            ModuleKind::SharedLibrary { dynamic_address } => format!(
                "prog.shared_library_module(name={name}, dynamic_address={dynamic_address:#x})"
            ),
            ModuleKind::Vdso { dynamic_address } => {
                format!("prog.vdso_module(name={name}, dynamic_address={dynamic_address:#x})")
            }
            ModuleKind::Relocatable { address } => {
                format!("prog.relocatable_module(name={name}, address={address:#x})")
            }
            ModuleKind::Extra { id } => format!("prog.extra_module(name={name}, id={id:#x})"),
        })
    }
}

/// What `address_range` may be set to.
const OF_RANGE: &str = "address_range must be None or (int, int)";
/// What `address_ranges` may be set to.
const OF_RANGES: &str = "address_ranges must be None or sequence of (int, int)";

fn address_range(range: &Bound<'_, PyAny>, expected: &'static str) -> PyResult<(u64, u64)> {
    let (start, end) = range
        .extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()
        .map_err(|_| PyTypeError::new_err(expected))?;
    let (start, end) = (start.extract()?, end.extract()?);
    let is_nowhere = (start, end) == (0, 0) && expected == OF_RANGE;
    if start >= end && !is_nowhere {
        return Err(PyValueError::new_err("invalid module address range"));
    }
    Ok((start, end))
}

/// What distinguishes the module from others of its name.
fn distinction(module: &Module) -> u64 {
    match module.inner.kind() {
        ModuleKind::Main => 0,
        ModuleKind::SharedLibrary {
            dynamic_address: number,
        }
        | ModuleKind::Vdso {
            dynamic_address: number,
        }
        | ModuleKind::Relocatable { address: number }
        | ModuleKind::Extra { id: number } => number,
    }
}

#[pymethods]
impl SharedLibraryModule {
    /// The address of its dynamic section.
    #[getter]
    fn dynamic_address(slf: PyRef<'_, Self>) -> u64 {
        distinction(slf.as_super())
    }
}

#[pymethods]
impl VdsoModule {
    /// The address of its dynamic section.
    #[getter]
    fn dynamic_address(slf: PyRef<'_, Self>) -> u64 {
        distinction(slf.as_super())
    }
}

#[pymethods]
impl ExtraModule {
    /// The number that tells extra modules of one name apart.
    #[getter]
    fn id(slf: PyRef<'_, Self>) -> u64 {
        distinction(slf.as_super())
    }
}

#[pymethods]
impl RelocatableModule {
    /// Its address.
    #[getter]
    fn address(slf: PyRef<'_, Self>) -> u64 {
        distinction(slf.as_super())
    }

    /// The addresses of its sections by name; items may be set and deleted.
    #[getter]
    fn section_addresses(slf: PyRef<'_, Self>) -> SectionAddresses {
        SectionAddresses {
            module: slf.as_super().inner.clone(),
        }
    }
}

/// The addresses of the sections of a module by name.
#[pyclass(frozen, mapping, module = "kdive", name = "ModuleSectionAddresses")]
pub(crate) struct SectionAddresses {
    module: Arc<Inner>,
}

/// What `collections.abc.MutableMapping` makes of the methods that every mapping must have.
fn mixin(
    addresses: &Bound<'_, SectionAddresses>,
    method: &str,
    arguments: &Bound<'_, PyTuple>,
    keywords: Option<&Bound<'_, PyDict>>,
) -> PyResult<Py<PyAny>> {
    let py = addresses.py();
    let class = py.import("collections.abc")?.getattr("MutableMapping")?;
    let mut all = vec![addresses.clone().into_any()];
    all.extend(arguments.iter());
    let all = PyTuple::new(py, all)?;
    Ok(class.getattr(method)?.call(all, keywords)?.unbind())
}

#[pymethods]
impl SectionAddresses {
    fn __len__(&self) -> usize {
        self.module.section_addresses().len()
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(name) = name.cast::<PyString>() else {
            return Ok(false);
        };
        let addresses = self.module.section_addresses();
        Ok(addresses.contains_key(name.to_str()?))
    }

    fn __getitem__(&self, name: &Bound<'_, PyAny>) -> PyResult<u64> {
        let addresses = self.module.section_addresses();
        let address = match name.cast::<PyString>() {
            Ok(name) => addresses.get(name.to_str()?),
            Err(_) => None,
        };
        address
            .copied()
            .ok_or_else(|| crate::errors::key_error(name))
    }

    fn __setitem__(&self, name: String, address: u64) {
        let mut addresses = self.module.section_addresses();
        addresses.insert(name, address);
        self.module.set_section_addresses(addresses);
    }

    fn __delitem__(&self, name: &Bound<'_, PyString>) -> PyResult<()> {
        let mut addresses = self.module.section_addresses();
        if addresses.remove(name.to_str()?).is_none() {
            return Err(crate::errors::key_error(name.as_any()));
        }
        self.module.set_section_addresses(addresses);
        Ok(())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyIterator>> {
        self.keys().into_pyobject(py)?.try_iter()
    }

    /// The names of the sections.
    fn keys(&self) -> Vec<String> {
        self.module.section_addresses().into_keys().collect()
    }

    /// The addresses of the sections.
    fn values(&self) -> Vec<u64> {
        self.module.section_addresses().into_values().collect()
    }

    /// Pairs of names and addresses.
    fn items(&self) -> Vec<(String, u64)> {
        self.module.section_addresses().into_iter().collect()
    }

    /// The address of a section, or else `default`.
    #[pyo3(signature = (name, default=None))]
    fn get(
        &self,
        py: Python<'_>,
        name: &str,
        default: Option<Py<PyAny>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        match self.module.section_addresses().get(name) {
            Some(address) => Ok(Some(address.into_pyobject(py)?.into_any().unbind())),
            None => Ok(default),
        }
    }

    /// Remove a section and return its address, or else `default`.
    #[pyo3(signature = (name, *default))]
    fn pop(&self, name: &Bound<'_, PyAny>, default: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        let mut addresses = self.module.section_addresses();
        let removed = match name.cast::<PyString>() {
            Ok(name) => addresses.remove(name.to_str()?),
            Err(_) => None,
        };
        let Some(address) = removed else {
            let default = default.get_item(0);
            return default
                .map(Bound::unbind)
                .map_err(|_| crate::errors::key_error(name));
        };
        self.module.set_section_addresses(addresses);
        Ok(address.into_pyobject(name.py())?.into_any().unbind())
    }

    /// Remove any section and return its name and address.
    fn popitem(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        mixin(slf, "popitem", &PyTuple::empty(slf.py()), None)
    }

    /// The address of a section, which is `default` from now on if it has none.
    #[pyo3(signature = (*arguments))]
    fn setdefault(slf: &Bound<'_, Self>, arguments: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        mixin(slf, "setdefault", arguments, None)
    }

    /// Take over the addresses of a mapping, of pairs, or of keyword arguments.
    #[pyo3(signature = (*arguments, **addresses))]
    fn update(
        slf: &Bound<'_, Self>,
        arguments: &Bound<'_, PyTuple>,
        addresses: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        mixin(slf, "update", arguments, addresses)
    }

    /// Remove all sections.
    fn clear(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        mixin(slf, "clear", &PyTuple::empty(slf.py()), None)
    }

    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        mixin(slf, "__eq__", &PyTuple::new(slf.py(), [other])?, None)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let addresses = self.module.section_addresses();
        if addresses.is_empty() {
            return Ok("ModuleSectionAddresses()".to_owned());
        }
        let addresses: PyResult<Vec<String>> = addresses
            .iter()
            .map(|(name, address)| Ok(format!("{}: {address:#x}", PyString::new(py, name).repr()?)))
            .collect();
        Ok(format!(
            "ModuleSectionAddresses({{{}}})",
            addresses?.join(", ")
        ))
    }
}
