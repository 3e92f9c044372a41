//! Programs.
//!
//! The class and its memory are here; each other group of its methods has a file.

mod builders;
mod bulk;
mod default;
mod finders;
mod lookup;
mod modules;
mod stacks;
mod targets;

use std::sync::{Arc, Mutex, PoisonError};

use kdive_engine as engine;
use kdive_target::{AddressSpace, MemoryReader, VmCoreInfo};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

pub(crate) use default::{default_program, get_default_prog, set_default_prog};
pub(crate) use modules::load_debug_info;
pub(crate) use targets::{program_from_core_dump, program_from_kernel, program_from_pid};

use crate::arguments::{Size, Text, Truth, bytes_of};
use crate::enums::{Flags, ProgramFlags};
use crate::errors::{OrRaise, bad_data};
use crate::language::{self, Language};
use crate::platform::Platform;
use crate::types::Type;

/// A running or dead program, or a kernel, that is looked into.
#[pyclass(frozen, weakref, module = "kdive")]
pub(crate) struct Program {
    pub(crate) inner: Arc<engine::Program>,
    cache: Mutex<Py<PyAny>>,
    config: Mutex<Py<PyAny>>,
    /// The text of VMCOREINFO that was given, for the target that is set later.
    vmcoreinfo: Option<Vec<u8>>,
}

impl Program {
    /// The type that an argument names or is.
    pub(crate) fn resolve(prog: &Bound<'_, Self>, ty: &Bound<'_, PyAny>) -> PyResult<engine::Type> {
        if let Ok(name) = ty.cast::<PyString>() {
            return Self::find_type(prog, name.to_str()?, None);
        }
        match ty.cast::<Type>() {
            Ok(ty) if ty.get().prog.is(prog) => Ok(ty.get().inner.clone()),
            Ok(_) => Err(PyValueError::new_err("type is from different program")),
            Err(_) => Err(PyTypeError::new_err("type must be Type or str")),
        }
    }
}

/// Text that is given as VMCOREINFO has what every kernel puts there, or it is another file.
fn check_vmcoreinfo(text: &[u8]) -> PyResult<()> {
    let parsed = VmCoreInfo::parse(text);
    let missing = match (parsed.os_release(), parsed.page_size()) {
        (None, _) => "OSRELEASE",
        (_, None) => "PAGESIZE",
        _ => return Ok(()),
    };
    Err(bad_data(format!(
        "VMCOREINFO does not contain valid {missing}"
    )))
}

/// The address space that an argument `physical` chooses.
pub(crate) fn space(physical: bool) -> AddressSpace {
    if physical {
        AddressSpace::Physical
    } else {
        AddressSpace::Virtual
    }
}

/// A Python function that provides the bytes of a segment.
struct Reader {
    function: Py<PyAny>,
    is_physical: bool,
}

impl MemoryReader for Reader {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> kdive_target::Result<()> {
        Python::attach(|py| {
            let arguments = (address, buffer.len(), offset, self.is_physical);
            let bytes = bytes_of(self.function.call1(py, arguments)?.bind(py))?;
            if bytes.len() != buffer.len() {
                return Err(PyValueError::new_err(format!(
                    "memory read callback returned buffer of length {} (expected {})",
                    bytes.len(),
                    buffer.len()
                )));
            }
            buffer.copy_from_slice(&bytes);
            Ok(())
        })
        .map_err(|error: PyErr| kdive_target::Error::Reader(Box::new(error)))
    }
}

#[pymethods]
impl Program {
    #[new]
    #[pyo3(signature = (platform=None, *, vmcoreinfo=None))]
    fn new(
        py: Python<'_>,
        platform: Option<&Bound<'_, PyAny>>,
        vmcoreinfo: Option<Text>,
    ) -> PyResult<Py<Self>> {
        let platform = platform
            .map(|platform| match platform.cast::<Platform>() {
                Ok(platform) => Ok(platform.get().inner),
                Err(_) => Err(PyTypeError::new_err("platform must be Platform or None")),
            })
            .transpose()?;
        if let Some(Text(text)) = &vmcoreinfo {
            check_vmcoreinfo(text)?;
        }
        let prog = Self {
            inner: engine::Program::new(platform),
            cache: Mutex::new(PyDict::new(py).into_any().unbind()),
            config: Mutex::new(PyDict::new(py).into_any().unbind()),
            vmcoreinfo: vmcoreinfo.map(|text| text.0),
        };
        let prog = Bound::new(py, prog)?;
        modules::register_debuginfod(&prog)?;
        Ok(prog.unbind())
    }

    /// Where helpers keep what they found out about the program.
    #[getter]
    fn cache(&self, py: Python<'_>) -> Py<PyAny> {
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_ref(py)
    }

    #[setter]
    fn set_cache(&self, value: Py<PyAny>) {
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    /// Settings of the program, for helpers and tools.
    #[getter]
    fn config(&self, py: Python<'_>) -> Py<PyAny> {
        self.config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_ref(py)
    }

    #[setter]
    fn set_config(&self, value: Py<PyAny>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    /// What the program is.
    #[getter]
    fn flags(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut flags = ProgramFlags::empty();
        flags.set(ProgramFlags::IS_LINUX_KERNEL, self.inner.is_kernel());
        flags.set(ProgramFlags::IS_LIVE, self.inner.is_live());
        flags.set(ProgramFlags::IS_LOCAL, self.inner.is_local());
        flags.to_python(py)
    }

    /// The platform, once it is known.
    #[getter]
    fn platform(&self) -> Option<Platform> {
        self.inner.platform().map(|inner| Platform { inner })
    }

    /// The path of the core dump, if the target is one that was opened by path.
    #[getter]
    fn core_dump_path(&self) -> Option<String> {
        let path = self.inner.target()?.path.as_ref()?;
        Some(path.to_string_lossy().into_owned())
    }

    /// The language of types made or looked up without another one; may be set.
    #[getter]
    fn language(&self, py: Python<'_>) -> PyResult<Py<Language>> {
        language::to_python(py, self.inner.language())
    }

    #[setter]
    fn set_language(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let language = value
            .cast::<Language>()
            .map_err(|_| PyTypeError::new_err("language must be Language"))?;
        self.inner.set_language(language.get().inner);
        Ok(())
    }

    /// Return the size of an address in bytes.
    fn address_size(&self) -> PyResult<u8> {
        self.inner.address_size().or_raise()
    }

    /// Provide the bytes of a range of addresses; it hides what was there before.
    #[pyo3(
        signature = (address, size, read_fn, physical=Truth(false)),
        text_signature = "($self, address, size, read_fn, physical=False)"
    )]
    fn add_memory_segment(
        &self,
        py: Python<'_>,
        address: u64,
        size: u64,
        read_fn: &Bound<'_, PyAny>,
        physical: Truth,
    ) -> PyResult<()> {
        if !read_fn.is_callable() {
            return Err(PyTypeError::new_err("read_fn must be callable"));
        }
        let reader = Arc::new(Reader {
            function: read_fn.clone().unbind(),
            is_physical: physical.0,
        });
        let space = space(physical.0);
        py.detach(|| self.inner.add_memory_segment(space, address, size, reader));
        Ok(())
    }

    /// Read `size` bytes at `address`.
    #[pyo3(
        signature = (address, size, physical=Truth(false)),
        text_signature = "($self, address, size, physical=False)"
    )]
    pub(crate) fn read<'py>(
        &self,
        py: Python<'py>,
        address: u64,
        size: Size,
        physical: Truth,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.inner.address_size().or_raise()?;
        let space = space(physical.0);
        let address = self.wrapped(space, address);
        let size = usize::try_from(size.0)
            .ok()
            .filter(|&size| isize::try_from(size).is_ok())
            .ok_or_else(|| PyOverflowError::new_err("so many bytes can't be read at once"))?;
        if size < MUCH {
            return PyBytes::new_with(py, size, |buffer| self.fill(py, space, address, buffer));
        }
        // For a size that is nonsense there is no room; the error should be the memory's.
        let last = address.wrapping_add(size as u64).wrapping_sub(1);
        if self.read_uint(py, last, physical.0, 1).is_err() {
            let bytes = py.detach(|| self.inner.read_bytes(space, address, size as u64));
            return Ok(PyBytes::new(py, &bytes.or_raise()?));
        }
        bulk::read(py, size, |at, piece| {
            let here = address.wrapping_add(at as u64);
            self.inner.read(space, here, piece)
        })
    }

    /// Read the bytes at `address` up to the first zero byte, at most `max_size`.
    #[pyo3(
        signature = (address, physical=Truth(false), *, max_size=Size(u64::MAX)),
        text_signature = "($self, address, physical=False, *, max_size=2**64-1)"
    )]
    fn read_c_string<'py>(
        &self,
        py: Python<'py>,
        address: u64,
        physical: Truth,
        max_size: Size,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.inner.address_size().or_raise()?;
        let Size(max_size) = max_size;
        let space = space(physical.0);
        let address = self.wrapped(space, address);
        let mut start = [0; STRING_LENGTH];
        if self.inner.memory().read_at_hand(space, address, &mut start)
            && let Some(size) = start.iter().position(|&byte| byte == 0)
            && size as u64 <= max_size
            && let Some(string) = start.get(..size)
        {
            return Ok(PyBytes::new(py, string));
        }
        let bytes = py.detach(|| self.inner.read_c_string(space, address, max_size));
        Ok(PyBytes::new(py, &bytes.or_raise()?))
    }

    /// Read an unsigned 8-bit integer.
    #[pyo3(
        signature = (address, physical=Truth(false)),
        text_signature = "($self, address, physical=False)"
    )]
    fn read_u8(&self, py: Python<'_>, address: u64, physical: Truth) -> PyResult<u64> {
        self.read_uint(py, address, physical.0, 1)
    }

    /// Read an unsigned 16-bit integer in the program's byte order.
    #[pyo3(
        signature = (address, physical=Truth(false)),
        text_signature = "($self, address, physical=False)"
    )]
    fn read_u16(&self, py: Python<'_>, address: u64, physical: Truth) -> PyResult<u64> {
        self.read_uint(py, address, physical.0, 2)
    }

    /// Read an unsigned 32-bit integer in the program's byte order.
    #[pyo3(
        signature = (address, physical=Truth(false)),
        text_signature = "($self, address, physical=False)"
    )]
    fn read_u32(&self, py: Python<'_>, address: u64, physical: Truth) -> PyResult<u64> {
        self.read_uint(py, address, physical.0, 4)
    }

    /// Read an unsigned 64-bit integer in the program's byte order.
    #[pyo3(
        signature = (address, physical=Truth(false)),
        text_signature = "($self, address, physical=False)"
    )]
    fn read_u64(&self, py: Python<'_>, address: u64, physical: Truth) -> PyResult<u64> {
        self.read_uint(py, address, physical.0, 8)
    }

    /// Read an unsigned integer of the size of an address in the program's byte order.
    #[pyo3(
        signature = (address, physical=Truth(false)),
        text_signature = "($self, address, physical=False)"
    )]
    fn read_word(&self, py: Python<'_>, address: u64, physical: Truth) -> PyResult<u64> {
        let size = self
            .inner
            .address_size()
            .map_err(|_| PyValueError::new_err("program word size is not known"))?;
        self.read_uint(py, address, physical.0, size)
    }
}

/// Most strings are no longer than this.
const STRING_LENGTH: usize = 64;
/// From this many bytes on others run meanwhile, even if only copying has to be done.
const MUCH: usize = 64 << 10;

impl Program {
    /// The unsigned number of `size` (1, 2, 4 or 8) bytes at `address`.
    pub(crate) fn read_uint(
        &self,
        py: Python<'_>,
        address: u64,
        physical: bool,
        size: u8,
    ) -> PyResult<u64> {
        let space = space(physical);
        let address = self.wrapped(space, address);
        match self.inner.read_uint_at_hand(space, address, size) {
            Some(number) => Ok(number),
            None => py
                .detach(|| self.inner.read_uint(space, address, size))
                .or_raise(),
        }
    }

    /// An address of memory without the bits that the program's addresses do not have.
    fn wrapped(&self, space: AddressSpace, address: u64) -> u64 {
        match space {
            AddressSpace::Virtual => address & self.inner.address_mask(),
            AddressSpace::Physical => address,
        }
    }

    /// Fills a buffer, and lets other threads run meanwhile if it may take long.
    fn fill(
        &self,
        py: Python<'_>,
        space: AddressSpace,
        address: u64,
        buffer: &mut [u8],
    ) -> PyResult<()> {
        if buffer.len() < MUCH && self.inner.memory().read_at_hand(space, address, buffer) {
            return Ok(());
        }
        py.detach(|| self.inner.read(space, address, buffer))
            .or_raise()
    }
}
