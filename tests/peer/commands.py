"""Makes and runs commands with drgn, or with kdive in its place, and prints what comes of each.

python commands.py drgn|kdive
"""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
if sys.argv[1] == "kdive":
    importlib.import_module("kdive.compat").install()
C: Any = importlib.import_module("drgn.commands")
prog = importlib.import_module("drgn").Program()
prog.set_pid(os.getpid())
space = C.CommandNamespace(argparse_types=[("even", lambda text: int(text) // 2 * 2)])
Args = Any


@C.command(
    description="says hello",
    long_description="Says hello\nto somebody.",
    epilog="The end.",
    arguments=(
        C.argument("who", help="whom"),
        C.argument("-n", "--count", type="even", default=1, help="how often"),
        C.argument_group(
            C.argument("--loud", action="store_true"), title="volume", description="how loud"
        ),
        C.mutually_exclusive_group(
            C.argument("-a", action="store_true"), C.argument("-b", action="store_true")
        ),
        C.drgn_argument,
    ),
    namespace=space,
)  # type: ignore[untyped-decorator]
def _cmd_hello(prog: Any, name: str, args: Args, *, parser: Any, globals: dict[str, Any]) -> int:
    print("hello", name, sorted(vars(args).items()), sorted(globals)[:2])
    if args.who == "nobody":
        parser.error("nobody is there")
    if args.who == "fail":
        raise C.CommandError("it failed")
    if args.who == "bug":
        raise KeyError("a bug")
    return 7


@C.raw_command(description="raw", usage="raw X", long_description="L", namespace=space)  # type: ignore[untyped-decorator]
def _cmd_raw(prog: Any, name: str, args: Args, *, parser: Any, globals: dict[str, Any]) -> None:
    print("raw", repr(name), repr(args))


@C.custom_command(
    description="custom",
    parse=lambda text: C.ParsedCommand(text.upper(), pipeline="cat -n"),
    arguments=[C.argument("x")],
    namespace=space,
)  # type: ignore[untyped-decorator]
def _cmd_custom(prog: Any, name: str, args: Args, *, parser: Any, globals: dict[str, Any]) -> None:
    print("custom", args)


@C.command(description="never", enabled=lambda _: False, namespace=space)  # type: ignore[untyped-decorator]
def _cmd_never(prog: Any, name: str, args: Args, *, parser: Any, globals: dict[str, Any]) -> None:
    print("never")


def misnamed(prog: Any, name: str, args: Args, *, parser: Any, globals: dict[str, Any]) -> None:
    print("misnamed")


def show(what: str, function: Callable[[], Any]) -> None:
    """Print what a function gives, after what it has printed."""
    print(">", what)
    sys.stdout.flush()
    try:
        value = function()
    except BaseException as error:  # noqa: BLE001 - which one is the question
        bases = [base.__name__ for base in type(error).__mro__[:3]]
        print("!", bases, error, dict(vars(error)))
    else:
        print("=", value)
    sys.stdout.flush()


def run(line: str) -> None:
    """Run a line without and with a function for errors."""
    show(line, lambda: space.run(prog, line, globals={"x": 1}))
    show(line, lambda: space.run(prog, line, onerror=lambda error: print("E", repr(error))))


WORDS = [
    *(
        'a b|a \'b c\'|a "b c"|a\\ b|a $x *|a #c|a \'b\'"c"d|a "b\\"c\\n"|a\n b|a > f|a >> f|a 2> f|a < f|'
        "a >f b|a 10> f|a b2>f|a >f >g|a=1 b||  |a 2>&1|a; b|a & b|a `b`|a $(b)|a 'b|a \"b|a \\|a >|a <> f|a <<x"
    ).split("|"),
    "a|b",
    "a | b c | d",
    "a || b",
    "| a",
    "a |",
    "a > |",
    "a >| f",
    "a < f | g > h",
]


def main() -> None:
    """Show all."""
    for words in WORDS:
        show(repr(words), lambda words=words: C.parse_shell_command(words))  # type: ignore[misc]
        show(repr(words), lambda words=words: C.parse_shell_command(words, unquote=False))  # type: ignore[misc]
        show(repr(words), lambda words=words: C.unquote_shell_word(words))  # type: ignore[misc]
    show("enabled", lambda: [name for name, _ in space.enabled(prog)])
    for name in ("hello", "raw", "custom", "never", "nope"):
        show(name, lambda name=name: space.lookup(prog, name).description())  # type: ignore[misc]
        show(name, lambda name=name: space.lookup(prog, name).format_usage())  # type: ignore[misc]
        show(name, lambda name=name: space.lookup(prog, name).format_help(indent="  "))  # type: ignore[misc]
    for arguments in (
        "bob",
        "'bob x' -n 5 --loud -a",
        "",
        "bob -a -b",
        "bob --cou 2",
        "bob -n x",
        "nobody",
        "fail",
        "bug",
    ):
        run("hello " + arguments)
    for line in (
        "",
        " ",
        "nope",
        "never",
        "  raw   a | b > c ",
        "raw|x",
        "raw",
        "custom a b",
        "hello 'bob",
    ):
        run(line)
    for end in (
        "| tr a-z A-Z",
        "| exit 3",
        "> out",
        ">> out",
        "> /nonexistent/out",
        "2> out",
        "> out | cat",
    ):
        run("hello bob " + end)
        run("hello fail " + end)
        if Path("out").exists():
            print("out:", Path("out").read_text())
    show("misnamed", lambda: C.command(description="x", namespace=space)(misnamed))
    show("no usage", lambda: C.custom_command(description="x", parse=str)(misnamed))
    names = {"q": 4}
    for code in (
        "print(q + 1)",
        "q",
        "z = 5",
        "z",
        "print('a|b') | tr a x",
        "print((1|2)) > out2",
        "",
        "1/0",
        "1 +",
    ):
        show(code, lambda code=code: C.run_command(prog, "py " + code, globals=names))  # type: ignore[misc]
    Path("script.py").write_text("import sys\nprint(sys.argv, __name__, q)\nq = 6\n")
    for line in (
        "source script.py a b",
        "source nope.py",
        "source",
        "sh echo a | tr a b",
        "sh exit 3",
        "py q",
    ):
        show(line, lambda line=line: C.run_command(prog, line, globals=names))  # type: ignore[misc]
    show("code", code_of_blocks)
    show("loop", code_of_loop)


def code_of_blocks() -> str:
    """Code with imports and blocks."""
    code = C.DrgnCodeBuilder(prog)
    for module in ("os", "abc"):
        code.add_import(module)
    code.add_from_import("drgn.helpers.linux.mm", "x")
    code.add_from_import("drgn", "cast", "NULL")
    code.add_from_import("drgn", "Object")
    code.append("a = 1\n")
    with code.begin_block("for x in y:\n"):
        code.append("print(x)\nif 1:\n    z\n\nb\n")
        code.begin_block("while y:\n", "# end\n")
        code.append("q()")
        code.append(" + 1\n")
        code.end_block()
    code.append("end()\n")
    found = [name for name in "abqxyz" if code.has_declaration(name)]
    return f"{found} {code.get()}"


def code_of_loop() -> str:
    """Code that is tried again, without its comment."""
    code = C.DrgnCodeBuilder(prog)
    with code.begin_retry_loop_if_live(3):
        code.append("x()\n")
    return "".join(line for line in code.get().splitlines(keepends=True) if line[0] != "#")


if __name__ == "__main__":
    main()
