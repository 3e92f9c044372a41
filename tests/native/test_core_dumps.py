"""Core dumps of processes and split kernel dumps: what is not in the file that was given."""

import os
import subprocess
from pathlib import Path

import pytest

import lab
from kdive import FaultError, Program, ProgramFlags, program_from_core_dump, program_from_pid

SOURCE = """
#include <stdlib.h>
const char greeting[4096 * 3] = "hello from read-only data";
int counter = 7;
int main(void) { counter++; abort(); }
"""


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A program, and a core dump of it without the memory that is the same as in the file."""
    folder = tmp_path_factory.mktemp("crashed")
    (folder / "program.c").write_text(SOURCE)
    program, core = folder / "program", folder / "core"
    subprocess.run(["gcc", "-g", "-o", program, folder / "program.c"], check=True)
    commands = ("set debuginfod enabled off", "run", f"generate-core-file {core}")
    arguments = [argument for command in commands for argument in ("-ex", command)]
    subprocess.run(["gdb", "-nx", "-batch", *arguments, program], check=True, capture_output=True)
    return program, core


def test_unsaved_memory_comes_from_the_mapped_file(crashed: tuple[Path, Path]) -> None:
    program, core = crashed
    prog = program_from_core_dump(core)
    assert prog["counter"].value_() == 8
    assert prog["greeting"].string_() == b"hello from read-only data"
    main = prog.function("main").address_
    assert main is not None
    code = prog.read(main, 16)
    assert code in program.read_bytes()
    assert code != bytes(16)


def test_a_replaced_file_is_not_taken_for_the_mapped_one(crashed: tuple[Path, Path]) -> None:
    program, core = crashed
    kept = program.rename(program.with_suffix(".kept"))
    try:
        source = kept.with_name("program.c")
        subprocess.run(["gcc", "-g", "-O1", "-o", program, source], check=True)
        prog = Program()
        prog.set_core_dump(core)
        prog.load_debug_info([kept])
        assert prog["greeting"].string_() == b"hello from read-only data"
        bare = Program()
        bare.set_core_dump(core)
        bare.create_loaded_modules()
        greeting = prog["greeting"].address_
        assert greeting is not None
        with pytest.raises(FaultError, match="was not saved in the core dump"):
            bare.read(greeting, 8)
    finally:
        kept.rename(program)


def test_a_process_that_is_gone() -> None:
    # Linux has no process IDs beyond 4194304.
    with pytest.raises(ProcessLookupError):
        Program().set_pid(4194305)


def test_a_process_that_may_not_be_traced() -> None:
    if os.geteuid() != 0:
        with pytest.raises(PermissionError, match="process 1 may not be inspected"):
            program_from_pid(1)
        return
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        try:
            Program().set_pid(os.getppid())
        except PermissionError as error:
            os._exit(0 if "may not be inspected" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.lab
def test_a_kernel_whose_memory_a_script_provides(idle: lab.Target) -> None:
    dump = Program()
    dump.set_core_dump(idle.dumps["elf"])

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        assert offset == address
        assert physical
        return dump.read(address, count, physical=True)

    vmcoreinfo = dump["VMCOREINFO"].string_()
    prog = Program()
    prog.add_memory_segment(0, 1 << 32, read, physical=True)
    prog.set_linux_kernel_custom(vmcoreinfo, is_live=False)
    assert prog.flags == ProgramFlags.IS_LINUX_KERNEL
    prog.load_debug_info([idle.vmlinux], main=True)
    assert prog["init_task"].comm.string_() == b"swapper/0"
    assert prog["UTS_RELEASE"].string_().decode() == idle.kernel
    with pytest.raises(ValueError, match="already initialized"):
        prog.set_linux_kernel_custom(vmcoreinfo, is_live=False)

    live = Program()
    live.add_memory_segment(0, 1 << 32, read, physical=True)
    live.set_linux_kernel_custom(vmcoreinfo, is_live=True)
    assert live.flags == ProgramFlags.IS_LINUX_KERNEL | ProgramFlags.IS_LIVE
