"""Files of modules: what they share with others, where they are looked for, what is refused."""

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdive
from kdive import ModuleFileStatus as Status

SOURCE = r"""
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
struct shared { int first; struct { long second[3]; } inner; struct shared *next; };
enum shared_color { SHARED_RED, SHARED_GREEN = 7, SHARED_BLUE };
typedef int (*shared_callback)(struct shared *record, enum shared_color color);
struct shared value = {41};
static int call(struct shared *record, enum shared_color color) { return record->first + color; }
shared_callback callback = call;
int main(void)
{
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "program.c").write_text(SOURCE)
    path = tmp_path / "program"
    source = tmp_path / "program.c"
    subprocess.run(["gcc", "-g", "-Wl,--build-id", "-o", path, source], check=True)
    return path


@pytest.fixture
def shared(program: Path) -> Path:
    """What two copies of the program have in common; `program` is one of them."""
    copy, shared = program.with_name("copy"), program.with_name("shared.debug")
    shutil.copy(program, copy)
    subprocess.run(["dwz", "-m", shared, program, copy], check=True)
    return shared


def statuses(module: kdive.Module) -> tuple[Status, Status]:
    """Of the loaded file, and of the debug file."""
    return module.loaded_file_status, module.debug_file_status


def extra_module(prog: kdive.Program) -> kdive.Module:
    return prog.extra_module("program", create=True)


def test_a_debug_file_waits_for_what_it_shares(program: Path, shared: Path) -> None:
    prog = kdive.Program()
    module = extra_module(prog)
    with pytest.raises(ValueError, match="does not want supplementary debug file"):
        module.wanted_supplementary_debug_file()
    module.try_file(program)
    assert statuses(module) == (Status.HAVE, Status.WANT_SUPPLEMENTARY)
    assert module.wants_debug_file()
    wanted = module.wanted_supplementary_debug_file()
    assert wanted.kind == kdive.SupplementaryFileKind.GNU_DEBUGALTLINK
    assert wanted.path == str(program)
    assert Path(wanted.supplementary_path).name == shared.name
    build_id = subprocess.run(["readelf", "-n", shared], capture_output=True, text=True, check=True)
    assert wanted.checksum.hex() in build_id.stdout

    other = program.with_name("other")
    subprocess.run(["gcc", "-g", "-Wl,--build-id", "-o", other, "-xc", "-"], input="int main(){}",
                   text=True, check=True)  # fmt: skip
    module.try_file(other)
    assert statuses(module) == (Status.HAVE, Status.WANT_SUPPLEMENTARY)
    module.try_file(shared)
    assert statuses(module) == (Status.HAVE, Status.HAVE)
    assert module.debug_file_path == str(program)
    assert module.supplementary_debug_file_path == str(shared)
    assert module.supplementary_debug_file_kind == kdive.SupplementaryFileKind.GNU_DEBUGALTLINK
    assert kdive.sizeof(prog.type("struct shared")) == 40
    enumerators = prog.type("enum shared_color").enumerators
    assert enumerators is not None
    assert [value.value for value in enumerators] == [0, 7, 8]


@pytest.mark.parametrize("is_wanted", [True, False])
def test_what_is_shared_is_looked_for(program: Path, shared: Path, is_wanted: bool) -> None:
    prog = kdive.Program()
    module = extra_module(prog)
    module.try_file(program)
    options = kdive.DebugInfoOptions(try_supplementary=is_wanted)
    prog.find_standard_debug_info([module], options)
    expected = Status.HAVE if is_wanted else Status.WANT_SUPPLEMENTARY
    assert module.debug_file_status == expected
    assert module.supplementary_debug_file_path == (str(shared) if is_wanted else None)


def test_an_open_file_is_taken_and_closed(program: Path) -> None:
    module = extra_module(kdive.Program())
    descriptor = os.open(program, os.O_RDONLY)
    module.try_file("/no/such/file", fd=descriptor)
    assert module.debug_file_path == "/no/such/file"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_the_directories_of_debug_links_are_options(program: Path, tmp_path: Path) -> None:
    debug = tmp_path / "symbols" / "program.debug"
    debug.parent.mkdir()
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    link = f"--add-gnu-debuglink={debug}"
    subprocess.run(["objcopy", "--strip-debug", link, program], check=True)
    for directories, status in [
        (["$ORIGIN"], Status.WANT),
        (["$ORIGIN/symbols"], Status.HAVE),
        ([str(debug.parent)], Status.HAVE),
    ]:
        prog = kdive.Program()
        module = extra_module(prog)
        module.try_file(program)
        assert module.loaded_file_status == Status.HAVE
        options = kdive.DebugInfoOptions(try_build_id=False, debug_link_directories=directories)
        prog.find_standard_debug_info([module], options)
        assert module.debug_file_status == status, directories


@pytest.fixture
def deleted(program: Path) -> Iterator[int]:
    """The ID of a process whose file is gone."""
    with subprocess.Popen([program], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        program.unlink()
        yield running.pid
        running.kill()


def test_the_file_of_a_process_is_found_although_it_is_deleted(deleted: int) -> None:
    prog = kdive.program_from_pid(deleted)
    assert prog.main_module().debug_file_status == Status.HAVE
    assert prog["value"].first.value_() == 41


def test_the_vdso_is_read_from_memory(process: int) -> None:
    prog = kdive.Program()
    prog.set_pid(process)
    vdso = next(
        module for module, _ in prog.loaded_modules() if isinstance(module, kdive.VdsoModule)
    )
    prog.find_standard_debug_info([vdso], kdive.DebugInfoOptions(try_embedded_vdso=False))
    assert statuses(vdso)[0] == Status.WANT
    prog.find_standard_debug_info([vdso], kdive.DebugInfoOptions())
    assert statuses(vdso)[0] == Status.HAVE
    assert prog.symbol("__vdso_gettimeofday").address > vdso.dynamic_address


def test_a_file_with_another_build_id_is_refused_with_both(
    program: Path, process: int, caplog: pytest.LogCaptureFixture
) -> None:
    prog = kdive.Program()
    prog.set_pid(process)
    with caplog.at_level(logging.INFO):
        prog.load_debug_info([program])
    notes = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True)
    own = notes.stdout.split("Build ID: ")[1].split()[0]
    wanted = prog.main_module().build_id
    assert wanted is not None
    refusal = next(message for message in caplog.messages if own in message)
    assert wanted.hex() in refusal
    assert str(program) in refusal
