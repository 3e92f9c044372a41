"""Type names and designators against drgn: every form of the grammar, and thousands that are not quite of it."""

import random
from typing import Any

import pytest

from kdive import Language, Program
from tests.peer import mock
from tests.peer.peer import assert_agreement, sample

KEYWORDS = (
    "int|unsigned|unsigned int|char|signed char|long|long long|unsigned long long int|_Bool|float|double|void|"
    "short|long unsigned int"
).split("|")
NAMES = "struct point|union option|enum color|pt|u8|intp|call|struct later|int4".split("|")
QUALIFIERS = ("const", "volatile", "restrict", "_Atomic")
LENGTHS = ("", "2", "0x10", "010", "0", "3")
INSERTED: list[str] = [
    *"*()[],@#1a.<>;-+= \"'\\",
    "int",
    "const",
    "struct ",
    "...",
    "unsigned",
    "**",
    "[2]",
    "0x",
    "08",
]
MEMBERS = (
    "x|y|p|arr|arr[0]|arr[1].y|arr[2].x|s|s[3]|s[9]|e|m|u1|u2|p.x|n|v|v[0]|v[3].x|v[1000]|next|next.next|a|b|c|d|g|i|f|"
    "none|p.none|arr[1].none|arr[|arr[]|arr[1|arr]|arr[-1]|arr[ 1 ]| p . x |p..x|.x|p.|.|[0]|[1].x|arr[1][2]|x[0]|x.y|"
    "arr.x|arr[0x1]|arr[01]|arr[08]|arr[18446744073709551616]|arr[0x8000000000000000].y|p->x|p x|arr[x]|arr[1].|"
    "arr[1]x|(p).x|p::x|*p|p\n.\tx|x1|_|v[-1]|v[9223372036854775807]|p.x[0]|p.x.y|p.y "
).split("|")


class Grammar:
    """Makes type names at random, the same ones each time."""

    def __init__(self) -> None:
        self.random = random.Random(3)

    def qualifiers(self, chance: float) -> str:
        return " ".join(
            self.random.choice(QUALIFIERS) for _ in range(2) if self.random.random() < chance
        )

    def specifiers(self) -> str:
        base = self.random.choice(KEYWORDS + NAMES)
        return " ".join(filter(None, (self.qualifiers(0.2), base, self.qualifiers(0.2))))

    def declarator(self, depth: int = 0) -> str:
        text = ""
        for _ in range(self.random.choice((0, 0, 1, 1, 2))):
            text += f"*{self.qualifiers(0.2)} "
        if depth < 3 and self.random.random() < 0.4:
            text += f"({self.declarator(depth + 1).strip() or '*'})"
        for _ in range(self.random.choice((0, 0, 0, 1, 2))):
            text += f"[{self.random.choice(LENGTHS)}]"
        return text

    def name(self) -> str:
        return f"{self.specifiers()} {self.declarator()}"

    def damaged(self, name: str) -> str:
        place = self.random.randrange(len(name) + 1)
        match self.random.randrange(4):
            case 0:
                return name[:place] + self.random.choice(INSERTED) + name[place:]
            case 1:
                return name[:place] + name[place + 1 :]
            case 2:
                return name[:place]
            case _:
                words = name.split(" ")
                self.random.shuffle(words)
                return " ".join(words)


def agree(their: Any, our: Any) -> bool:
    """Whether both take a name for the same type, or both for none (docs/differences.md: the messages)."""
    if their == our:
        return True
    if their[0] == our[0] == "raise":
        # drgn looks a name up before it has seen all of a malformed one.
        return our[1] in (their[1], "SyntaxError") and their[1] in ("LookupError", "SyntaxError")
    # What drgn does not know: functions, and numbers with a suffix.
    return their[:2] == ["raise", "SyntaxError"] and (
        "not implemented" in their[2] or "invalid number" in their[2]
    )


def test_names_of_the_grammar() -> None:
    grammar = Grammar()
    names = [grammar.name() for _ in range(2000)]
    expressions = [f"prog.type({name!r})" for name in names]
    for prog in ("prog", "be", "p32"):
        expressions += [f"{prog}.type({name!r}).type_name()" for name in names[:400]]
        expressions += [f"{prog}.type({name!r}).variable_declaration('x')" for name in names[:400]]
    assert_agreement(expressions, agree)


def test_damaged_names() -> None:
    grammar = Grammar()
    names = [grammar.damaged(grammar.name()) for _ in range(4000)]
    assert_agreement([f"prog.type({name!r})" for name in names], agree)


def test_the_mark_is_below_the_wrong_character() -> None:
    prog = mock.program(__import__("kdive"), "IS_64_BIT", "IS_LITTLE_ENDIAN")
    grammar = Grammar()
    for _ in range(2000):
        name = grammar.name()
        place = grammar.random.randrange(len(name) + 1)
        if name[:place].endswith("0x"):
            continue  # then the number is wrong
        name = f"{name[:place]}@{name[place:]}"
        with pytest.raises(SyntaxError, match="invalid character '@'") as caught:
            prog.type(name)
        _, shown, mark = str(caught.value).split("\n")
        assert shown[mark.index("^")] == "@", name


@pytest.mark.parametrize(
    "text", ["unsigned float", "struct point const int", "pt unsigned", "long char"]
)
def test_what_is_malformed_is_not_looked_up(text: str) -> None:
    prog = Program()
    prog.register_type_finder("none", lambda *_: pytest.fail("was asked"), enable_index=0)
    with pytest.raises(SyntaxError, match="cannot combine"):
        prog.type(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("int (*)(char, ...)", "int (*)(char, ...)"),
        ("void (*(*[3])(int))(struct point *)", "void (*(*[3])(int))(struct point *)"),
        ("int (&)[3]", "int (&)[3]"),
        ("struct point const &", "const struct point &"),
        ("pt &&", "pt &&"),
        ("unsigned __int128", "unsigned __int128"),
    ],
)
def test_what_only_kdive_knows(text: str, name: str) -> None:
    prog = mock.program(__import__("kdive"), "IS_64_BIT", "IS_LITTLE_ENDIAN")
    assert prog.language is Language.C
    assert prog.type(text).type_name() == name
    assert prog.type(name).type_name() == name


def test_designators() -> None:
    chance = random.Random(4)
    parts = [
        "p",
        "x",
        "y",
        "arr",
        "[0]",
        "[1]",
        "[",
        "]",
        ".",
        "..",
        "u1",
        "m",
        " ",
        "s",
        "[2",
        "-1",
        "0x1",
        "@",
        ",",
        "#",
    ]
    designators = MEMBERS + [
        "".join(chance.choice(parts) for _ in range(chance.randrange(1, 6))) for _ in range(200)
    ]
    types = [
        *NAMES,
        "struct nest",
        "struct flex",
        "struct bits",
        "struct list",
        "const struct nest",
        "struct nest [2]",
    ]
    types += ["int [4]", "struct nest *", "struct empty", "void"]
    objects = "rn rs rf vs va ra ps pi2 nos i pv uni rbits noa no".split()
    expressions = []
    for designator in designators:
        expressions += [f"offsetof(prog.type({name!r}), {designator!r})" for name in types]
        expressions += [f"prog.type({name!r}).member({designator!r})" for name in types]
        expressions += [f"prog_.{name}.subobject_({designator!r})" for name in objects]
        expressions += [f"prog_.{name}.member_({designator!r})" for name in objects]
        expressions += [
            f"container_of(prog_.{name}, {type_!r}, {designator!r}).value_()"
            for name in ("pi2", "pv", "ps", "p0", "ap", "i", "nop", "cpi", "pc", "ul")
            for type_ in ("struct nest", "struct bits", "pt", "struct flex", "volatile pt")
        ]

    def agree_on_errors(their: Any, our: Any) -> bool:
        return bool(their == our) or their[:2] == our[:2] == ["raise", "SyntaxError"]

    assert_agreement(sample(expressions, 8000), agree_on_errors)
