"""What is printed, against drgn: every option of `format_()` with every other, on objects of every kind."""

import random

from tests.peer.peer import assert_agreement

OPTIONS = (
    "dereference",
    "symbolize",
    "string",
    "char",
    "type_name",
    "member_type_names",
    "element_type_names",
    "members_same_line",
    "elements_same_line",
    "member_names",
    "element_indices",
    "implicit_members",
    "implicit_elements",
)
# A structure of which only a part can be read is another matter: docs/differences.md.
NAMED = (
    "c uc s us i u l ul ll ull b1 b0 f d e se au ci z i3 bei bf ubf lbf bbf ri rd rb rbf pi pi2 pc pv ps p0 ap "
    "cpi pp parr vs va vca uni vf ra rs rn rcs rf rbits rfa rfn no nop nos noa bad rl rv"
).split()
MADE = (
    "'char [4][3]', address=0x1000",
    "'struct point [3][2]', address=0x1000",
    "'char *[3]', address=0x1000",
    "'struct nest [2]', address=0x1000",
    "'unsigned char [5]', address=0x1000",
    "'signed char [5]', address=0x1000",
    "'u8 [5]', address=0x1000",
    "'const char [5]', b'a\\0b'",
    "'char [4]', b'\\xff\"\\\\n'",
    "'char []', address=0x1000",
    "'int [0]', address=0x1000",
    "'int [40]', address=0x1000",
    "'int [40]', [0] * 20 + [5] * 20",
    "'struct nest', {}",
    "'struct nest', {'p': {'x': 1}, 's': b'hi'}",
    "'struct point [4]', [{}, {'x': 1}, {}]",
    "'struct empty', address=0x1000",
    "'struct empty [2]', address=0x1000",
    "'enum color [3]', [0, 1, 7]",
    "'hue', 1",
    "'double [3]', [0.0, -0.0, 1e100]",
    "'float [2]', [0.1, 1 / 3]",
    "'struct list', {'next': 0x1000}",
    "'struct list *', 0x1000",
    "'struct flex *', 0x1000",
    "'int4 *', 0x1000",
    "'_Bool [3]', [1, 0, 1]",
    "'void *[2]', [0, 5]",
    "'call *', 0x1000",
    "'call *[2]', [0x1000, 0]",
    "'nothing *', 0x1000",
    "'int **[1]', [0x1000]",
    "'char **', 0x1000",
    "'unsigned char *', 0x1000",
    "'u8 *', 0x1000",
    "'const char *', 0x10f0",
    "'char *', 0",
    "'char *', 1",
    "'char', 0",
    "'char', 10",
    "'char', 39",
    "'char', 92",
    "'unsigned char', 255",
    "'signed char', -128",
    "'char', 65",
    "prog.struct_type('w', 16, (TypeMember(prog.type('char *'), 's'), TypeMember(prog.type('struct point *'), 'p', 64))"
    ")"
    ", {'s': 0x1000, 'p': 0x1008}",
    "prog.struct_type('w', 16, (TypeMember(prog.type('char'), 'c'), TypeMember(prog.type('char [3]'), 't', 8),"
    " TypeMember(prog.type('unsigned char [3]'), 'u', 32))), address=0x1010",
    "prog.union_type('w', 40, (TypeMember(prog.type('char'), 'c'), TypeMember(prog.type('char [3]'), 't', 0),"
    " TypeMember(prog.type('struct nest'), None, 0))), address=0x1010",
    "prog.enum_type('em', prog.type('int'), ()), 3",
    "prog.class_type('k', 8, (TypeMember(prog.type('int'), 'x'),)), address=0x1000",
    "prog.struct_type(None, 8, (TypeMember(prog.type('int'), 'x'),)), address=0x1000",
    "prog.struct_type('f', 4, (TypeMember(prog.type('int'), 'n'), TypeMember(prog.type('char []'), 't', 32)))"
    ", address=0x1000",
    "prog.struct_type('f', 4, (TypeMember(prog.type('int'), 'n'), TypeMember(prog.type('struct point []'), 't', 32)))"
    ", {'n': 1}",
)


def objects() -> list[str]:
    """Expressions of objects."""
    made = [f"Object(prog, {arguments})" for arguments in MADE]
    return made + [f"{prog}.{name}" for prog in ("prog_", "be_", "p32_") for name in NAMED]


def test_every_option_with_every_other() -> None:
    chance = random.Random(5)
    known = objects()
    expressions = []
    for _ in range(12_000):
        options = []
        if chance.random() < 0.6:
            columns = chance.choice((0, 1, 5, 10, 20, 33, 40, 60, 79, 80, 120, 200, None, 10**6))
            options.append(f"columns={columns}")
        if chance.random() < 0.4:
            options.append(f"integer_base={chance.choice((8, 10, 16))}")
        options += [
            f"{name}={chance.choice(('True', 'False', '1', '0', 'None'))}"
            for name in OPTIONS
            if chance.random() < 0.35
        ]
        expressions.append(f"{chance.choice(known)}.format_({', '.join(options)})")
    assert_agreement(expressions)


def test_wrong_options() -> None:
    wrong = "columns=-1|columns='a'|columns=1.5|integer_base=2|integer_base=0|integer_base='a'|"
    wrong += "integer_base=None|nope=1|80"
    assert_agreement([f"prog_.rn.format_({options})" for options in wrong.split("|")])


def test_protocols_of_printing() -> None:
    forms = (
        "str({})",
        "repr({})",
        "{}.value_()",
        "{}.string_()",
        "{}.to_bytes_()",
        "{}.read_()",
        "format({})",
        "format({}, '>80')",
        "format({}, 'x')",
    )
    assert_agreement([form.replace("{}", each) for form in forms for each in objects()])
