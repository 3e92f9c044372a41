//! Platforms and their registers.

use kdive_target::{Architecture, ByteOrder, Platform as Inner};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::enums::{Enumeration, Flags, PlatformFlags};

/// What must be known of a machine to read its memory.
#[pyclass(frozen, eq, module = "kdive")]
#[derive(PartialEq)]
pub(crate) struct Platform {
    pub(crate) inner: Inner,
}

fn default_flags(architecture: Architecture) -> PyResult<PlatformFlags> {
    let both = PlatformFlags::IS_64_BIT | PlatformFlags::IS_LITTLE_ENDIAN;
    match architecture {
        Architecture::X86_64
        | Architecture::Aarch64
        | Architecture::Ppc64
        | Architecture::Riscv64
        | Architecture::LoongArch64 => Ok(both),
        Architecture::I386 | Architecture::Arm | Architecture::Riscv32 => {
            Ok(PlatformFlags::IS_LITTLE_ENDIAN)
        }
        Architecture::S390x => Ok(PlatformFlags::IS_64_BIT),
        Architecture::S390 => Ok(PlatformFlags::empty()),
        Architecture::Unknown => Err(PyValueError::new_err(
            "cannot get default platform flags of unknown architecture",
        )),
    }
}

#[pymethods]
impl Platform {
    #[new]
    #[pyo3(signature = (arch, flags=None))]
    fn new(arch: &Bound<'_, PyAny>, flags: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let architecture = Architecture::from_python(arch)?;
        let flags = match flags {
            Some(flags) => PlatformFlags::from_python(flags)?,
            None => default_flags(architecture)?,
        };
        let byte_order = if flags.contains(PlatformFlags::IS_LITTLE_ENDIAN) {
            ByteOrder::Little
        } else {
            ByteOrder::Big
        };
        let is_64_bit = flags.contains(PlatformFlags::IS_64_BIT);
        Ok(Self {
            inner: Inner {
                architecture,
                is_64_bit,
                byte_order,
            },
        })
    }

    /// The processor architecture.
    #[getter]
    fn arch(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.inner.architecture.to_python(py)
    }

    /// The word size and byte order.
    #[getter]
    fn flags(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut flags = PlatformFlags::empty();
        flags.set(PlatformFlags::IS_64_BIT, self.inner.is_64_bit);
        flags.set(
            PlatformFlags::IS_LITTLE_ENDIAN,
            self.inner.byte_order == ByteOrder::Little,
        );
        flags.to_python(py)
    }

    /// The registers that stack frames of this platform may have.
    #[getter]
    fn registers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let registers = kdive_unwind::Architecture::of(self.inner.architecture)
            .map_or(&[][..], |architecture| architecture.registers);
        let registers = registers
            .iter()
            .map(|register| {
                Bound::new(
                    py,
                    Register {
                        names: register.names,
                    },
                )
            })
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, registers)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let arch = self.arch(py)?.bind(py).repr()?.to_string();
        let flags = self.flags(py)?.bind(py).repr()?.to_string();
        Ok(format!("Platform({arch}, {flags})"))
    }
}

/// A register of a processor.
#[pyclass(frozen, eq, module = "kdive")]
#[derive(PartialEq)]
pub(crate) struct Register {
    names: &'static [&'static str],
}

#[pymethods]
impl Register {
    /// Its names; all but the first are aliases.
    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.names)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Register({})", self.names(py)?.repr()?))
    }
}
