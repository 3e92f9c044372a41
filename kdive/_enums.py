"""The enumerations and flags of the public API.

The native module takes and returns their members; `kdive` exports them. Names and values are
those that existing scripts and saved results know.
"""

import enum

__all__ = (
    "AbsenceReason",
    "Architecture",
    "FindObjectFlags",
    "KmodSearchMethod",
    "ModuleFileStatus",
    "PlatformFlags",
    "PrimitiveType",
    "ProgramFlags",
    "Qualifiers",
    "SupplementaryFileKind",
    "SymbolBinding",
    "SymbolKind",
    "TypeKind",
)


class AbsenceReason(enum.Enum):
    """Why an object is absent."""

    OTHER = 0
    """Another reason than those below."""
    OPTIMIZED_OUT = 1
    """The compiler optimised it out."""
    NOT_IMPLEMENTED = 2
    """kdive can't evaluate where it is."""


class Architecture(enum.Enum):
    """A processor architecture."""

    UNKNOWN = 0
    """None of those below."""
    X86_64 = 1
    """AMD64, Intel 64."""
    I386 = 2
    """32-bit x86."""
    AARCH64 = 3
    """64-bit Arm."""
    ARM = 4
    """32-bit Arm."""
    PPC64 = 5
    """64-bit PowerPC."""
    RISCV64 = 6
    """64-bit RISC-V."""
    RISCV32 = 7
    """32-bit RISC-V."""
    S390X = 8
    """64-bit IBM Z."""
    S390 = 9
    """31-bit IBM Z."""
    LOONGARCH64 = 10
    """64-bit LoongArch."""


class FindObjectFlags(enum.Flag):
    """Which kinds of objects to look for."""

    CONSTANT = 1
    """Enumerators and macros."""
    FUNCTION = 2
    """Functions."""
    VARIABLE = 4
    """Variables."""
    ANY = 7
    """All of them."""


class KmodSearchMethod(enum.Enum):
    """How the files of loadable kernel modules are found."""

    NONE = 0
    """Not at all."""
    DEPMOD = 1
    """By the index that depmod wrote."""
    WALK = 2
    """By walking the directories of kernel modules."""
    DEPMOD_OR_WALK = 3
    """By depmod's index if there is one, else by walking."""
    DEPMOD_AND_WALK = 4
    """By depmod's index, then by walking for those it does not know."""


class ModuleFileStatus(enum.Enum):
    """Whether a module has one of its files."""

    WANT = 0
    """It has not been searched for, or not been found."""
    HAVE = 1
    """It has been found and is in use."""
    DONT_WANT = 2
    """It shall not be searched for."""
    DONT_NEED = 3
    """Another file has what it would have."""
    WANT_SUPPLEMENTARY = 4
    """It has been found; the supplementary file that it refers to has not."""


class PlatformFlags(enum.Flag):
    """What distinguishes platforms of one architecture."""

    IS_64_BIT = 1
    """Addresses have 64 bits."""
    IS_LITTLE_ENDIAN = 2
    """The least significant byte of a number comes first."""


class PrimitiveType(enum.Enum):
    """The types that C itself defines."""

    C_VOID = 0
    C_CHAR = 1
    C_SIGNED_CHAR = 2
    C_UNSIGNED_CHAR = 3
    C_SHORT = 4
    C_UNSIGNED_SHORT = 5
    C_INT = 6
    C_UNSIGNED_INT = 7
    C_LONG = 8
    C_UNSIGNED_LONG = 9
    C_LONG_LONG = 10
    C_UNSIGNED_LONG_LONG = 11
    C_BOOL = 12
    C_FLOAT = 13
    C_DOUBLE = 14
    C_LONG_DOUBLE = 15
    C_SIZE_T = 16
    C_PTRDIFF_T = 17


class ProgramFlags(enum.Flag):
    """What a program is."""

    IS_LINUX_KERNEL = 1
    """It is the Linux kernel."""
    IS_LIVE = 2
    """It is running: memory changes while it is read."""
    IS_LOCAL = 4
    """It is on this machine."""


class Qualifiers(enum.Flag):
    """The qualifiers of a type."""

    NONE = 0
    CONST = 1
    """`const`"""
    VOLATILE = 2
    """`volatile`"""
    RESTRICT = 4
    """`restrict`"""
    ATOMIC = 8
    """`_Atomic`"""


class SupplementaryFileKind(enum.Enum):
    """The kinds of files that a debug file refers to for shared contents."""

    GNU_DEBUGALTLINK = 1
    """What dwz makes, named by the section `.gnu_debugaltlink`."""


class SymbolBinding(enum.Enum):
    """How visible a symbol is to other object files."""

    UNKNOWN = 0
    LOCAL = 1
    """Only within its object file."""
    GLOBAL = 2
    """Everywhere; defined once."""
    WEAK = 3
    """Everywhere; a global one takes precedence."""
    UNIQUE = 11
    """Everywhere; one in the whole process."""


class SymbolKind(enum.Enum):
    """What a symbol names."""

    UNKNOWN = 0
    OBJECT = 1
    """A variable."""
    FUNC = 2
    """A function."""
    SECTION = 3
    """A section."""
    FILE = 4
    """A source file."""
    COMMON = 5
    """A variable whose place the linker chose."""
    TLS = 6
    """A thread-local variable."""
    IFUNC = 10
    """A function that is resolved when the program starts."""


class TypeKind(enum.Enum):
    """The kinds of types."""

    VOID = 1
    """`void`"""
    INT = 2
    """An integer, `char` included."""
    BOOL = 3
    """A truth value."""
    FLOAT = 4
    """A floating-point number."""
    STRUCT = 5
    """A structure."""
    UNION = 6
    """A union."""
    CLASS = 7
    """A C++ class."""
    ENUM = 8
    """An enumeration."""
    TYPEDEF = 9
    """A type alias."""
    POINTER = 10
    """A pointer, or a C++ reference."""
    ARRAY = 11
    """An array."""
    FUNCTION = 12
    """A function."""
