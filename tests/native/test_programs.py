"""Programs made by hand: finders, memory, modules, defaults."""

import threading
from collections.abc import Iterator

import pytest

from kdive import (
    Architecture,
    DebugInfoOptions,
    FaultError,
    FindObjectFlags,
    KmodSearchMethod,
    Language,
    MainModule,
    NoDefaultProgramError,
    Object,
    ObjectNotFoundError,
    Platform,
    PlatformFlags,
    Program,
    Symbol,
    SymbolBinding,
    SymbolIndex,
    SymbolKind,
    Type,
    TypeKind,
    TypeKindSet,
    filename_matches,
    get_default_prog,
    host_platform,
    set_default_prog,
    sizeof,
)


@pytest.fixture
def prog() -> Program:
    return Program(host_platform)


@pytest.fixture
def default(prog: Program) -> Iterator[Program]:
    set_default_prog(prog)
    yield prog
    set_default_prog(None)


def test_new() -> None:
    prog = Program()
    assert prog.platform is None
    assert prog.flags.value == 0
    assert prog.core_dump_path is None
    assert prog.cache == {}
    with pytest.raises(ValueError, match="address size is not known"):
        prog.address_size()
    with pytest.raises(ValueError, match="byte order is not known"):
        prog.type("int")


def test_platforms() -> None:
    big = Platform(Architecture.S390X)
    assert big.flags is PlatformFlags.IS_64_BIT
    assert Platform(Architecture.X86_64).flags.value == 3
    assert big == Platform(Architecture.S390X)
    assert big != Platform(Architecture.X86_64)
    assert "rip" in [name for r in Platform(Architecture.X86_64).registers for name in r.names]
    prog = Program(big)
    assert prog.type("int").byteorder == "big"
    assert Object(prog, "int", 1).to_bytes_() == b"\0\0\0\1"
    with pytest.raises(ValueError, match="unknown architecture"):
        Platform(Architecture.UNKNOWN)


def test_memory(prog: Program) -> None:
    asked = []

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        asked.append((address, count, offset, physical))
        return b"ABCDEFGH\0"[offset : offset + count]

    prog.add_memory_segment(0x1000, 9, read)
    assert prog.read(0x1002, 3) == b"CDE"
    assert asked[-1][0] - asked[-1][2] == 0x1000
    assert not asked[-1][3]
    assert prog.read_c_string(0x1003) == b"DEFGH"
    assert prog.read_c_string(0x1003, max_size=2) == b"DE"
    assert prog.read_u16(0x1000) == 0x4241
    assert prog.read_word(0x1000) == 0x4847464544434241
    with pytest.raises(FaultError) as error:
        prog.read(0x1008, 4)
    assert error.value.address == 0x1009
    with pytest.raises(FaultError):
        prog.read(0x1000, 1, physical=True)
    prog.add_memory_segment(0x1000, 9, lambda *_: b"short")
    with pytest.raises(ValueError, match="buffer of length 5"):
        prog.read(0x1000, 9)
    prog.add_memory_segment(0x1000, 9, lambda *_: bytes(1 // 0))
    with pytest.raises(ZeroDivisionError):
        prog.read(0x1000, 9)


def test_search(prog: Program) -> None:
    text = b"abcd" * 1024
    prog.add_memory_segment(0x1000, len(text), lambda _a, n, offset, _p: text[offset : offset + n])
    assert next(prog.search_memory(b"cdab")) == 0x1002
    assert list(prog.search_memory(b"cd").set_address_range(0x1100, 0x1107)) == [0x1102, 0x1106]
    assert next(prog.search_memory(Object(prog, "int", 0x64636261))) == 0x1000
    assert next(prog.search_memory_u16((0x6400, 0x6464))) == (0x1002, 0x6463)
    assert next(prog.search_memory_u16(0x6400, ignore_mask=0xFF)) == (0x1002, 0x6463)
    assert next(prog.search_memory_regex(rb"c[^a]")) == (0x1002, b"cd")
    assert next(prog.search_memory_regex("cd?")) == (0x1002, "cd")
    assert list(prog.search_memory(b"nowhere")) == []
    with pytest.raises(ValueError, match="empty"):
        prog.search_memory(b"")
    with pytest.raises(OverflowError):
        prog.search_memory_u16(1 << 16)


def test_type_finder(prog: Program) -> None:
    asked: list[object] = []

    def find(p: Program, kinds: TypeKindSet, name: str, filename: str | None) -> Type | None:
        asked.append((p, kinds, name, filename))
        return prog.struct_type("foo", 4, ()) if name == "foo" else None

    prog.register_type_finder("mine", find, enable_index=0)
    assert prog.enabled_type_finders()[0] == "mine"
    assert prog.type("struct foo *").type.size == 4
    assert asked.pop() == (prog, {TypeKind.STRUCT}, "foo", None)
    with pytest.raises(LookupError, match=r"could not find 'struct bar' in 'a\.c'"):
        prog.type("struct bar", "a.c")
    assert asked.pop() == (prog, {TypeKind.STRUCT}, "bar", "a.c")
    with pytest.raises(TypeError, match="wrong kind of type"):
        prog.type("union foo")
    prog.set_enabled_type_finders([])
    with pytest.raises(LookupError):
        prog.type("struct foo")
    with pytest.raises(ValueError, match="duplicate"):
        prog.register_type_finder("mine", find)
    with pytest.raises(ValueError, match="not found"):
        prog.set_enabled_type_finders(["nobody"])


def test_object_finder(prog: Program) -> None:
    def find(p: Program, name: str, flags: FindObjectFlags, _file: str | None) -> Object | None:
        if name == "answer" and FindObjectFlags.VARIABLE in flags:
            return Object(p, "int", 42)
        return None

    prog.register_object_finder("mine", find, enable_index=0)
    assert prog["answer"] == 42
    assert prog.variable("answer") == 42
    assert "answer" in prog
    assert "question" not in prog
    with pytest.raises(ObjectNotFoundError) as error:
        prog.constant("answer")
    assert error.value.name == "answer"
    assert str(error.value) == "could not find constant 'answer'"
    with pytest.raises(KeyError):
        prog["question"]


def test_symbol_finders(prog: Program) -> None:
    first = Symbol("first", 0x10, 0x10, SymbolBinding.GLOBAL, SymbolKind.FUNC)
    second = Symbol("second", 0x20, 0x10, SymbolBinding.LOCAL, SymbolKind.OBJECT)
    index = SymbolIndex([second, first])
    assert index(prog, None, 0x1F, True) == [first]
    prog.register_symbol_finder("index", index, enable_index=0)
    assert prog.symbol("second") == second
    assert prog.symbol(0x10) == first
    assert sorted(symbol.name for symbol in prog.symbols()) == ["first", "second"]
    assert prog.symbols("nobody") == []
    assert repr(first) == (
        "Symbol(name='first', address=0x10, size=0x10, "
        "binding=<SymbolBinding.GLOBAL: 2>, kind=<SymbolKind.FUNC: 2>)"
    )
    with pytest.raises(LookupError, match="could not find symbol containing 0x30"):
        prog.symbol(0x30)


def test_modules(prog: Program) -> None:
    main = prog.main_module("/bin/true", create=True)
    assert isinstance(main, MainModule)
    assert prog.main_module() == main
    assert prog.module("/bin/true") == main
    assert repr(main) == "prog.main_module(name='/bin/true')"
    main.address_range = (0x1000, 0x2000)
    assert prog.module(0x1FFF) == main
    assert main.wants_debug_file()
    library = prog.shared_library_module("libc.so", 0x3000, create=True)
    assert library.dynamic_address == 0x3000
    assert library != main
    assert [module.name for module in prog.modules()] == ["/bin/true", "libc.so"]
    with pytest.raises(LookupError, match="module not found"):
        prog.extra_module("other")


def test_debug_info_options(prog: Program) -> None:
    options = DebugInfoOptions(try_kmod=KmodSearchMethod.NONE, directories=["/a", "/b"])
    assert options.directories == ("/a", "/b")
    assert options.try_kmod is KmodSearchMethod.NONE
    assert DebugInfoOptions(options, try_reuse=False).directories == ("/a", "/b")
    prog.debug_info_options = options
    prog.debug_info_options.try_build_id = False
    assert not prog.debug_info_options.try_build_id
    assert options.try_build_id
    with pytest.raises(TypeError, match="invalid keyword"):
        DebugInfoOptions(nonsense=True)  # type: ignore[call-arg]


def test_default_program(default: Program) -> None:
    assert get_default_prog() is default
    assert sizeof("int") == 4
    seen = []

    def other_thread() -> None:
        try:
            get_default_prog()
        except NoDefaultProgramError as error:
            seen.append(str(error))

    thread = threading.Thread(target=other_thread)
    thread.start()
    thread.join()
    assert seen == ["no default program"]


def test_language(prog: Program) -> None:
    assert prog.language is Language.C
    prog.language = Language.CPP
    assert prog.language is Language.CPP
    assert Language.CPP.name == "C++"
    with pytest.raises(TypeError, match="language must be Language"):
        prog.language = "C"  # type: ignore[assignment]


def test_many_threads_on_one_program(prog: Program) -> None:
    text = bytes(range(256)) * 16
    prog.add_memory_segment(0x1000, len(text), lambda _a, n, offset, _p: text[offset : offset + n])
    prog.register_object_finder(
        "mine",
        lambda p, *_: Object(p, "unsigned char [4096]", address=0x1000),
        enable_index=0,
    )
    sums: list[int] = []

    def work() -> None:
        array = prog["array"]
        sums.append(sum(array[index].value_() for index in range(0, 4096, 7)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [sum(text[::7])] * 8


def test_filename_matches() -> None:
    assert filename_matches("/usr/src/fs/inode.c", "fs/inode.c")
    assert not filename_matches("/usr/src/fs/inode.c", "node.c")
    assert filename_matches(None, None)
    assert not filename_matches(None, "inode.c")
