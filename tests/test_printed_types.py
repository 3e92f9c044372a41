"""Types of a kernel's BTF as kdive prints them, and as bpftool writes them in C."""

import random
import re
import subprocess

import pytest

import kdive
import lab

pytestmark = pytest.mark.lab

SEED = 20261122
COUNT = 400
#: At the start of a line: what a definition of bpftool's is of, its name, and what is between the braces.
DEFINITION = re.compile(
    r"^(struct|union|enum) (\w+) \{\n(.*?)^\}(?: __attribute__\(\(packed\)\))?;",
    re.MULTILINE | re.DOTALL,
)
TYPEDEF = re.compile(r"^typedef (?:[^{};]|\{\n.*?^\})*?;", re.MULTILINE | re.DOTALL)
#: What a typedef calls a pointer to a function, a function, or something else.
NAME = re.compile(
    r"\(\*\s*(?:const )?(\w+)\)|\b(\w+)\([^()]*(?:\([^()]*\)[^()]*)*\);$|(\w+)(?:\[\w*\])*;$"
)
#: Bit fields without a name, which are written for the compiler to leave the same room.
PADDING = re.compile(r"^\s*[\w ]+: \d+;\n", re.MULTILINE)
#: What is put behind the names of several types that are called the same.
NUMBER = re.compile(r"___\d+\b")
INTEGER_WORDS = re.compile(r"\b(?:(?:unsigned|signed|long|short|int|char)\b[ ]*)+")


def spelled(match: re.Match[str]) -> str:
    """An integer type with its words in one order: `long unsigned int` is `unsigned long`."""
    words = match.group().split()
    if len(words) > 1 and set(words) & {"long", "short"} and "int" in words:
        words.remove("int")
    return " ".join(sorted(words)) + " "


def normalised(text: str) -> str:
    """The same text for what differs in layout only."""
    text = INTEGER_WORDS.sub(spelled, NUMBER.sub("", PADDING.sub("", text)))
    # Both mean an array of unknown length; and constants of 64 bits.
    text = re.sub(r"(=\s*-?\d+)U?LL\b", r"\1", text.replace("[0]", "[]"))
    text = re.sub(r" ?__attribute__\(\(packed\)\)", "", text)
    return (
        re.sub(r"\s*([(){}\[\]*,;:=])\s*", r"\1", re.sub(r"\s+", " ", text))
        .replace(",}", "}")
        .strip()
    )


@pytest.mark.parametrize("kernel", ["6.1-amd64", "6.12-amd64", "6.1-arm64"])
def test_random_types_are_written_as_bpftool_writes_them(kernel: str) -> None:
    target = lab.target("idle", kernel)
    written = subprocess.run(
        ["bpftool", "btf", "dump", "file", target.vmlinux, "format", "c"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    prog = kdive.Program()
    prog.set_core_dump(target.dumps["elf"])
    with pytest.raises(kdive.MissingDebugInfoError):
        prog.load_debug_info(main=True)
    theirs = {
        f"{kind} {name}": f"{kind} {name} {{\n{body}}}"
        for kind, name, body in DEFINITION.findall(written)
    }
    for text in TYPEDEF.findall(written):
        found = NAME.search(text, text.rfind("}") + 1)
        assert found is not None, text
        theirs[next(filter(None, found.groups()))] = text.removesuffix(";")
    # bpftool has to give one of several types with the same name another one.
    again = {NUMBER.sub("", name) for name in theirs if NUMBER.search(name)}
    names = sorted(name for name in theirs if name not in again and not NUMBER.search(name))
    assert len(names) > 8000
    different, left_out = {}, 0
    for name in random.Random(SEED).sample(names, COUNT):
        mine, other = normalised(str(prog.type(name))), normalised(theirs[name])
        if "<anonymous>" in mine:
            left_out += 1  # an array of structures without a name, which drgn writes so
        elif mine != other:
            different[name] = (mine, other)
    assert different == {}
    assert left_out < COUNT // 50
