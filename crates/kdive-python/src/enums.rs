//! The enumerations and flags of `kdive._enums`, to and from those of the crates below.

use kdive_debuginfo::description::{AbsenceReason, ObjectKinds, Qualifiers};
use kdive_debuginfo::symbols::{SymbolBinding, SymbolKind};
use kdive_engine::TypeKind;
use kdive_engine::module::{FileStatus, KmodSearchMethod};
use kdive_engine::types::PrimitiveType;
use kdive_target::Architecture;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A Rust enumeration with the Python one that stands for it.
pub(crate) trait Enumeration: Copy + Eq + 'static {
    /// The name of the Python class.
    const NAME: &'static str;
    /// Every value with the name of the Python member.
    const MEMBERS: &'static [(Self, &'static str)];

    fn members(py: Python<'_>) -> PyResult<&'static [Py<PyAny>]>;

    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let members = Self::members(py)?;
        Self::MEMBERS
            .iter()
            .position(|(value, _)| *value == self)
            .and_then(|index| members.get(index))
            .map(|member| member.clone_ref(py))
            .ok_or_else(|| PyRuntimeError::new_err(format!("{} lacks a member", Self::NAME)))
    }

    fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::find(object)?.ok_or_else(|| wrong_type(Self::NAME, object))
    }

    /// The value of a member; none for anything that isn't a member.
    fn find(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let members = Self::members(object.py())?;
        let index = members.iter().position(|member| member.is(object));
        Ok(index
            .and_then(|index| Self::MEMBERS.get(index))
            .map(|(value, _)| *value))
    }
}

pub(crate) fn wrong_type(expected: &str, object: &Bound<'_, PyAny>) -> PyErr {
    match object.get_type().qualname() {
        Ok(name) => PyTypeError::new_err(format!("expected {expected}, not {name}")),
        Err(error) => error,
    }
}

macro_rules! enumeration {
    ($rust:ty, $name:literal, { $($variant:ident => $member:literal),* $(,)? }) => {
        impl Enumeration for $rust {
            const NAME: &'static str = $name;
            const MEMBERS: &'static [(Self, &'static str)] =
                &[$((<$rust>::$variant, $member)),*];

            fn members(py: Python<'_>) -> PyResult<&'static [Py<PyAny>]> {
                static MEMBERS: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();
                let members = MEMBERS.get_or_try_init(py, || {
                    let class = py.import("kdive._enums")?.getattr($name)?;
                    let member = |(_, name): &(Self, &str)| Ok(class.getattr(*name)?.unbind());
                    Self::MEMBERS.iter().map(member).collect::<PyResult<Vec<_>>>()
                })?;
                Ok(members)
            }
        }
    };
}

enumeration!(AbsenceReason, "AbsenceReason", {
    Other => "OTHER",
    OptimizedOut => "OPTIMIZED_OUT",
    NotImplemented => "NOT_IMPLEMENTED",
});

enumeration!(Architecture, "Architecture", {
    Unknown => "UNKNOWN",
    X86_64 => "X86_64",
    I386 => "I386",
    Aarch64 => "AARCH64",
    Arm => "ARM",
    Ppc64 => "PPC64",
    Riscv64 => "RISCV64",
    Riscv32 => "RISCV32",
    S390x => "S390X",
    S390 => "S390",
    LoongArch64 => "LOONGARCH64",
});

enumeration!(TypeKind, "TypeKind", {
    Void => "VOID",
    Int => "INT",
    Bool => "BOOL",
    Float => "FLOAT",
    Struct => "STRUCT",
    Union => "UNION",
    Class => "CLASS",
    Enum => "ENUM",
    Typedef => "TYPEDEF",
    Pointer => "POINTER",
    Array => "ARRAY",
    Function => "FUNCTION",
});

enumeration!(PrimitiveType, "PrimitiveType", {
    Void => "C_VOID",
    Char => "C_CHAR",
    SignedChar => "C_SIGNED_CHAR",
    UnsignedChar => "C_UNSIGNED_CHAR",
    Short => "C_SHORT",
    UnsignedShort => "C_UNSIGNED_SHORT",
    Int => "C_INT",
    UnsignedInt => "C_UNSIGNED_INT",
    Long => "C_LONG",
    UnsignedLong => "C_UNSIGNED_LONG",
    LongLong => "C_LONG_LONG",
    UnsignedLongLong => "C_UNSIGNED_LONG_LONG",
    Bool => "C_BOOL",
    Float => "C_FLOAT",
    Double => "C_DOUBLE",
    LongDouble => "C_LONG_DOUBLE",
    SizeT => "C_SIZE_T",
    PtrdiffT => "C_PTRDIFF_T",
});

enumeration!(SymbolBinding, "SymbolBinding", {
    Unknown => "UNKNOWN",
    Local => "LOCAL",
    Global => "GLOBAL",
    Weak => "WEAK",
    Unique => "UNIQUE",
});

enumeration!(SymbolKind, "SymbolKind", {
    Unknown => "UNKNOWN",
    Object => "OBJECT",
    Function => "FUNC",
    Section => "SECTION",
    File => "FILE",
    Common => "COMMON",
    Tls => "TLS",
    IndirectFunction => "IFUNC",
});

enumeration!(KmodSearchMethod, "KmodSearchMethod", {
    None => "NONE",
    Depmod => "DEPMOD",
    Walk => "WALK",
    DepmodOrWalk => "DEPMOD_OR_WALK",
    DepmodAndWalk => "DEPMOD_AND_WALK",
});

enumeration!(FileStatus, "ModuleFileStatus", {
    Want => "WANT",
    Have => "HAVE",
    DontWant => "DONT_WANT",
    DontNeed => "DONT_NEED",
    WantSupplementary => "WANT_SUPPLEMENTARY",
});

/// Flags of Rust with the Python class that stands for them.
///
/// The bits are those of the Python members.
pub(crate) trait Flags: Copy + 'static {
    /// The name of the Python class.
    const NAME: &'static str;

    fn bits(self) -> u8;
    fn from_bits(bits: u8) -> Option<Self>;
    fn class(py: Python<'_>) -> PyResult<&'static FlagClass>;

    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Self::class(py)?.value(py, self.bits())
    }

    fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if !object.is_instance(Self::class(object.py())?.class.bind(object.py()))? {
            return Err(wrong_type(Self::NAME, object));
        }
        let bits: u8 = object.getattr(intern!(object.py(), "value"))?.extract()?;
        Self::from_bits(bits)
            .ok_or_else(|| PyValueError::new_err(format!("invalid {}", Self::NAME)))
    }
}

/// A Python class of flags with its values, made when they are first needed.
pub(crate) struct FlagClass {
    class: Py<PyAny>,
    values: [PyOnceLock<Py<PyAny>>; 16],
}

impl FlagClass {
    fn value(&self, py: Python<'_>, bits: u8) -> PyResult<Py<PyAny>> {
        match self.values.get(usize::from(bits)) {
            Some(cell) => cell
                .get_or_try_init(py, || self.class.call1(py, (bits,)))
                .map(|value| value.clone_ref(py)),
            None => self.class.call1(py, (bits,)),
        }
    }
}

macro_rules! flags {
    ($rust:ty, $name:literal) => {
        impl Flags for $rust {
            const NAME: &'static str = $name;

            fn bits(self) -> u8 {
                <$rust>::bits(&self) as u8
            }

            fn from_bits(bits: u8) -> Option<Self> {
                <$rust>::from_bits(bits.into())
            }

            fn class(py: Python<'_>) -> PyResult<&'static FlagClass> {
                static CLASS: PyOnceLock<FlagClass> = PyOnceLock::new();
                CLASS.get_or_try_init(py, || {
                    Ok(FlagClass {
                        class: py.import("kdive._enums")?.getattr($name)?.unbind(),
                        values: [const { PyOnceLock::new() }; 16],
                    })
                })
            }
        }
    };
}

bitflags::bitflags! {
    /// What distinguishes platforms of one architecture.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct PlatformFlags: u8 {
        const IS_64_BIT = 1;
        const IS_LITTLE_ENDIAN = 2;
    }
}

bitflags::bitflags! {
    /// What a program is.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct ProgramFlags: u8 {
        const IS_LINUX_KERNEL = 1;
        const IS_LIVE = 2;
        const IS_LOCAL = 4;
    }
}

flags!(Qualifiers, "Qualifiers");
flags!(ObjectKinds, "FindObjectFlags");
flags!(PlatformFlags, "PlatformFlags");
flags!(ProgramFlags, "ProgramFlags");
