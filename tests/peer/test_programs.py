"""Programs and modules, against drgn: arguments that are wrong or rare, hand-made modules, and those of a process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peer.peer import assert_agreement, peer_python

ARGUMENTS = (
    "prog.read(0x1000, -1)",
    "p32.read(2**32, 4)",
    "p32.read(2**32 + 0x1000, 4)",
    "p32.read_u16(2**32 + 0x1001)",
    "p32.read_c_string(2**32 + 0x1000, max_size=3)",
    "Program().read_word(0)",
    "prog.variable('x', b'f.c')",
    "prog.object('x', filename=__import__('pathlib').Path('f.c'))",
    "prog.type('int', b'f.c')",
    "prog.source_location('')",
    "prog.source_location('+1')",
    "prog.stack_trace(prog_.i)",
    "prog.load_module_debug_info(1)",
    "prog.set_core_dump('/nonexistent')",
    "prog.set_core_dump(b'/nonexistent')",
    "prog.set_pid(2**20)",
    "prog.set_qemu_qmp('/nonexistent.sock')",
    "list(prog.search_memory(-1))",
    "list(prog.search_memory(2**64))",
    "list(prog.search_memory_u16((1,)))",
    "list(prog.search_memory_u16((1, 2, 3)))",
    "list(prog.search_memory(b'a').set_address_range(min_address=0x1200, max_address=0x1100))",
    "DebugInfoOptions(directories=[b'a'])",
    "DebugInfoOptions(try_kmod=1)",
    "setattr(DebugInfoOptions(), 'try_kmod', None)",
    "TypeKindSet({TypeKind.INT}) & {1}",
    "{1} & TypeKindSet({TypeKind.INT})",
    "TypeKindSet({TypeKind.INT}).isdisjoint([1])",
    "filename_matches(b'a/b', 'b')",
    "filename_matches('a/b', b'b')",
    "filename_matches(__import__('pathlib').Path('a/b'), 'c')",
    "prog.int_type('size_t', 8, False).primitive",
    "prog.int_type('ptrdiff_t', 8, True).primitive",
    "prog.enum_type('a', prog.type('unsigned int'), [TypeEnumerator('A', 2**64)])",
    "prog.enum_type('a', prog.type('unsigned int'), [TypeEnumerator('A', 2**64 - 1)])",
    "prog.enum_type('a', prog.type('int'), [TypeEnumerator('A', -2**63 - 1)])",
    "prog.enum_type('a', prog.type('int'), [TypeEnumerator('A', 2**63)])",
    "TypeTemplateParameter(prog.type('int'), 'T', is_default=1)",
)

# One after another, with the same program.
MODULES = (
    "prog.main_module('/bin/x', create=True)",
    "setattr(prog.main_module(), 'address_range', (0, 0))",
    "prog.main_module().address_range",
    "setattr(prog.main_module(), 'address_range', ())",
    "setattr(prog.main_module(), 'address_range', 1)",
    "setattr(prog.main_module(), 'address_range', (1,))",
    "setattr(prog.main_module(), 'address_range', (2, 1))",
    "setattr(prog.main_module(), 'address_ranges', [(0, 0)])",
    "setattr(prog.main_module(), 'loaded_file_status', ModuleFileStatus.HAVE)",
    "setattr(prog.main_module(), 'loaded_file_status', ModuleFileStatus.WANT_SUPPLEMENTARY)",
    "setattr(prog.main_module(), 'debug_file_status', ModuleFileStatus.HAVE)",
    "setattr(prog.main_module(), 'debug_file_status', 1)",
    "setattr(prog.main_module(), 'debug_file_status', None)",
    "prog.relocatable_module('r', 5, create=True)",
    "prog.relocatable_module('r', 5).section_addresses",
    "prog.relocatable_module('r', 5).section_addresses.__setitem__('.text', 1)",
    "repr(prog.relocatable_module('r', 5).section_addresses)",
    "1 in prog.relocatable_module('r', 5).section_addresses",
    "prog.relocatable_module('r', 5).section_addresses.pop('.data', 7)",
    "prog.relocatable_module('r', 5).section_addresses.pop('.data')",
    "prog.relocatable_module('r', 5).section_addresses.pop('.text')",
    "isinstance(prog.relocatable_module('r', 5).section_addresses, __import__('collections').abc.MutableMapping)",
    "prog.linux_kernel_loadable_module(prog_.i)",
)

REPORT = """
import json, os, sys

if sys.argv[1] == "kdive":
    import kdive.compat

    kdive.compat.install()
import drgn


def place(module):
    return module.name, module.loaded_file_bias, module.address_range, str(module.prog.language)


def by_hand(make, path, address_range):
    module = make(drgn.Program(drgn.host_platform), path)
    if address_range:
        module.address_range = address_range
    module.try_file(path)
    return place(module)


if len(sys.argv) == 3:
    prog = drgn.Program()
    prog.set_pid(int(sys.argv[2]))
    prog.create_loaded_modules()
    found = {}
    for module in prog.modules():
        dynamic = getattr(module, "dynamic_address", None)
        found[os.path.realpath(module.name)] = type(module).__name__, dynamic, module.address_range
else:
    makers = (
        lambda prog, path: prog.extra_module(path, create=True),
        lambda prog, path: prog.shared_library_module(path, 0x7f0000001000, create=True),
        lambda prog, path: prog.vdso_module(path, 0x7f0000001000, create=True),
        lambda prog, path: prog.relocatable_module(path, 0x7000, create=True),
    )
    found = [
        by_hand(make, sys.argv[2], address_range)
        for make in makers
        for address_range in (None, (0x10000, 0x20000))
    ]
json.dump(found, sys.stdout)
"""


def reports(*arguments: str) -> list[object]:
    """What drgn and kdive report."""
    found = []
    for python, tool in ((str(peer_python()), "drgn"), (sys.executable, "kdive")):
        command: list[str | Path] = [python, "-c", REPORT, tool, *arguments]
        root = str(Path(__file__).parents[2])
        output = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            env={"PYTHONPATH": root},
        ).stdout
        found.append(json.loads(output))
    return found


@pytest.fixture
def process() -> Iterator[int]:
    """A process that has been linked when its output appears."""
    with subprocess.Popen(["sh", "-c", "echo; exec cat"], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C++ program without a place of its own."""
    path = tmp_path_factory.mktemp("library") / "program"
    source = "int number = 5; int main() { return number; }"
    command = ["g++", "-g", "-fPIE", "-pie", "-x", "c++", "-", "-o", str(path)]
    subprocess.run(command, input=source, text=True, check=True)
    return path


def test_wrong_and_rare_arguments() -> None:
    assert_agreement(ARGUMENTS)


def test_modules_by_hand() -> None:
    assert_agreement(MODULES)


def test_where_the_modules_of_a_process_are(process: int) -> None:
    theirs, ours = reports(str(process))
    assert isinstance(theirs, dict)
    assert {"MainModule", "SharedLibraryModule", "VdsoModule"} == {
        kind for kind, *_ in theirs.values()
    }
    assert ours == theirs


def test_where_files_of_modules_by_hand_are(library: Path) -> None:
    """A library is where its dynamic section is; and a program with a C++ `main()` is one in C++."""
    theirs, ours = reports(str(library), "by hand")
    assert ours == theirs
    assert isinstance(theirs, list)
    assert {language for *_, language in theirs} == {"Language.CPP"}
