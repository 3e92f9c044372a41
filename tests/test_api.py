"""The package kdive: its names, and the functions that are written in Python."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kdive

# The public names of drgn 0.3.0, from its documentation.
NAMES_OF_DRGN = set(
    """
AbsenceReason Architecture BadDataError DebugInfoOptions ExtraModule FaultError
FindObjectFlags IntegerLike KmodSearchMethod Language MainModule MemorySearchIterator
MissingDebugInfoError Module ModuleFileStatus NULL NoDefaultProgramError Object
ObjectAbsentError ObjectNotFoundError OutOfBoundsError Path Platform PlatformFlags
PrimitiveType Program ProgramFlags Qualifiers Register RelocatableModule SharedLibraryModule
SourceLocation SourceLocationList StackFrame StackTrace SupplementaryFileKind Symbol
SymbolBinding SymbolIndex SymbolKind Thread Type TypeEnumerator TypeKind TypeKindSet
TypeMember TypeParameter TypeTemplateParameter UnsupportedOperation VdsoModule
WantedSupplementaryFile alignof cast container_of execscript filename_matches
get_default_prog host_platform implicit_convert offsetof program_from_core_dump
program_from_kernel program_from_pid reinterpret search_memory search_memory_regex
search_memory_u16 search_memory_u32 search_memory_u64 search_memory_word set_default_prog
sizeof source_location stack_trace
""".split()  # noqa: SIM905 - a list of 74 lines says less
)


def test_names() -> None:
    assert set(kdive.__all__) == NAMES_OF_DRGN
    for name in kdive.__all__:
        assert getattr(kdive, name) is not None
    assert set(kdive.__all__) <= set(dir(kdive))
    assert not hasattr(kdive, "nosuch")


def test_importing_loads_little() -> None:
    costly = {"typing", "logging", "pathlib", "re", "kdive.helpers"}
    code = f"import sys, kdive; print({costly}.intersection(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(Path(kdive.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "set()\n"


def test_execscript(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "seen = (__name__, __file__, sys.argv[1:], given)\n"
        "def later():\n"
        "    return given\n"
    )
    names: dict[str, Any] = {"given": 5, "__name__": "caller"}
    arguments = sys.argv
    kdive.execscript(str(script), "a", "b", globals=names)
    assert names["seen"] == ("__main__", str(script), ["a", "b"], 5)
    assert names["later"]() == 5
    assert (names["__name__"], "__file__" in names) == ("caller", False)
    assert sys.argv is arguments


def test_execscript_uses_the_names_of_its_caller(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("made = given + 1\n")
    caller: dict[str, Any] = {"execscript": kdive.execscript, "given": 1, "path": str(script)}
    exec("execscript(path)", caller)
    assert caller["made"] == 2


def test_execscript_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("1 / 0\n")
    names = {"__name__": "caller", "__file__": "before"}
    with pytest.raises(ZeroDivisionError):
        kdive.execscript(str(script), globals=names)
    assert (names["__name__"], names["__file__"]) == ("caller", "before")
