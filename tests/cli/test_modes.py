"""Scripts, -e and standard input: what code sees and what becomes of its errors."""

import subprocess
import sys
from pathlib import Path

import pytest

import lab
from tests.support import Kdive


def test_version(kdive: Kdive) -> None:
    from kdive import __version__

    python = sys.version.split()[0]
    result = kdive("--version")
    assert result.stdout == f"kdive {__version__} (using Python {python})\n"
    assert (result.stderr, result.returncode) == ("", 0)


def test_global_of_a_process(kdive: Kdive, process: int) -> None:
    result = kdive("-q", "-p", process, "-e", 'print(prog["answer"])')
    assert (result.stdout, result.stderr, result.returncode) == ("(int)42\n", "", 0)


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ('prog["answer"]', "(int)42\n"),
        ('prog["origin"].y', "(int)-4\n"),
        ('prog["origin"].label', '(const char *){} = "here"\n'),
        ('prog["bytes"][3] + 1', "(int)256\n"),
        ("1 + 1", "2\n"),
        (" 'text' ", "'text'\n"),
        ("None", ""),
        ("print(1)", "1\n"),
        # What writes by itself isn't followed by its value.
        ("[print(n) for n in range(2)]", "0\n1\n"),
        ("__import__('sys').stdout.write('x')", "x"),
        # Statements show nothing.
        ("x = 3; x", ""),
    ],
)
def test_code_shows_the_value_of_an_expression(
    kdive: Kdive, process: int, code: str, shown: str
) -> None:
    result = kdive("-q", "-p", process, "-e", code)
    head, _, tail = shown.partition("{}")
    assert result.stderr == ""
    assert result.stdout.startswith(head)
    assert result.stdout.endswith(tail)
    if "{}" not in shown:
        assert result.stdout == shown
    assert result.returncode == 0


def test_code_sees_the_names_of_the_prompt(kdive: Kdive, process: int) -> None:
    code = (
        "import drgn.helpers.common.format as by_name\n"
        "def nested():\n"
        "    return number_in_binary_units(2048)\n"
        "print(nested(), drgn is kdive, by_name.number_in_binary_units is number_in_binary_units)\n"
        "print(sizeof(prog['origin']), cast('char', prog['answer']))\n"
        "for_each_task\n"
    )
    result = kdive("-q", "-p", process, "-e", code, "one", "two")
    assert result.stdout == "2K True True\n16 (char)42\n"
    assert result.stderr.endswith("NameError: name 'for_each_task' is not defined\n")


def test_code_sees_its_arguments(kdive: Kdive, process: int) -> None:
    result = kdive("-q", "-p", process, "-e", "import sys; print(sys.argv)", "one", "--two")
    assert result.stdout == "['-e', 'one', '--two']\n"


def test_script(kdive: Kdive, process: int, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("value = 7\n")
    (tmp_path / "script.py").write_text(
        "import sys, beside, __main__\n"
        "from drgn import cast, get_default_prog\n"
        "def later():\n"
        "    return prog['answer']\n"
        "print(__name__, __file__, sys.argv, beside.value)\n"
        "print(later(), __main__.later is later, get_default_prog() is prog)\n"
        "print(sorted(name for name in globals() if not name.startswith('__')))\n"
    )
    result = kdive("-q", "-p", process, "script.py", "-q", "two")
    assert result.stderr == ""
    assert result.stdout == (
        "__main__ script.py ['script.py', '-q', 'two'] 7\n"
        "(int)42 True True\n"
        "['beside', 'cast', 'get_default_prog', 'later', 'prog', 'sys']\n"
    )


def test_standard_input(kdive: Kdive, process: int) -> None:
    source = (
        "import sys\nfor name in ('answer',):\n    print(prog[name], sys.argv)\nprog['answer']\n"
    )
    result = kdive("-q", "-p", process, stdin=source)
    assert (result.stdout, result.stderr) == ("(int)42 ['']\n", "")


def test_zero_is_the_command_itself(kdive: Kdive) -> None:
    result = kdive(
        "-q",
        "-p",
        0,
        "-e",
        "prog.main_module().name == __import__('os').readlink('/proc/self/exe')",
    )
    assert (result.stdout, result.stderr) == ("True\n", "")


@pytest.mark.parametrize(
    ("code", "status"), [("import sys; sys.exit(7)", 7), ("raise SystemExit", 0), ("1", 0)]
)
def test_exit_status(kdive: Kdive, process: int, code: str, status: int) -> None:
    assert kdive("-q", "-p", process, "-e", code).returncode == status


def test_error_in_a_script_keeps_its_own_frames_only(
    kdive: Kdive, process: int, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text("def inner():\n    1 / 0\n\ninner()\n")
    result = kdive("-q", "-p", process, "script.py")
    lines = result.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.strip() for line in lines if line.startswith("  File")] == [
        'File "script.py", line 4, in <module>',
        'File "script.py", line 2, in inner',
    ]
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert (result.stdout, result.returncode) == ("", 1)


def test_error_in_code(kdive: Kdive, process: int) -> None:
    result = kdive("-q", "-p", process, "-e", "prog['nosuch']")
    assert result.stderr == (
        "Traceback (most recent call last):\n"
        '  File "<string>", line 1, in <module>\n'
        "kdive.ObjectNotFoundError: could not find 'nosuch'\n"
    )
    assert result.returncode == 1


def test_syntax_error(kdive: Kdive, process: int, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("x = (\n")
    result = kdive("-q", "-p", process, "script.py")
    assert result.stderr.startswith('  File "script.py", line 1\n')
    assert result.stderr.endswith("SyntaxError: '(' was never closed\n")
    assert result.returncode == 1


def test_unmapped_address(kdive: Kdive, process: int) -> None:
    code = "try:\n    prog.read(8, 1)\nexcept FaultError as error:\n    print(hex(error.address))\n"
    result = kdive("-q", "-p", process, "-e", code)
    assert (result.stdout, result.stderr) == ("0x8\n", "")


def test_reader_that_stops_reading(process: int) -> None:
    code = "for n in range(100000): print(n)"
    command = [sys.executable, "-m", "kdive", "-q", "-p", str(process), "-e", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"0\n"
        running.stdout.close()
        assert running.stderr.read() == b""


def test_broken_pipe_of_the_script_itself_is_reported(kdive: Kdive, process: int) -> None:
    code = "import os; r, w = os.pipe(); os.close(r); os.write(w, b'x')"
    result = kdive("-q", "-p", process, "-e", code)
    assert result.stderr.endswith("BrokenPipeError: [Errno 32] Broken pipe\n")
    assert result.returncode == 1


@pytest.mark.parametrize(
    ("flags", "expression", "value"),
    [
        (
            ("--no-symbols-by", "build-id,procfs"),
            "(o.try_build_id, o.try_procfs)",
            "(False, False)",
        ),
        (
            ("--no-symbols-by", "reuse", "--try-symbols-by", "reuse,kmod=walk"),
            "(o.try_reuse, o.try_kmod.name)",
            "(True, 'WALK')",
        ),
        (("--no-symbols-by", "kmod"), "o.try_kmod.name", "NONE"),
        (
            ("--no-symbols-by", "standard"),
            "'standard' in prog.enabled_debug_info_finders()",
            "False",
        ),
        (
            ("--debug-directory", "/a", "--debug-directory", "/b"),
            "o.directories",
            "('/a', '/b', '/usr/lib/debug')",
        ),
        (
            ("--no-default-kernel-directories", "--kernel-directory", "/k"),
            "o.kernel_directories",
            "('/k',)",
        ),
        (("--no-default-debug-link-directories",), "o.debug_link_directories", "()"),
    ],
)
def test_where_symbols_are_searched(
    kdive: Kdive, process: int, flags: tuple[str, ...], expression: str, value: str
) -> None:
    result = kdive(
        *("-q", "-p", str(process), *flags),
        *("-e", f"o = prog.debug_info_options; print({expression})"),
    )
    assert (result.stdout, result.stderr) == (f"{value}\n", "")


def test_unknown_way_of_finding_symbols(kdive: Kdive, process: int) -> None:
    result = kdive("-p", process, "--main-symbols", "--no-symbols-by", "magic", "-e", "1")
    assert result.stderr == ("kdive: warning: there is no way of finding symbols called 'magic'\n")
    assert (result.stdout, result.returncode) == ("1\n", 0)


@pytest.mark.parametrize(
    ("flags", "order"),
    [
        ((), "dwarf,ctf,btf"),
        (("--types", "btf,dwarf"), "btf,dwarf"),
        (("--types", "dwarf"), "dwarf"),
    ],
)
def test_order_of_type_formats(
    kdive: Kdive, process: int, flags: tuple[str, ...], order: str
) -> None:
    code = "print(','.join(prog.enabled_type_finders())); print(prog['answer'])"
    result = kdive("-q", "-p", process, *flags, "-e", code)
    assert result.stdout == f"{order}\n(int)42\n"


def test_left_out_type_format(kdive: Kdive, process: int) -> None:
    result = kdive("-q", "-p", process, "--types", "btf", "-e", "prog['answer']")
    assert "could not find 'answer'" in result.stderr
    assert result.returncode == 1


@pytest.mark.parametrize(
    ("formats", "message"),
    [("stabs", "'stabs' is none of dwarf, ctf, btf"), ("btf,btf", "'btf' is given twice")],
)
def test_unknown_type_format(kdive: Kdive, formats: str, message: str) -> None:
    result = kdive("--types", formats, "-e", "1")
    assert (result.stdout, result.returncode) == ("", 2)
    assert message in result.stderr


@pytest.mark.lab
def test_types_of_the_kernel_before_those_of_its_file(kdive: Kdive, idle: lab.Target) -> None:
    # BTF knows nothing of the types of most variables, so both are asked.
    target = ("-c", idle.dumps["elf"], "-s", idle.vmlinux, "--main-symbols")
    code = "print(prog['init_task'].comm, prog.type('enum pid_type').type)"
    for flags, integer in (((), "unsigned int"), (("--types", "btf,dwarf"), "<unknown>")):
        result = kdive("-q", *target, *flags, "-e", code)
        assert result.stdout == f'(char [16])"swapper/0" {integer}\n'


@pytest.mark.lab
def test_kernel_without_its_file(kdive: Kdive, idle: lab.Target) -> None:
    target = ("-c", idle.dumps["elf"], "--main-symbols", "--no-symbols-by", "standard")
    result = kdive(*target, "-e", "print(prog['init_task'].comm)")
    assert result.stdout == '(char [16])"swapper/0"\n'
    assert "using the symbols and types (BTF) in its own memory" in result.stderr
