"""Files of modules: what they share with others, where they are looked for, what is refused."""

import os
import re
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
    assert vdso.address_range is not None
    assert vdso.address_range[0] < vdso.dynamic_address < vdso.address_range[1]
    prog.find_standard_debug_info([vdso], kdive.DebugInfoOptions(try_embedded_vdso=False))
    assert statuses(vdso)[0] == Status.WANT
    prog.find_standard_debug_info([vdso], kdive.DebugInfoOptions())
    assert statuses(vdso)[0] == Status.HAVE
    assert (
        vdso.address_range[0] < prog.symbol("__vdso_gettimeofday").address < vdso.address_range[1]
    )


def test_a_file_with_another_build_id_is_refused_with_both(
    program: Path, process: int, caplog: pytest.LogCaptureFixture
) -> None:
    prog = kdive.Program()
    prog.set_pid(process)
    prog.load_debug_info([program])
    own, main = build_id(program), prog.main_module()
    assert main.build_id is not None
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{program} was not used: its build ID {own} belongs to no loaded module; "
        f"that of {main.name} is {main.build_id.hex()}"
    ]


def build_id(path: Path) -> str:
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True)
    return notes.stdout.split("Build ID: ")[1].split()[0]


def test_a_library_that_was_built_again_is_refused_with_both_build_ids(
    program: Path, process: int, caplog: pytest.LogCaptureFixture
) -> None:
    prog = kdive.Program()
    prog.set_pid(process)
    [libc] = [module for module, _ in prog.loaded_modules() if "libc.so" in module.name]
    assert libc.build_id is not None
    other = program.with_name("libc.so.6.debug")
    program.rename(other)
    prog.load_debug_info([other])
    assert (
        f"{other} was not used: its build ID {build_id(other)} belongs to no loaded module; "
        f"that of {libc.name} is {libc.build_id.hex()}"
    ) in caplog.messages


@pytest.mark.parametrize("part", [8, 24, 100, 1000])
def test_saved_symbols_that_can_not_be_used_are_made_again_with_one_warning(
    program: Path,
    tmp_path: Path,
    part: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KDIVE_CACHE", str(tmp_path / "cache"))

    def address() -> int:
        prog = kdive.Program()
        extra_module(prog).try_file(program)
        return prog.symbol("main").address

    expected = address()
    [symbols] = (tmp_path / "cache").glob("*.symbols")
    good = symbols.read_bytes()
    damaged = bytearray(good)
    damaged[part] ^= 0xFF
    symbols.write_bytes(damaged)
    assert address() == expected
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"the saved index of {program} was made again: the file ")
    assert symbols.read_bytes() == good
    assert address() == expected
    assert len(caplog.messages) == 1


def test_the_indexes_of_an_older_kdive_are_made_again_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("KDIVE_CACHE", str(cache))
    files = []
    for number in range(3):
        path = tmp_path / f"file{number}"
        source = f"struct s{number} {{ int member; }} value{number}; int main(void) {{ return 0; }}"
        command = ["gcc", "-g", "-Wl,--build-id", "-o", str(path), "-xc", "-"]
        subprocess.run(command, input=source, text=True, check=True)
        files.append(path)

    def load() -> None:
        prog = kdive.Program()
        modules = [prog.extra_module(path, create=True) for path in files]
        for module, path in zip(modules, files, strict=True):
            module.build_id = bytes.fromhex(build_id(path))
        prog.load_module_debug_info(*modules)
        for number in range(3):
            assert prog.type(f"struct s{number}").size == 4
            assert prog.symbol(f"value{number}").size == 4

    load()
    items = sorted(cache.iterdir())
    good = {path: path.read_bytes() for path in items}
    assert len(items) == 6
    for path, content in good.items():
        path.write_bytes(content[:8] + b"\1" + content[9:])
    load()
    assert {path: path.read_bytes() for path in sorted(cache.iterdir())} == good
    [message] = caplog.messages
    assert re.match(
        r"the saved indexes of 3 files were made again, such as that of .*file0: "
        r"the file has format 1, not \d+",
        message,
    )


@pytest.mark.parametrize("is_tried", [True, False])
def test_files_are_opened_through_procfs_only_if_they_may_be(deleted: int, is_tried: bool) -> None:
    prog = kdive.Program()
    prog.set_pid(deleted)
    main = next(module for module, _ in prog.loaded_modules() if "program" in module.name)
    prog.find_standard_debug_info([main], kdive.DebugInfoOptions(try_procfs=is_tried))
    assert statuses(main) == ((Status.HAVE,) * 2 if is_tried else (Status.WANT,) * 2)


@pytest.mark.parametrize(
    ("procfs", "name"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_a_running_program_is_found_through_procfs_and_by_its_name(
    process: int, procfs: bool, name: bool
) -> None:
    prog = kdive.Program()
    prog.set_pid(process)
    modules = [module for module, _ in prog.loaded_modules()]
    assert {statuses(module) for module in modules} == {(Status.WANT,) * 2}
    main = prog.main_module()
    options = kdive.DebugInfoOptions(try_procfs=procfs, try_module_name=name)
    prog.find_standard_debug_info(modules, options)
    assert statuses(main) == ((Status.HAVE,) * 2 if procfs or name else (Status.WANT,) * 2)
    assert main.loaded_file_path == (main.name if procfs or name else None)


def test_libraries_are_known_by_their_dynamic_sections(process: int) -> None:
    prog = kdive.Program()
    prog.set_pid(process)
    libraries = [
        module
        for module, _ in prog.loaded_modules()
        if isinstance(module, kdive.SharedLibraryModule)
    ]
    assert len(libraries) >= 2
    for library in libraries:
        assert library.address_range is not None
        start, end = library.address_range
        headers = subprocess.run(
            ["readelf", "-lW", library.name], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split() for line in headers.splitlines()]
        [dynamic] = [int(row[2], 16) for row in rows if row and row[0] == "DYNAMIC"]
        assert library.dynamic_address == start + dynamic
        assert prog.shared_library_module(library.name, start + dynamic) == library
        # The last variables are zero at first and have no place in the file.
        data = max(int(row[2], 16) + int(row[5], 16) for row in rows if row and row[0] == "LOAD")
        assert start + data <= end < start + data + 4096
        assert prog.module(start + data - 1) == library


def test_files_that_are_given_are_all_that_is_loaded(process: int, executable: Path) -> None:
    prog = kdive.Program()
    prog.set_pid(process)
    prog.load_debug_info([executable])
    wanted = {module.name: statuses(module) for module in prog.modules()}
    assert wanted.pop(str(executable)) == (Status.HAVE,) * 2
    assert set(wanted.values()) == {(Status.WANT,) * 2}


@pytest.mark.parametrize("is_tried", [True, False])
def test_the_name_of_a_module_is_tried_only_if_it_may_be(program: Path, is_tried: bool) -> None:
    prog = kdive.Program()
    module = prog.extra_module(program, create=True)
    module.build_id = bytes.fromhex(build_id(program))
    options = kdive.DebugInfoOptions(try_module_name=is_tried)
    prog.find_standard_debug_info([module], options)
    assert statuses(module) == ((Status.HAVE,) * 2 if is_tried else (Status.WANT,) * 2)


@pytest.mark.parametrize("is_tried", [True, False])
def test_the_loaded_file_is_tried_as_debug_file_only_if_it_may_be(
    program: Path, is_tried: bool
) -> None:
    prog = kdive.Program()
    module = extra_module(prog)
    module.debug_file_status = Status.DONT_WANT
    module.try_file(program)
    assert statuses(module) == (Status.HAVE, Status.DONT_WANT)
    module.debug_file_status = Status.WANT
    prog.find_standard_debug_info(
        [module], kdive.DebugInfoOptions(try_reuse=is_tried, try_build_id=False)
    )
    assert module.debug_file_status == (Status.HAVE if is_tried else Status.WANT)


@pytest.mark.parametrize("is_tried", [True, False])
def test_directories_are_searched_by_build_id_only_if_they_may_be(
    program: Path, tmp_path: Path, is_tried: bool
) -> None:
    identity = build_id(program)
    kept = tmp_path / "debug" / ".build-id" / identity[:2] / f"{identity[2:]}.debug"
    kept.parent.mkdir(parents=True)
    subprocess.run(["objcopy", "--only-keep-debug", program, kept], check=True)
    subprocess.run(["strip", program], check=True)
    prog = kdive.Program()
    module = extra_module(prog)
    module.try_file(program)
    assert statuses(module) == (Status.HAVE, Status.WANT)
    options = kdive.DebugInfoOptions(directories=[str(tmp_path / "debug")], try_build_id=is_tried)
    assert options.directories == (str(tmp_path / "debug"),)
    prog.find_standard_debug_info([module], options)
    assert module.debug_file_status == (Status.HAVE if is_tried else Status.WANT)
    assert module.debug_file_path == (str(kept) if is_tried else None)
