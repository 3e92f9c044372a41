"""The native core of kdive: programs, types, objects, symbols, stacks and modules.

Everything public here is exported by `kdive`; import it from there. Addresses and offsets are in
bytes and sizes are in bytes where the name does not say bits. An integer argument may be anything
that has `__index__`, an `Object` included; one that does not fit raises `OverflowError`.

Every function that reads the target raises `FaultError` for an address that can't be read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import (
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    final,
    overload,
)

from typing_extensions import Buffer

from kdive._enums import (
    AbsenceReason as AbsenceReason,
    Architecture as Architecture,
    FindObjectFlags as FindObjectFlags,
    KmodSearchMethod as KmodSearchMethod,
    ModuleFileStatus as ModuleFileStatus,
    PlatformFlags as PlatformFlags,
    PrimitiveType as PrimitiveType,
    ProgramFlags as ProgramFlags,
    Qualifiers as Qualifiers,
    SupplementaryFileKind as SupplementaryFileKind,
    SymbolBinding as SymbolBinding,
    SymbolKind as SymbolKind,
    TypeKind as TypeKind,
)
from kdive._errors import (
    BadDataError as BadDataError,
    FaultError as FaultError,
    MissingDebugInfoError as MissingDebugInfoError,
    NoDefaultProgramError as NoDefaultProgramError,
    ObjectAbsentError as ObjectAbsentError,
    ObjectNotFoundError as ObjectNotFoundError,
    OutOfBoundsError as OutOfBoundsError,
    UnsupportedOperation as UnsupportedOperation,
)
from kdive._records import (
    Damage as Damage,
    SourceLocation as SourceLocation,
    Verification as Verification,
    WantedSupplementaryFile as WantedSupplementaryFile,
)

_T_co = TypeVar("_T_co", covariant=True)
_Path: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]
_ByteOrder: TypeAlias = Literal["little", "big"]
_Number: TypeAlias = SupportsIndex | float
_Values: TypeAlias = SupportsIndex | tuple[SupportsIndex, SupportsIndex]

__version__: Final[str]

host_platform: Final[Platform]
"""The platform of the machine that kdive runs on."""

@final
class Register:
    """A register of a processor."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    @property
    def names(self) -> Sequence[str]:
        """Its names; all but the first are aliases."""

@final
class Platform:
    """What must be known of a machine to read its memory."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __new__(cls, arch: Architecture, flags: PlatformFlags | None = None) -> Platform:
        """Make a platform.

        Args:
            arch: The processor architecture.
            flags: Its word size and byte order; by default what is usual for `arch`.

        Raises:
            ValueError: `flags` is not given and `arch` is `UNKNOWN`.
        """

    @property
    def arch(self) -> Architecture:
        """The processor architecture."""

    @property
    def flags(self) -> PlatformFlags:
        """The word size and byte order."""

    @property
    def registers(self) -> Sequence[Register]:
        """The registers that stack frames of this platform may have."""

@final
class Language:
    """A programming language, as far as names and operators of its types differ."""

    C: ClassVar[Language]
    """C, and what is not known to be anything else."""
    CPP: ClassVar[Language]
    """C++."""

    @property
    def name(self) -> str:
        """Its name."""

def get_default_prog() -> Program:
    """Return the program that this thread uses when none is given.

    Raises:
        NoDefaultProgramError: None was set.
    """

def set_default_prog(prog: Program | None, /) -> None:
    """Set or clear the program that this thread uses when none is given."""

def program_from_core_dump(path: _Path | int) -> Program:
    """Open a core dump, given its path or an open file descriptor, and load debug information.

    Debug information that can't be found is logged, not an error; see
    `Program.load_default_debug_info`.
    """

def program_from_kernel() -> Program:
    """Open the running kernel and load debug information."""

def program_from_pid(pid: int) -> Program:
    """Open a running process and load debug information."""

def filename_matches(haystack: _Path | None, needle: _Path | None) -> bool:
    """Return whether the path `haystack` ends with the path components of `needle`.

    No `needle` matches everything; no `haystack` is matched only by an empty `needle` or none.

    >>> filename_matches("/usr/src/linux/fs/inode.c", "fs/inode.c")
    True
    >>> filename_matches("/usr/src/linux/fs/inode.c", "node.c")
    False
    """

@final
class Program:
    """A running or dead program, or a kernel, that is looked into.

    `prog["name"]` is the variable, function or constant of that name. Several threads may use
    one program at the same time.
    """

    cache: dict[Any, Any]
    """Where helpers keep what they found out about the program."""
    config: dict[str, Any]
    """Settings of the program, for helpers and tools."""

    def __new__(
        cls, platform: Platform | None = None, *, vmcoreinfo: str | bytes | None = None
    ) -> Program:
        """Make a program without a target.

        Args:
            platform: The platform; by default that of the target that is set later.
            vmcoreinfo: The text of the VMCOREINFO note of a kernel; it takes precedence over
                what the target says.

        Raises:
            BadDataError: `vmcoreinfo` is not valid.
        """

    @property
    def flags(self) -> ProgramFlags:
        """What the program is."""

    @property
    def platform(self) -> Platform | None:
        """The platform, once it is known."""

    @property
    def core_dump_path(self) -> str | None:
        """The path of the core dump, if the target is one that was opened by path."""

    @property
    def language(self) -> Language:
        """The language of types made or looked up without another one; may be set."""

    @language.setter
    def language(self, value: Language) -> None: ...
    @property
    def debug_info_options(self) -> DebugInfoOptions:
        """How debug information is searched for; its attributes may be set."""

    @debug_info_options.setter
    def debug_info_options(self, value: DebugInfoOptions) -> None: ...
    def address_size(self) -> int:
        """Return the size of an address in bytes.

        Raises:
            ValueError: The platform is not known.
        """

    # Targets

    def set_core_dump(
        self,
        path: _Path | int | Sequence[_Path],
        *,
        excluded_pages: Literal["fault", "zero"] = "fault",
        allow_truncated: bool = True,
        snapshot: bool = False,
    ) -> None:
        """Make a core dump the target.

        What is wrong with a dump that can be used nevertheless is logged as a warning, a line each.

        Args:
            path: The path of the dump, an open file descriptor, which is duplicated, or a list
                or tuple of the paths of all files of a split dump, in any order.
            excluded_pages: How memory reads that was left out when the dump was made.
            allow_truncated: Whether a file that ends too early may be used. What is missing raises
                FaultError when it is read.
            snapshot: See `set_kernel()`; for an open `/proc/kcore`. Dumps stand still anyway.

        Raises:
            OSError: The file can't be read.
            ValueError: The program has a target, the file is not a core dump, or it is damaged.
            BadDataError: The file ends too early, and `allow_truncated` is false.
        """

    def set_kernel(self, *, snapshot: bool = False) -> None:
        """Make the running kernel the target; needs the right to read `/proc/kcore`.

        Args:
            snapshot: Whether a page that was once read stays what it was, so that what is read
                twice is the same twice. All pages that are read are kept, 4 KiB each, and pages
                are still of different moments.
        """

    def set_linux_kernel_custom(self, vmcoreinfo: str | bytes, is_live: bool) -> None:
        """Make a kernel the target whose memory `add_memory_segment` has provided.

        Virtual addresses without a segment of their own are translated by the kernel's page
        tables, which are read from physical segments.

        Args:
            vmcoreinfo: The text of its VMCOREINFO note.
            is_live: Whether memory changes while it is read.

        Raises:
            ValueError: The program has a target.
        """

    def verify(self, progress: Callable[[int, int], object] | None = None) -> Verification:
        """Read all memory of the target with all threads, and check what it says of itself.

        Args:
            progress: Called with the number of bytes done and in all, every 32 MiB; what it raises
                ends the check.

        Raises:
            ValueError: The program has no target.
        """

    def set_pid(self, pid: int, *, snapshot: bool = False) -> None:
        """Make a running process the target; needs the right to trace it.

        Args:
            pid: The process.
            snapshot: See `set_kernel()`.

        Raises:
            ProcessLookupError: There is no such process.
            PermissionError: It may not be traced; the message says what that takes.
        """

    def set_qemu_qmp(self, address: str | int, *, snapshot: bool = False) -> None:
        """Make the kernel of a QEMU guest the target.

        Args:
            address: The QMP socket: a path, `host:port`, or a connected file descriptor.
            snapshot: See `set_kernel()`.
        """

    def add_memory_segment(
        self,
        address: SupportsIndex,
        size: SupportsIndex,
        read_fn: Callable[[int, int, int, bool], Buffer],
        physical: bool = False,
    ) -> None:
        """Provide the bytes of a range of addresses; it hides what was there before.

        Args:
            address: The first address.
            size: The size in bytes.
            read_fn: Called with the address, the number of bytes, the offset of the address
                in the segment, and whether the address is physical; returns exactly that many
                bytes. It may raise `FaultError`. Any thread may call it.
            physical: Whether the addresses are physical.
        """

    # Memory

    def read(self, address: SupportsIndex, size: SupportsIndex, physical: bool = False) -> bytes:
        """Read `size` bytes at `address`.

        Raises:
            FaultError: Some of them can't be read.
        """

    def read_c_string(
        self,
        address: SupportsIndex,
        physical: bool = False,
        *,
        max_size: SupportsIndex = ...,
    ) -> bytes:
        """Read the bytes at `address` up to the first zero byte, at most `max_size`."""

    def read_u8(self, address: SupportsIndex, physical: bool = False) -> int:
        """Read an unsigned 8-bit integer."""

    def read_u16(self, address: SupportsIndex, physical: bool = False) -> int:
        """Read an unsigned 16-bit integer in the program's byte order."""

    def read_u32(self, address: SupportsIndex, physical: bool = False) -> int:
        """Read an unsigned 32-bit integer in the program's byte order."""

    def read_u64(self, address: SupportsIndex, physical: bool = False) -> int:
        """Read an unsigned 64-bit integer in the program's byte order."""

    def read_word(self, address: SupportsIndex, physical: bool = False) -> int:
        """Read an unsigned integer of the size of an address in the program's byte order."""

    def search_memory(
        self, value: Buffer | str | SupportsIndex, *, alignment: SupportsIndex = 1
    ) -> MemorySearchIterator[int]:
        """Search all memory for bytes, for the UTF-8 of a string, or for the bytes of an object.

        Args:
            value: What to look for; an integer is one of the size of an address.
            alignment: Only addresses that are a multiple of this, a power of two, are found.

        Returns:
            The addresses, ascending.
        """

    def search_memory_u16(
        self, *values: _Values, ignore_mask: SupportsIndex = 0
    ) -> MemorySearchIterator[tuple[int, int]]:
        """Search all memory for aligned 16-bit integers in the program's byte order.

        Args:
            *values: What to look for: integers, or pairs of the least and the greatest one.
            ignore_mask: The bits that are ignored when comparing.

        Returns:
            Pairs of address and value, by ascending address.
        """

    def search_memory_u32(
        self, *values: _Values, ignore_mask: SupportsIndex = 0
    ) -> MemorySearchIterator[tuple[int, int]]:
        """Search all memory for 32-bit integers; like `search_memory_u16`."""

    def search_memory_u64(
        self, *values: _Values, ignore_mask: SupportsIndex = 0
    ) -> MemorySearchIterator[tuple[int, int]]:
        """Search all memory for 64-bit integers; like `search_memory_u16`."""

    def search_memory_word(
        self, *values: _Values, ignore_mask: SupportsIndex = 0
    ) -> MemorySearchIterator[tuple[int, int]]:
        """Search all memory for integers of the size of an address; like `search_memory_u16`."""

    @overload
    def search_memory_regex(self, pattern: str) -> MemorySearchIterator[tuple[int, str]]: ...
    @overload
    def search_memory_regex(self, pattern: bytes) -> MemorySearchIterator[tuple[int, bytes]]:
        """Search all memory for matches of a regular expression.

        Args:
            pattern: Bytes match bytes; a string matches UTF-8.

        Returns:
            Pairs of address and match, by ascending address.
        """

    # Types and objects by name

    def __getitem__(self, name: str, /) -> Object:
        """Return the variable, function or constant called `name`.

        Raises:
            ObjectNotFoundError: There is none.
        """

    def __contains__(self, name: str, /) -> bool: ...

    __iter__: ClassVar[None]

    def type(self, name: str | Type, filename: _Path | None = None) -> Type:
        """Return the type that C source calls `name`.

        Args:
            name: Any type name: `"struct task_struct *"`, `"int (*)[2]"`. A `Type` is returned
                as it is.
            filename: If several files define the type, the end of the path of the right one.

        Raises:
            LookupError: The program has no such type.
            SyntaxError: `name` is not the name of a type; says where it is wrong.
        """

    def object(
        self,
        name: str,
        flags: FindObjectFlags = FindObjectFlags.ANY,
        filename: _Path | None = None,
    ) -> Object:
        """Return the object called `name`.

        Args:
            name: Its name.
            flags: Which kinds of objects to look for.
            filename: If several files define it, the end of the path of the right one.

        Raises:
            ObjectNotFoundError: There is none.
        """

    def constant(self, name: str, filename: _Path | None = None) -> Object:
        """Return the enumerator or macro called `name`; like `object`."""

    def function(self, name: str, filename: _Path | None = None) -> Object:
        """Return the function called `name`; like `object`."""

    def variable(self, name: str, filename: _Path | None = None) -> Object:
        """Return the variable called `name`; like `object`."""

    # Symbols and source code

    def symbol(self, address_or_name: SupportsIndex | str, /) -> Symbol:
        """Return the symbol that contains an address, or has a name.

        Of several, a global one is preferred to a weak one, that to a local one, and of those
        that contain the address the one that begins closest to it.

        Raises:
            LookupError: There is none.
        """

    def symbols(self, address_or_name: SupportsIndex | str | None = None, /) -> list[Symbol]:
        """Return all symbols, or all those that contain an address or have a name."""

    def source_location(self, address: SupportsIndex | str, /) -> SourceLocationList:
        """Return where in the source code an address is.

        Args:
            address: An address, or a symbol's name with or without `+offset`.

        Raises:
            LookupError: It is not known.
        """

    # Threads and stacks

    def threads(self) -> Iterator[Thread]:
        """Iterate over the threads of the program."""

    def thread(self, tid: SupportsIndex) -> Thread:
        """Return the thread with an ID.

        Raises:
            LookupError: There is none.
        """

    def main_thread(self) -> Thread:
        """Return the first thread of a process.

        Raises:
            ValueError: The program is a kernel.
        """

    def crashed_thread(self) -> Thread:
        """Return the thread that made the program, or the kernel, crash.

        Raises:
            ValueError: The program is live.
            LookupError: No thread did.
        """

    def stack_trace(self, thread: Object | SupportsIndex) -> StackTrace:
        """Return the stack trace of a thread.

        Args:
            thread: A thread ID, a `struct task_struct *`, or a `struct pt_regs`.
        """

    def stack_traces(self, threads: Iterable[Thread | Object]) -> list[StackTrace]:
        """Return the stack traces of many threads, in the same order.

        All processors unwind at once, and other Python threads go on meanwhile.

            for task, trace in zip(tasks, prog.stack_traces(tasks)):
                ...

        Args:
            threads: Each a `Thread`, a `struct task_struct *` or a `struct pt_regs`.

        Returns:
            A trace for each. One for which `stack_trace()` would raise something else than
            `TypeError` has no frames, and its `end_reason` says why.

        Raises:
            TypeError: Something else has no stack.
        """

    def stack_traces_in_log(self, log: str) -> list[LoggedStack]:
        """Return the stacks that a kernel log has as text: of oopses, warnings and hung tasks.

        They get functions, source lines and inlined functions from this program, which must be
        the kernel that wrote the log.

        Args:
            log: Lines of the log, with or without times.
        """

    def stack_trace_from_pcs(self, pcs: Sequence[SupportsIndex]) -> StackTrace:
        """Return a stack trace of these program counters, innermost first, without registers."""

    # Finders

    def register_type_finder(
        self,
        name: str,
        fn: Callable[[Program, TypeKindSet, str, str | None], Type | None],
        *,
        enable_index: int | None = None,
    ) -> None:
        """Add a function that finds types.

        Args:
            name: The name by which it is enabled; must be new.
            fn: Called with the program, the kinds that are looked for, the name without
                `struct` or the like, and the file name or none; returns the type or none.
            enable_index: Its place among the enabled finders; -1 is the last. By default it is
                not enabled.

        Raises:
            ValueError: There is a type finder called `name`.
        """

    def registered_type_finders(self) -> set[str]:
        """Return the names of all type finders."""

    def set_enabled_type_finders(self, names: Sequence[str]) -> None:
        """Enable exactly these type finders; they are asked in this order.

        Raises:
            ValueError: A name is not registered, or given twice.
        """

    def enabled_type_finders(self) -> list[str]:
        """Return the names of the enabled type finders in the order in which they are asked."""

    def register_object_finder(
        self,
        name: str,
        fn: Callable[[Program, str, FindObjectFlags, str | None], Object | None],
        *,
        enable_index: int | None = None,
    ) -> None:
        """Add a function that finds objects; like `register_type_finder`.

        Args:
            name: The name by which it is enabled; must be new.
            fn: Called with the program, the name, the kinds that are looked for, and the file
                name or none; returns the object or none.
            enable_index: Its place among the enabled finders.
        """

    def registered_object_finders(self) -> set[str]:
        """Return the names of all object finders."""

    def set_enabled_object_finders(self, names: Sequence[str]) -> None:
        """Enable exactly these object finders; they are asked in this order."""

    def enabled_object_finders(self) -> list[str]:
        """Return the names of the enabled object finders in their order."""

    def register_symbol_finder(
        self,
        name: str,
        fn: Callable[[Program, str | None, int | None, bool], Sequence[Symbol]],
        *,
        enable_index: int | None = None,
    ) -> None:
        """Add a function that finds symbols; like `register_type_finder`.

        Args:
            name: The name by which it is enabled; must be new.
            fn: Called with the program, the name or none, the address or none, and whether one
                symbol is enough; returns the symbols.
            enable_index: Its place among the enabled finders.
        """

    def registered_symbol_finders(self) -> set[str]:
        """Return the names of all symbol finders."""

    def set_enabled_symbol_finders(self, names: Sequence[str]) -> None:
        """Enable exactly these symbol finders; they are asked in this order."""

    def enabled_symbol_finders(self) -> list[str]:
        """Return the names of the enabled symbol finders in their order."""

    def register_debug_info_finder(
        self,
        name: str,
        fn: Callable[[Sequence[Module]], None],
        *,
        enable_index: int | None = None,
    ) -> None:
        """Add a function that finds the files of modules; like `register_type_finder`.

        Args:
            name: The name by which it is enabled; must be new.
            fn: Called with the modules that want a file; calls `Module.try_file`.
            enable_index: Its place among the enabled finders.
        """

    def registered_debug_info_finders(self) -> set[str]:
        """Return the names of all debug information finders."""

    def set_enabled_debug_info_finders(self, names: Sequence[str]) -> None:
        """Enable exactly these debug information finders; they are asked in this order."""

    def enabled_debug_info_finders(self) -> list[str]:
        """Return the names of the enabled debug information finders in their order."""

    def add_type_finder(self, fn: Callable[[TypeKind, str, str | None], Type | None]) -> None:
        """Add and enable a type finder that is asked first, for one kind at a time.

        Older scripts use this; `register_type_finder` is its successor.
        """

    def add_object_finder(
        self, fn: Callable[[Program, str, FindObjectFlags, str | None], Object | None]
    ) -> None:
        """Add and enable an object finder that is asked first.

        Older scripts use this; `register_object_finder` is its successor.
        """

    # Modules and debug information

    def modules(self) -> Iterator[Module]:
        """Iterate over the modules that the program has been found to have."""

    def loaded_modules(self) -> Iterator[tuple[Module, bool]]:
        """Find out which modules the program has loaded, one by one.

        Yields:
            The module, and whether it is new.
        """

    def create_loaded_modules(self) -> None:
        """Find out which modules the program has loaded, all of them."""

    def main_module(self, name: _Path | None = None, *, create: bool = False) -> MainModule:
        """Return the module of the executable or the kernel.

        Args:
            name: Its name, which must match if it is given.
            create: Whether to create it, with `name`, if it does not exist.

        Raises:
            LookupError: There is none.
        """

    def shared_library_module(
        self, name: _Path, dynamic_address: SupportsIndex, *, create: bool = False
    ) -> SharedLibraryModule:
        """Return, or create, the module of a shared library; like `main_module`.

        Args:
            name: Its path.
            dynamic_address: The address of its dynamic section.
            create: Whether to create it if it does not exist.
        """

    def vdso_module(
        self, name: _Path, dynamic_address: SupportsIndex, *, create: bool = False
    ) -> VdsoModule:
        """Return, or create, the module of the vDSO; like `shared_library_module`."""

    def relocatable_module(
        self, name: _Path, address: SupportsIndex, *, create: bool = False
    ) -> RelocatableModule:
        """Return, or create, the module of a relocatable object, such as a kernel module.

        Args:
            name: Its name.
            address: Its address.
            create: Whether to create it if it does not exist.
        """

    def linux_kernel_loadable_module(
        self, module_obj: Object, *, create: bool = False
    ) -> RelocatableModule:
        """Return, or create, the module of a loadable kernel module.

        Args:
            module_obj: Its `struct module *`.
            create: Whether to create it if it does not exist.
        """

    def extra_module(
        self, name: _Path, id: SupportsIndex = 0, *, create: bool = False
    ) -> ExtraModule:
        """Return, or create, a module that is no part of the program.

        Args:
            name: Any name.
            id: A number that tells extra modules of one name apart.
            create: Whether to create it if it does not exist.
        """

    def module(self, address_or_name: SupportsIndex | str, /) -> Module:
        """Return the module that contains an address, or has a name.

        Raises:
            LookupError: There is none.
        """

    def load_debug_info(
        self, paths: Iterable[_Path] | None = (), default: bool = False, main: bool = False
    ) -> None:
        """Load debug information.

        Args:
            paths: Files with debug information. Those that belong to no loaded module are
                ignored with a warning.
            default: Whether to search for that of all loaded modules.
            main: Whether to search for that of the main module.

        Raises:
            MissingDebugInfoError: Some was not found. What was found is loaded.
        """

    def load_default_debug_info(self) -> None:
        """Load debug information of all loaded modules; like `load_debug_info`."""

    def load_module_debug_info(self, *modules: Module) -> None:
        """Search for debug information of these modules; `wants_debug_file()` tells whether it was found."""

    def find_standard_debug_info(
        self, modules: Iterable[Module], options: DebugInfoOptions | None = None
    ) -> None:
        """Search for the files of modules in the standard places.

        Args:
            modules: The modules.
            options: How to search; by default `debug_info_options`.
        """

    # Making types

    def void_type(
        self, *, qualifiers: Qualifiers = Qualifiers.NONE, language: Language | None = None
    ) -> Type:
        """Make `void`.

        Args:
            qualifiers: Its qualifiers.
            language: Its language; by default that of the program.
        """

    def int_type(
        self,
        name: str,
        size: SupportsIndex,
        is_signed: bool,
        byteorder: _ByteOrder | None = None,
        *,
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make an integer type.

        Args:
            name: Its name.
            size: Its size in bytes.
            is_signed: Whether it has negative values.
            byteorder: The order of its bytes; by default that of the program.
            qualifiers: Its qualifiers.
            language: Its language; by default that of the program.
        """

    def bool_type(
        self,
        name: str,
        size: SupportsIndex,
        byteorder: _ByteOrder | None = None,
        *,
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make a truth value type; the arguments are those of `int_type`."""

    def float_type(
        self,
        name: str,
        size: SupportsIndex,
        byteorder: _ByteOrder | None = None,
        *,
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make a floating-point type; the arguments are those of `int_type`."""

    @overload
    def struct_type(
        self,
        tag: str | None,
        size: SupportsIndex,
        members: Sequence[TypeMember],
        *,
        template_parameters: Sequence[TypeTemplateParameter] = (),
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type: ...
    @overload
    def struct_type(
        self,
        tag: str | None,
        size: None = None,
        members: None = None,
        *,
        template_parameters: Sequence[TypeTemplateParameter] = (),
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make a structure type; without size and members, one that is only declared.

        Args:
            tag: What follows `struct`; none if it is anonymous.
            size: Its size in bytes.
            members: Its members.
            template_parameters: The arguments of the template that it comes from.
            qualifiers: Its qualifiers.
            language: Its language; by default that of the program.
        """

    @overload
    def union_type(
        self,
        tag: str | None,
        size: SupportsIndex,
        members: Sequence[TypeMember],
        *,
        template_parameters: Sequence[TypeTemplateParameter] = (),
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type: ...
    @overload
    def union_type(
        self,
        tag: str | None,
        size: None = None,
        members: None = None,
        *,
        template_parameters: Sequence[TypeTemplateParameter] = (),
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make a union type; the arguments are those of `struct_type`."""

    @overload
    def class_type(
        self,
        tag: str | None,
        size: SupportsIndex,
        members: Sequence[TypeMember],
        *,
        template_parameters: Sequence[TypeTemplateParameter] = (),
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type: ...
    @overload
    def class_type(
        self,
        tag: str | None,
        size: None = None,
        members: None = None,
        *,
        template_parameters: Sequence[TypeTemplateParameter] = (),
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make a class type; the arguments are those of `struct_type`."""

    @overload
    def enum_type(
        self,
        tag: str | None,
        type: Type,
        enumerators: Sequence[TypeEnumerator],
        *,
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type: ...
    @overload
    def enum_type(
        self,
        tag: str | None,
        type: None = None,
        enumerators: None = None,
        *,
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make an enumeration type; without type and enumerators, one that is only declared.

        Args:
            tag: What follows `enum`; none if it is anonymous.
            type: The integer type that holds it.
            enumerators: Its enumerators.
            qualifiers: Its qualifiers.
            language: Its language; by default that of the program.
        """

    def typedef_type(
        self,
        name: str,
        type: Type,
        *,
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make a type alias.

        Args:
            name: Its name.
            type: The type that it names.
            qualifiers: Its qualifiers.
            language: Its language; by default that of the program.
        """

    def pointer_type(
        self,
        type: Type,
        size: SupportsIndex | None = None,
        byteorder: _ByteOrder | None = None,
        *,
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make a pointer type.

        Args:
            type: What it points to.
            size: Its size in bytes; by default that of an address of the program.
            byteorder: The order of its bytes; by default that of the program.
            qualifiers: Its qualifiers.
            language: Its language; by default that of `type`.
        """

    def array_type(
        self,
        type: Type,
        length: SupportsIndex | None = None,
        *,
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make an array type.

        Args:
            type: The type of its elements.
            length: The number of its elements; none if it is not known.
            qualifiers: Its qualifiers.
            language: Its language; by default that of `type`.
        """

    def function_type(
        self,
        type: Type,
        parameters: Sequence[TypeParameter],
        is_variadic: bool = False,
        *,
        template_parameters: Sequence[TypeTemplateParameter] = (),
        qualifiers: Qualifiers = Qualifiers.NONE,
        language: Language | None = None,
    ) -> Type:
        """Make a function type.

        Args:
            type: What it returns.
            parameters: Its parameters.
            is_variadic: Whether it takes more arguments than its parameters.
            template_parameters: The arguments of the template that it comes from.
            qualifiers: Its qualifiers.
            language: Its language; by default that of `type`.
        """

@final
class Type:
    """A type.

    `str` is its C source, `repr` the call that makes it. Types are compared by identity.
    An attribute that the kind of the type does not have raises `AttributeError`.
    """

    @property
    def prog(self) -> Program:
        """The program that it belongs to."""

    @property
    def kind(self) -> TypeKind:
        """Its kind."""

    @property
    def primitive(self) -> PrimitiveType | None:
        """Which of C's own types it is, if it is one."""

    @property
    def qualifiers(self) -> Qualifiers:
        """Its qualifiers."""

    @property
    def language(self) -> Language:
        """Its language."""

    @property
    def name(self) -> str:
        """The name of an integer, truth value, floating-point type, alias or `void`."""

    @property
    def tag(self) -> str | None:
        """The name of a structure, union, class or enumeration; none if it is anonymous."""

    @property
    def size(self) -> int | None:
        """Its size in bytes; none if it is incomplete."""

    @property
    def length(self) -> int | None:
        """The number of elements of an array; none if it is not known."""

    @property
    def is_signed(self) -> bool:
        """Whether an integer type has negative values."""

    @property
    def byteorder(self) -> _ByteOrder:
        """The order of the bytes of a number or pointer."""

    @property
    def type(self) -> Type:
        """What a pointer points to, an alias names, an array holds or a function returns.

        The integer type of an enumeration; none if that is only declared.
        """

    @property
    def members(self) -> Sequence[TypeMember] | None:
        """The members of a structure, union or class; none if it is only declared."""

    @property
    def enumerators(self) -> Sequence[TypeEnumerator] | None:
        """The enumerators of an enumeration; none if it is only declared."""

    @property
    def parameters(self) -> Sequence[TypeParameter]:
        """The parameters of a function."""

    @property
    def is_variadic(self) -> bool:
        """Whether a function takes more arguments than its parameters."""

    @property
    def template_parameters(self) -> Sequence[TypeTemplateParameter]:
        """The template arguments of a structure, union, class or function."""

    def type_name(self) -> str:
        """Return its name as C source would write it, such as `"struct foo *"`."""

    def variable_declaration(self, name: str) -> str:
        """Return the declaration of a variable of this type, such as `"int name[2]"`."""

    def is_complete(self) -> bool:
        """Return whether its size is known: neither `void` nor only declared."""

    def qualified(self, qualifiers: Qualifiers) -> Type:
        """Return this type with exactly these qualifiers."""

    def unqualified(self) -> Type:
        """Return this type without qualifiers."""

    def unaliased(self) -> Type:
        """Return the type that is behind all aliases; with the qualifiers of all of them."""

    def unaliased_kind(self) -> TypeKind:
        """Return the kind of the type that is behind all aliases."""

    def member(self, name: str) -> TypeMember:
        """Return a member by name, also of anonymous members and base classes.

        Raises:
            TypeError: It is not a structure, union or class.
            LookupError: It has no such member.
        """

    def has_member(self, name: str) -> bool:
        """Return whether it has a member of this name, also in anonymous members.

        Raises:
            TypeError: It is not a structure, union or class.
        """

    def _repr_pretty_(self, p: Any, cycle: bool) -> None: ...

@final
class TypeMember:
    """A member of a structure, union or class."""

    def __new__(
        cls,
        object_or_type: Object | Type | Callable[[], Object | Type],
        name: str | None = None,
        bit_offset: SupportsIndex = 0,
    ) -> TypeMember:
        """Make a member.

        Args:
            object_or_type: Its type, or an absent object if it is a bit field, or a function
                that returns either when it is first needed.
            name: Its name; none for an anonymous structure or union.
            bit_offset: Its offset in bits from the start of the type.
        """

    @property
    def object(self) -> Object:
        """An absent object of its type and bit-field size, or its default value."""

    @property
    def type(self) -> Type:
        """Its type."""

    @property
    def name(self) -> str | None:
        """Its name; none for an anonymous structure or union."""

    @property
    def bit_offset(self) -> int:
        """Its offset in bits from the start of the type."""

    @property
    def offset(self) -> int:
        """Its offset in bytes from the start of the type.

        Raises:
            ValueError: It does not begin at a byte.
        """

    @property
    def bit_field_size(self) -> int | None:
        """Its size in bits, if it is a bit field."""

@final
class TypeEnumerator:
    """An enumerator; unpacks to `(name, value)`."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __new__(cls, name: str, value: SupportsIndex) -> TypeEnumerator: ...
    @property
    def name(self) -> str:
        """Its name."""

    @property
    def value(self) -> int:
        """Its value."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: SupportsIndex, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...

@final
class TypeParameter:
    """A parameter of a function."""

    def __new__(
        cls,
        default_argument_or_type: Object | Type | Callable[[], Object | Type],
        name: str | None = None,
    ) -> TypeParameter:
        """Make a parameter.

        Args:
            default_argument_or_type: Its type, or its default argument, or a function that
                returns either when it is first needed.
            name: Its name, if it has one.
        """

    @property
    def default_argument(self) -> Object:
        """Its default argument; absent if it has none."""

    @property
    def type(self) -> Type:
        """Its type."""

    @property
    def name(self) -> str | None:
        """Its name, if it has one."""

@final
class TypeTemplateParameter:
    """An argument of a template."""

    def __new__(
        cls,
        argument: Type | Object | Callable[[], Type | Object],
        name: str | None = None,
        is_default: bool = False,
    ) -> TypeTemplateParameter:
        """Make a template argument.

        Args:
            argument: A type or a value, or a function that returns it when it is first needed.
            name: The name of the parameter, if it has one.
            is_default: Whether the argument is the default.
        """

    @property
    def argument(self) -> Type | Object:
        """The type or value."""

    @property
    def name(self) -> str | None:
        """The name of the parameter, if it has one."""

    @property
    def is_default(self) -> bool:
        """Whether the argument is the default."""

@final
class TypeKindSet:
    """An immutable set of kinds of types; behaves like a `frozenset` of them."""

    def __new__(cls, kinds: Iterable[TypeKind] | None = None, /) -> TypeKindSet: ...
    def __contains__(self, item: object, /) -> bool: ...
    def __iter__(self) -> Iterator[TypeKind]: ...
    def __len__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: object, /) -> bool: ...
    def __le__(self, other: object, /) -> bool: ...
    def __gt__(self, other: object, /) -> bool: ...
    def __ge__(self, other: object, /) -> bool: ...
    def __and__(self, other: Iterable[TypeKind], /) -> TypeKindSet: ...
    def __rand__(self, other: Iterable[TypeKind], /) -> TypeKindSet: ...
    def __or__(self, other: Iterable[TypeKind], /) -> TypeKindSet: ...
    def __ror__(self, other: Iterable[TypeKind], /) -> TypeKindSet: ...
    def __xor__(self, other: Iterable[TypeKind], /) -> TypeKindSet: ...
    def __rxor__(self, other: Iterable[TypeKind], /) -> TypeKindSet: ...
    def __sub__(self, other: Iterable[TypeKind], /) -> TypeKindSet: ...
    def __rsub__(self, other: Iterable[TypeKind], /) -> TypeKindSet: ...
    def isdisjoint(self, other: Iterable[TypeKind]) -> bool:
        """Return whether no kind is in both sets."""

@final
class Object:
    """A variable, function, constant or intermediate value of a program.

    It is a *reference* to memory, which is read whenever its value is needed, a *value*, or
    *absent*. Members are attributes (`task.comm`, also through pointers), elements are items
    (`array[1]`, `pointer[0]`), and operators are those of the language: C promotes integers,
    truncates division and wraps around.

    Names of attributes and methods of this class end in `_`, so that they don't hide members.
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __new__(
        cls,
        prog: Program,
        type: str | Type | None = None,
        value: Any = None,
        *,
        address: SupportsIndex | None = None,
        absence_reason: AbsenceReason = AbsenceReason.OTHER,
        bit_offset: SupportsIndex | None = None,
        bit_field_size: SupportsIndex | None = None,
    ) -> Object:
        """Make a value, a reference (with `address`), or else an absent object.

        Args:
            prog: The program that it belongs to.
            type: Its type, or the name of it; none to give a literal the type that the language
                gives it.
            value: Its value: a number, a `dict` by member, or a sequence of elements.
            address: Its address in memory.
            absence_reason: Why it is absent.
            bit_offset: The offset in bits from `address`.
            bit_field_size: Its size in bits, if it is a bit field.

        Raises:
            ValueError: The arguments contradict each other.
            TypeError: `value` is not one of the type.
        """

    def __getattribute__(self, name: str, /) -> Any:
        """Return a member; like `member_`, but raises `AttributeError` if there is none."""

    @property
    def prog_(self) -> Program:
        """The program that it belongs to."""

    @property
    def type_(self) -> Type:
        """Its type."""

    @property
    def address_(self) -> int | None:
        """The address of a reference."""

    @property
    def absent_(self) -> bool:
        """Whether it is absent."""

    @property
    def absence_reason_(self) -> AbsenceReason | None:
        """Why it is absent, if it is."""

    @property
    def bit_offset_(self) -> int | None:
        """The offset in bits of a reference from its address, 0 to 7."""

    @property
    def bit_field_size_(self) -> int | None:
        """Its size in bits, if it is a bit field."""

    def value_(self) -> Any:
        """Return its value.

        Returns:
            An `int`, `bool` or `float`; the address that a pointer holds; a `dict` by name of
            the members of a structure; a `list` of the elements of an array.

        Raises:
            FaultError: Its memory can't be read.
            ObjectAbsentError: It is absent.
            TypeError: It is a function or incomplete.
        """

    def string_(self) -> bytes:
        """Return the bytes of an array, or those that a pointer points to, up to a zero byte."""

    def member_(self, name: str) -> Object:
        """Return a member of a structure, union or class, or of what a pointer points to.

        Raises:
            LookupError: There is none of this name.
            TypeError: It can't have members.
        """

    def subobject_(self, designator: str) -> Object:
        """Return what a designator such as `"a.b[1].c"` or `"[2]"` leads to."""

    def address_of_(self) -> Object:
        """Return a pointer to a reference; C's `&`.

        Raises:
            ValueError: It is a value or a bit field.
        """

    def read_(self) -> Object:
        """Return its value as it is now; a value is returned as it is."""

    def to_bytes_(self) -> bytes:
        """Return the bytes of its value as they are in memory."""

    @classmethod
    def from_bytes_(
        cls,
        prog: Program,
        type: str | Type,
        bytes: Buffer,
        *,
        bit_offset: SupportsIndex = 0,
        bit_field_size: SupportsIndex | None = None,
    ) -> Object:
        """Make a value of its bytes in memory.

        Args:
            prog: The program that it belongs to.
            type: Its type, or the name of it.
            bytes: At least as many bytes as it needs.
            bit_offset: Where in `bytes` it begins, in bits.
            bit_field_size: Its size in bits, if it is a bit field.
        """

    def format_(
        self,
        *,
        columns: SupportsIndex | None = None,
        integer_base: SupportsIndex | None = None,
        dereference: bool | None = None,
        symbolize: bool | None = None,
        string: bool | None = None,
        char: bool | None = None,
        type_name: bool | None = None,
        member_type_names: bool | None = None,
        element_type_names: bool | None = None,
        members_same_line: bool | None = None,
        elements_same_line: bool | None = None,
        member_names: bool | None = None,
        element_indices: bool | None = None,
        implicit_members: bool | None = None,
        implicit_elements: bool | None = None,
    ) -> str:
        """Return it as source code; `str` is this with the defaults.

        Args:
            columns: The number of columns to fill; by default unlimited.
            integer_base: 8, 10 (the default) or 16.
            dereference: Whether to print what a pointer points to.
            symbolize: Whether to print the symbol and offset of a pointer.
            string: Whether to print arrays of and pointers to characters as strings.
            char: Whether to print integers of character type as character literals (default
                no).
            type_name: Whether to print the type.
            member_type_names: Whether to print the types of members.
            element_type_names: Whether to print the types of elements.
            members_same_line: Whether several members may share a line (default no).
            elements_same_line: Whether several elements may share a line.
            member_names: Whether to print the names of members.
            element_indices: Whether to print the indices of elements (default no).
            implicit_members: Whether to print members whose value is zero.
            implicit_elements: Whether to print elements whose value is zero (default no).
        """

    def _repr_pretty_(self, p: Any, cycle: bool) -> None: ...
    @overload
    def __getitem__(self, i: SupportsIndex, /) -> Object: ...
    @overload
    def __getitem__(self, i: slice, /) -> Object:
        """Return an element, or an array of a range of elements.

        Raises:
            OutOfBoundsError: It lies outside of a value. References are not checked, as in C.
        """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Object]: ...
    def __reversed__(self) -> Iterator[Object]: ...
    def __dir__(self) -> list[str]: ...
    def __bool__(self) -> bool: ...
    def __int__(self) -> int: ...
    def __float__(self) -> float: ...
    def __index__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: object, /) -> bool: ...
    def __le__(self, other: object, /) -> bool: ...
    def __gt__(self, other: object, /) -> bool: ...
    def __ge__(self, other: object, /) -> bool: ...
    def __add__(self, other: _Number, /) -> Object: ...
    def __radd__(self, other: _Number, /) -> Object: ...
    def __sub__(self, other: _Number, /) -> Object: ...
    def __rsub__(self, other: _Number, /) -> Object: ...
    def __mul__(self, other: _Number, /) -> Object: ...
    def __rmul__(self, other: _Number, /) -> Object: ...
    def __truediv__(self, other: _Number, /) -> Object: ...
    def __rtruediv__(self, other: _Number, /) -> Object: ...
    def __mod__(self, other: _Number, /) -> Object: ...
    def __rmod__(self, other: _Number, /) -> Object: ...
    def __lshift__(self, other: _Number, /) -> Object: ...
    def __rlshift__(self, other: _Number, /) -> Object: ...
    def __rshift__(self, other: _Number, /) -> Object: ...
    def __rrshift__(self, other: _Number, /) -> Object: ...
    def __and__(self, other: _Number, /) -> Object: ...
    def __rand__(self, other: _Number, /) -> Object: ...
    def __xor__(self, other: _Number, /) -> Object: ...
    def __rxor__(self, other: _Number, /) -> Object: ...
    def __or__(self, other: _Number, /) -> Object: ...
    def __ror__(self, other: _Number, /) -> Object: ...
    def __neg__(self) -> Object: ...
    def __pos__(self) -> Object: ...
    def __invert__(self) -> Object: ...
    @overload
    def __round__(self, ndigits: None = None) -> int: ...
    @overload
    def __round__(self, ndigits: int) -> Object: ...
    def __trunc__(self) -> int: ...
    def __floor__(self) -> int: ...
    def __ceil__(self) -> int: ...

def NULL(prog: Program, type: str | Type) -> Object:  # noqa: N802
    """Return the null pointer of a pointer type; zero of any other scalar type."""

def cast(type: str | Type, obj: Object) -> Object:
    """Convert an object to another type, as an explicit cast of the language does.

    Raises:
        TypeError: The language has no such cast.
    """

def implicit_convert(
    type: str | Type, obj: Object, *, bit_field_size: SupportsIndex | None = None
) -> Object:
    """Convert an object to another type, as an assignment of the language does.

    Args:
        type: The type, or the name of it.
        obj: The object.
        bit_field_size: The size in bits, if it is assigned to a bit field.

    Raises:
        TypeError: The language has no such conversion.
    """

def reinterpret(type: str | Type, obj: Object) -> Object:
    """Return the bytes of an object as an object of another type.

    Raises:
        OutOfBoundsError: A value has fewer bytes than the type.
    """

def container_of(ptr: Object, type: str | Type, member: str) -> Object:
    """Return a pointer to the structure in which a member lies.

    Args:
        ptr: A pointer to the member.
        type: The type of the structure, or the name of it.
        member: A designator of the member, such as `"tasks"` or `"a.b[1]"`.

    Raises:
        TypeError: `ptr` is not a pointer, or `type` has no members.
        LookupError: `type` has no such member.
        ValueError: The member does not begin at a byte.
    """

def sizeof(type_or_obj: Type | Object | str, /) -> int:
    """Return the size in bytes of a type or object; a name is one of the default program.

    Raises:
        TypeError: It has none: it is incomplete, a function or a bit field.
    """

def alignof(type: Type | str, /) -> int:
    """Return the alignment in bytes of a type; a name is one of the default program."""

def offsetof(type: Type | str, member: str) -> int:
    """Return the offset in bytes of a member; a name is that of a type of the default program.

    Args:
        type: The type, or the name of it.
        member: A designator of the member, such as `"tasks"` or `"a.b[1]"`.

    Raises:
        LookupError: There is no such member.
        ValueError: The member does not begin at a byte.
    """

@final
class Symbol:
    """A symbol of a file's symbol table."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __new__(
        cls,
        name: str,
        address: SupportsIndex,
        size: SupportsIndex,
        binding: SymbolBinding,
        kind: SymbolKind,
    ) -> Symbol: ...
    @property
    def name(self) -> str:
        """Its name."""

    @property
    def address(self) -> int:
        """Its first address."""

    @property
    def size(self) -> int:
        """Its size in bytes; 0 if it is not known."""

    @property
    def binding(self) -> SymbolBinding:
        """How visible it is."""

    @property
    def kind(self) -> SymbolKind:
        """What it names."""

@final
class SymbolIndex:
    """Symbols that can be found quickly; a symbol finder."""

    def __new__(cls, symbols: Iterable[Symbol]) -> SymbolIndex: ...
    def __call__(
        self, prog: Program, name: str | None, address: int | None, one: bool
    ) -> list[Symbol]:
        """Return the symbols with this name, or that contain this address, or both."""

@final
class SourceLocationList(Sequence[SourceLocation]):
    """Where in the source code an address is: the innermost inlined function comes first."""

    @property
    def prog(self) -> Program:
        """The program that it belongs to."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, i: SupportsIndex, /) -> SourceLocation: ...
    @overload
    def __getitem__(self, i: slice, /) -> list[SourceLocation]: ...
    def _repr_pretty_(self, p: Any, cycle: bool) -> None: ...

@final
class Thread:
    """A thread of a program."""

    @property
    def tid(self) -> int:
        """Its ID."""

    @property
    def name(self) -> str | None:
        """Its name, if it is known."""

    @property
    def object(self) -> Object:
        """Its `struct task_struct *`.

        Raises:
            ValueError: The program is not the Linux kernel.
        """

    def stack_trace(self) -> StackTrace:
        """Return its stack trace."""

@final
class StackTrace(Sequence[StackFrame]):
    """The frames of a stack, innermost first."""

    @property
    def prog(self) -> Program:
        """The program that it belongs to."""

    @property
    def end_reason(self) -> str:
        """Why there are no more frames, as a sentence.

        It tells a stack that was seen whole ("the kernel was entered from user mode here") from
        one that could not be followed further ("the stack can't be read at 0xffffc900004a3f58").
        """

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, i: SupportsIndex, /) -> StackFrame: ...
    @overload
    def __getitem__(self, i: slice, /) -> list[StackFrame]: ...
    def _repr_pretty_(self, p: Any, cycle: bool) -> None: ...

@final
class StackFrame:
    """A call of a function, also of an inlined one."""

    @property
    def name(self) -> str:
        """The function, or else its symbol and an offset, or else the program counter."""

    @property
    def function_name(self) -> str | None:
        """The function, if it is known."""

    @property
    def is_inline(self) -> bool:
        """Whether the call was inlined: it shares the registers of its caller."""

    @property
    def is_tail_call(self) -> bool:
        """Whether the function left to the one before by a jump (a tail call).

        Its frame is gone. It is known from its caller's debug information, if that leaves no doubt.
        """

    @property
    def interrupted(self) -> bool:
        """Whether it was interrupted, so that the program counter is the next instruction.

        Otherwise the program counter is where its call returns to.
        """

    @property
    def is_guess(self) -> bool:
        """Whether this frame, or one before it, was found without unwind information.

        It was then found by frame pointers, or by what should be a return address after a jump to
        a bad address. Such frames are marked in `str()`, too.
        """

    @property
    def pc(self) -> int:
        """The program counter.

        Raises:
            LookupError: It is not known.
        """

    @property
    def sp(self) -> int:
        """The stack pointer.

        Raises:
            LookupError: It is not known.
        """

    def __getitem__(self, name: str, /) -> Object:
        """Return a parameter, local variable or, after those, a global one.

        Raises:
            ObjectNotFoundError: There is none.
        """

    def __contains__(self, name: str, /) -> bool: ...
    def locals(self) -> list[str]:
        """Return the names of all parameters and local variables."""

    def why_absent(self, name: str) -> str | None:
        """Return why a parameter or local variable has no value.

        Returns:
            A few words ("optimized out", "register 12 is not known in this frame"); `None` if it
            has a value, or if the frame has no variable of this name.
        """

    def source(self) -> SourceLocation:
        """Return where in the source code it is.

        Raises:
            LookupError: It is not known.
        """

    def symbol(self) -> Symbol:
        """Return the symbol that contains the program counter; for calls, the one before it.

        Raises:
            LookupError: There is none.
        """

    def register(self, reg: str) -> int:
        """Return the value of a register.

        Raises:
            ValueError: There is no such register.
            LookupError: Its value is not known.
        """

    def registers(self) -> dict[str, int]:
        """Return the values of all registers that are known."""

    def _repr_pretty_(self, p: Any, cycle: bool) -> None: ...

@final
class LoggedStack:
    """A stack that was found as text, by `Program.stack_traces_in_log()`."""

    @property
    def line(self) -> int:
        """The number of the line of the log where it begins, from 0."""

    @property
    def trace(self) -> StackTrace:
        """Its frames, without registers. Those that the log marks as unreliable are left out."""

    @property
    def unresolved(self) -> list[str]:
        """The frames whose functions were not found, as `symbol+0xoffset`.

        The symbols of their modules may not be loaded, or several functions have the name.
        """

class Module:
    """An executable, library or kernel module, loaded or not, and its files."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def prog(self) -> Program:
        """The program that it belongs to."""

    @property
    def name(self) -> str:
        """Its name: a path, or the name of a kernel module."""

    @property
    def address_ranges(self) -> Sequence[tuple[int, int]] | None:
        """The ranges of its addresses, each with the first one and the one after the last.

        None if they are not known. May be set.
        """

    @address_ranges.setter
    def address_ranges(
        self, value: Iterable[tuple[SupportsIndex, SupportsIndex]] | None
    ) -> None: ...
    @property
    def address_range(self) -> tuple[int, int] | None:
        """The only one of `address_ranges`; may be set.

        Raises:
            ValueError: There are several.
        """

    @address_range.setter
    def address_range(self, value: tuple[SupportsIndex, SupportsIndex] | None) -> None: ...
    @property
    def build_id(self) -> bytes | None:
        """Its build ID; none if it is not known. May be set."""

    @build_id.setter
    def build_id(self, value: Buffer | None) -> None: ...
    @property
    def object(self) -> Object:
        """The `struct module *` of a kernel module; else absent. May be set."""

    @object.setter
    def object(self, value: Object) -> None: ...
    @property
    def loaded_file_status(self) -> ModuleFileStatus:
        """Whether it has the file that was loaded; may be set, except to `HAVE`."""

    @loaded_file_status.setter
    def loaded_file_status(self, value: ModuleFileStatus) -> None: ...
    @property
    def loaded_file_path(self) -> str | None:
        """The path of the file that was loaded, if it has it."""

    @property
    def loaded_file_bias(self) -> int | None:
        """What is added to an address in that file to get the one in the program."""

    @property
    def debug_file_status(self) -> ModuleFileStatus:
        """Whether it has a file with debug information; may be set, except to `HAVE`."""

    @debug_file_status.setter
    def debug_file_status(self, value: ModuleFileStatus) -> None: ...
    @property
    def debug_file_path(self) -> str | None:
        """The path of the file with debug information, if it has it."""

    @property
    def debug_file_bias(self) -> int | None:
        """What is added to an address in that file to get the one in the program."""

    @property
    def supplementary_debug_file_kind(self) -> SupplementaryFileKind | None:
        """The kind of the file that the debug file refers to, if it does and has it."""

    @property
    def supplementary_debug_file_path(self) -> str | None:
        """The path of the file that the debug file refers to, if it does and has it."""

    @property
    def tried_files(self) -> list[tuple[str, str]]:
        """The files that were looked at and not taken, in that order: the path of each, and what was wrong.

        drgn does not have this.
        """

    def wants_loaded_file(self) -> bool:
        """Return whether it wants the file that was loaded."""

    def wants_debug_file(self) -> bool:
        """Return whether it wants a debug file, or the supplementary file of that."""

    def wanted_supplementary_debug_file(self) -> WantedSupplementaryFile:
        """Return which supplementary file it wants.

        Raises:
            ValueError: It wants none.
        """

    def try_file(self, path: _Path, *, fd: int = -1, force: bool = False) -> None:
        """Use a file as the loaded file, the debug file or both, if it is what is wanted.

        A file that is not there, or is no ELF file, is passed over; why is logged.

        Args:
            path: Its path.
            fd: An open file descriptor of it, which is closed; by default `path` is opened.
            force: Whether to use it although its build ID does not match.
        """

@final
class MainModule(Module):
    """The module of the executable, or of the kernel."""

@final
class SharedLibraryModule(Module):
    """The module of a shared library."""

    @property
    def dynamic_address(self) -> int:
        """The address of its dynamic section."""

@final
class VdsoModule(Module):
    """The module of the vDSO that the kernel maps into each process."""

    @property
    def dynamic_address(self) -> int:
        """The address of its dynamic section."""

@final
class RelocatableModule(Module):
    """The module of a relocatable object, such as a kernel module."""

    @property
    def address(self) -> int:
        """Its address."""

    @property
    def section_addresses(self) -> Mapping[str, int]:
        """The addresses of its sections by name; items may be set and deleted."""

@final
class ExtraModule(Module):
    """A module that is no part of the program."""

    @property
    def id(self) -> int:
        """The number that tells extra modules of one name apart."""

@final
class DebugInfoOptions:
    """How the files of modules are searched for; every attribute may be set."""

    def __new__(
        cls,
        options: DebugInfoOptions | None = None,
        /,
        *,
        directories: Iterable[str] = ...,
        try_module_name: bool = ...,
        try_build_id: bool = ...,
        debug_link_directories: Iterable[str] = ...,
        try_debug_link: bool = ...,
        try_procfs: bool = ...,
        try_embedded_vdso: bool = ...,
        try_reuse: bool = ...,
        try_supplementary: bool = ...,
        kernel_directories: Iterable[str] = ...,
        try_kmod: KmodSearchMethod = ...,
    ) -> DebugInfoOptions:
        """Make options, those not given as in `options`, or else the defaults."""

    @property
    def directories(self) -> tuple[str, ...]:
        """The directories of debug files; `/usr/lib/debug` by default."""

    @directories.setter
    def directories(self, value: Iterable[str]) -> None: ...
    @property
    def try_module_name(self) -> bool:
        """Whether the name of a module is tried as the path of its file."""

    @try_module_name.setter
    def try_module_name(self, value: bool) -> None: ...
    @property
    def try_build_id(self) -> bool:
        """Whether files are searched for by build ID."""

    @try_build_id.setter
    def try_build_id(self, value: bool) -> None: ...
    @property
    def debug_link_directories(self) -> tuple[str, ...]:
        """Where the file that a `.gnu_debuglink` names is searched for.

        `$ORIGIN` is the directory of the loaded file; a relative path is one of each of
        `directories`.
        """

    @debug_link_directories.setter
    def debug_link_directories(self, value: Iterable[str]) -> None: ...
    @property
    def try_debug_link(self) -> bool:
        """Whether files are searched for by `.gnu_debuglink`."""

    @try_debug_link.setter
    def try_debug_link(self, value: bool) -> None: ...
    @property
    def try_procfs(self) -> bool:
        """Whether the files of live processes are opened through `/proc`."""

    @try_procfs.setter
    def try_procfs(self, value: bool) -> None: ...
    @property
    def try_embedded_vdso(self) -> bool:
        """Whether the vDSO is read from the memory of the program."""

    @try_embedded_vdso.setter
    def try_embedded_vdso(self, value: bool) -> None: ...
    @property
    def try_reuse(self) -> bool:
        """Whether the loaded file of a module is tried as its debug file, and the reverse."""

    @try_reuse.setter
    def try_reuse(self, value: bool) -> None: ...
    @property
    def try_supplementary(self) -> bool:
        """Whether supplementary files are searched for."""

    @try_supplementary.setter
    def try_supplementary(self, value: bool) -> None: ...
    @property
    def kernel_directories(self) -> tuple[str, ...]:
        """Where the kernel and its modules are searched for.

        A directory is one where a kernel was built, one like `/lib/modules/RELEASE`, or one like the root directory.
        The empty path is the root directory, with `directories`.
        """

    @kernel_directories.setter
    def kernel_directories(self, value: Iterable[str]) -> None: ...
    @property
    def try_kmod(self) -> KmodSearchMethod:
        """How the files of kernel modules are found."""

    @try_kmod.setter
    def try_kmod(self, value: KmodSearchMethod) -> None: ...

@final
class MemorySearchIterator(Generic[_T_co]):
    """Iterates over what a search of memory finds."""

    @classmethod
    def __class_getitem__(cls, _item: Any) -> Any: ...
    def __iter__(self) -> MemorySearchIterator[_T_co]: ...
    def __next__(self) -> _T_co: ...
    def set_address_range(
        self,
        min_address: SupportsIndex | None = None,
        max_address: SupportsIndex | None = None,
        physical: bool | None = None,
    ) -> MemorySearchIterator[_T_co]:
        """Search only part of memory, from its start.

        Args:
            min_address: The first address; by default the first of memory.
            max_address: The last address; by default the last of memory.
            physical: Whether the addresses are physical.

        Returns:
            This iterator.
        """

def _build_id(path: _Path) -> bytes | None:
    """Return the build ID of an ELF file, if it has one.

    Raises:
        BadDataError: The file is damaged, or no ELF file.
    """

def _cache_add(path: _Path) -> str:
    """Index a file and keep the index: `found`, `saved`, or why it was not kept.

    Raises:
        LookupError: There is no cache.
        BadDataError: The file is damaged, or no ELF file.
    """

def _indexing_progress() -> tuple[int, int]:
    """Return how many bytes of debug information were indexed, and how many are to be, in this process."""

def _load_debug_info(
    prog: Program, paths: Sequence[str], default: bool, main: bool
) -> tuple[list[tuple[str, str]], bool]:
    """Load debug information like `Program.load_debug_info`, and say what the caller has to report itself.

    Returns:
        The given files that were not used, each with the reason; whether all modules have what they want.
    """

def _cache_directory() -> str | None:
    """Return where indexes of debug files are kept; None if they are not."""

def _cache_items() -> list[tuple[str, bytes, int, float]]:
    """Return path, build ID, size in bytes and time of last use (in seconds since 1970) of each item.

    The one that was used longest ago comes first.
    """

def _cache_prune(limit: int) -> list[tuple[str, bytes, int, float]]:
    """Remove what was used longest ago until the rest has at most `limit` bytes; return what was removed."""

def _cache_verify() -> list[tuple[str, str]]:
    """Return the path of each damaged item, and what is wrong with it."""

@final
class _BinaryTree:
    """The addresses of the nodes of a binary tree in order, none of them twice."""

    def __new__(
        cls, left: _MemberReader, right: _MemberReader, root: SupportsIndex, kind: str
    ) -> _BinaryTree: ...
    def __iter__(self) -> _BinaryTree: ...
    def __next__(self) -> int: ...

@final
class _Chain:
    """The addresses of a chain of pointers from `first` on, until one is `end`."""

    def __new__(
        cls, step: Callable[[int], int], first: SupportsIndex, end: SupportsIndex, kind: str
    ) -> _Chain: ...
    def __iter__(self) -> _Chain: ...
    def __next__(self) -> int: ...

@final
class _MemberReader:
    """Reads the pointer-sized member at an offset of the structure at an address."""

    def __new__(cls, prog: Program, offset: SupportsIndex) -> _MemberReader: ...
    def __call__(self, address: SupportsIndex) -> int:
        """Read the member of the structure at an address.

        Raises:
            FaultError: It is not readable.
        """

@final
class _Pointers:
    """Addresses, less an offset, as pointers of a type."""

    def __new__(
        cls, type: Type, addresses: Iterable[int], offset: SupportsIndex = 0
    ) -> _Pointers: ...
    def __iter__(self) -> _Pointers: ...
    def __next__(self) -> Object: ...

def _words_at(prog: Program, address: SupportsIndex, count: SupportsIndex) -> list[int]:
    """Read words of the size of a pointer."""

def _linux_helper_direct_mapping_offset(prog: Program) -> int:
    """Return what is subtracted from an address in the direct mapping to get the physical one."""

def _linux_helper_follow_phys(prog: Program, pgtable: SupportsIndex, address: SupportsIndex) -> int:
    """Return the physical address of a virtual one.

    Args:
        prog: The kernel.
        pgtable: The virtual address of the top-level page table of the address space.
        address: The virtual address.

    Raises:
        FaultError: It is not mapped.
    """

def _linux_helper_kaslr_offset(prog: Program) -> int:
    """Return by how much the addresses of the kernel were shifted when it booted."""

def _linux_helper_load_btf(prog: Program, path: _Path) -> None:
    """Take types out of a file with BTF; see `kdive.helpers.linux.btf.load_btf`."""

def _linux_helper_load_ctf(prog: Program, path: _Path | None) -> None:
    """Take types and variables of the kernel from CTF; see `kdive.helpers.linux.ctf.load_ctf`."""

def _linux_helper_pgtable_l5_enabled(prog: Program) -> bool:
    """Return whether the kernel uses five levels of page tables."""

def _linux_helper_read_vm(
    prog: Program, pgtable: SupportsIndex, address: SupportsIndex, size: SupportsIndex
) -> bytes:
    """Read bytes of the address space of a top-level page table; see `_linux_helper_follow_phys`."""
