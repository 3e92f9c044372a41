"""The language model against drgn: the same expressions, evaluated by both, give the same values and the same errors.

What is intended to differ (docs/differences.md) is not asked: wide integers, numbers that are none, parts that can't be
read, arguments of wrong Python types.
"""

import pytest

from tests.peer.peer import assert_agreement, sample

SCALARS = [
    "c",
    "uc",
    "s",
    "us",
    "i",
    "u",
    "l",
    "ul",
    "ll",
    "ull",
    "b1",
    "b0",
    "f",
    "d",
    "e",
    "se",
    "au",
    "ci",
    "z",
    "i3",
    "bei",
    "bf",
    "ubf",
    "lbf",
    "fbf",
    "llbf",
    "bbf",
    "ri",
    "rd",
    "rb",
    "rbf",
    "no",
]
OTHERS = [
    "pi",
    "pi2",
    "pc",
    "pv",
    "ps",
    "p0",
    "ap",
    "cpi",
    "pp",
    "parr",
    "vs",
    "va",
    "vca",
    "uni",
    "vf",
    "ra",
    "rs",
    "rfa",
    "rfn",
    "rv",
    "bad",
    "rl",
    "nop",
    "nos",
    "noa",
]
LITERALS = [
    "0",
    "1",
    "-1",
    "3",
    "True",
    "40",
    "2**31",
    "2**31-1",
    "-2**31",
    "2**32",
    "2**63",
    "2**64-1",
    "-2**63",
    "1.5",
    "-0.5",
    "None",
    "'a'",
    "b'a'",
    "[1]",
]
# Python repeats these as often as an object says, which may be four thousand million times.
SEQUENCES = ("'a'", "b'a'", "[1]")
PROGRAMS = ("prog", "be", "p32")
TYPES = [
    "int",
    "unsigned int",
    "char",
    "unsigned char",
    "long",
    "unsigned long long",
    "_Bool",
    "float",
    "double",
    "void",
    "void *",
    "int *",
    "const int",
    "struct point",
    "struct point *",
    "pt",
    "cpt",
    "union option",
    "enum color",
    "enum sign",
    "struct later",
    "int [4]",
    "int [2]",
    "int []",
    "char [6]",
    "call",
    "call *",
    "u8",
    "intp",
    "hue",
    "const char *",
    "struct bits",
    "nothing",
    "struct nest",
    "struct flex",
    "struct list *",
    "short",
    "int4",
    "volatile double",
    "int *[2]",
    "struct empty",
    "struct point [2]",
]


def test_operators() -> None:
    names = SCALARS + OTHERS
    arithmetic = [
        "+",
        "-",
        "*",
        "/",
        "%",
        "<<",
        ">>",
        "&",
        "|",
        "^",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
    ]
    assert_agreement(
        sample(
            (
                f"{prog}_.{left} {operator} {right}"
                for prog in PROGRAMS
                for left in names
                for right in [*(f"{prog}_.{name}" for name in SCALARS), *LITERALS]
                for operator in arithmetic
                if operator != "*" or right not in SEQUENCES
                # Which of two errors comes first.
                if operator not in ("<<", ">>") or left not in ("bad", "no")
                if operator not in ("+", "-") or left != "rfn"
            ),
            6000,
        )
    )


def test_unary_operators_and_python_protocols() -> None:
    forms = [
        "-{}",
        "+{}",
        "~{}",
        "not {}",
        "bool({})",
        "int({})",
        "float({})",
        "round({})",
        "round({}, 1)",
        "math.trunc({})",
        "math.floor({})",
        "math.ceil({})",
        "operator.index({})",
        "len({})",
        "list({})",
        "{}[0]",
        "{}[1]",
        "{}[-1]",
        "{}[100]",
        "{}['x']",
        "{}[None]",
        "{}[0:2]",
        "{}[1:]",
        "{}[:-1]",
        "{}[3:1]",
        "{}[-2:]",
        "{}.x",
        "{}.y",
        "{}.none",
        "{}.value_()",
        "{}.string_()",
        "{}.member_('x')",
        "{}.address_",
        "{}.address_of_()",
        "{}.read_()",
        "{}.to_bytes_()",
        "{}.absent_",
        "{}.absence_reason_",
        "{}.bit_offset_",
        "{}.bit_field_size_",
        "{}.type_",
        "{}",
        "hash({})",
        "{}.subobject_('x')",
        "{}.subobject_('[1]')",
        "{}.subobject_('y.x')",
        "{}.subobject_('')",
        "{}.subobject_('[0].x')",
        "{}.subobject_('[-1]')",
        "sizeof({})",
        "'%d' % {}",
        "'%s' % {}",
        "hex({})",
        "[1, 2, 3][{}]",
        "{} == None",
        "{} in [1, 2]",
        "{}.format_(columns=60)",
        "{}.format_(integer_base=16, symbolize=False)",
        "{}.format_(type_name=False)",
        "{}.format_(dereference=False)",
    ]
    names = SCALARS + OTHERS
    assert_agreement(
        sample(
            (
                form.replace("{}", f"{prog}_.{name}")
                for prog in PROGRAMS
                for name in names
                for form in forms
                # Where exactly an array behind the null pointer is unreadable.
                if (name, form) != ("p0", "{}[0:2]")
            ),
            6000,
        )
    )


def test_conversions() -> None:
    names = SCALARS + OTHERS
    expressions = [
        f"{function}({type_!r}, prog_.{name})"
        for function in ("cast", "implicit_convert", "reinterpret")
        for type_ in TYPES
        for name in names
        if name != "bad" or ("[" not in type_ and type_ != "int4")
    ]
    expressions += [
        f"implicit_convert({type_!r}, prog_.{name}, bit_field_size={size})"
        for type_ in ("int", "unsigned long long", "double", "_Bool", "enum color", "int *")
        for name in names
        for size in (0, 1, 4, 33)
    ]
    expressions += [
        f"container_of(prog_.{name}, {type_!r}, {member!r})"
        for type_ in ("struct nest", "struct bits", "pt", "int", "struct later", "struct nest *")
        for name in ("pi2", "pv", "ps", "i", "ra", "nop")
        for member in ("x", "y", "p", "arr[1].y", "m", "u2", "b", "", "none", "s[1", "e.", "[1]")
    ]
    assert_agreement(sample(expressions, 6000))


def test_making_objects() -> None:
    values = [
        "0",
        "5",
        "-5",
        "300",
        "2**40",
        "2**64",
        "2**70",
        "-2**70",
        "1.5",
        "-1.9",
        "1e30",
        "1e300",
        "True",
        "None",
        "b'x'",
        "b'hello'",
        "[1, 2]",
        "[1, 2, 3, 4, 5]",
        "{'x': 1}",
        "{'x': 1, 'y': 2}",
        "{'none': 1}",
        "[]",
        "{'x': [1]}",
        "[b'a']",
        "range(3)",
        "prog_.i",
        "prog_.d",
        "prog_.pi",
        "prog_.no",
        "prog_.e",
        "{'x': prog_.i}",
        "[prog_.i, prog_.u]",
        "{'i': 1, 'f': 2.0}",
        "{'p': {'x': 1}, 'arr': [{'x': 1}, {'y': 2}], 's': b'ab', 'e': 2, 'm': 7}",
        "{'a': -3, 'b': 9, 'c': 7, 'g': -1}",
    ]
    structures = {
        "struct point",
        "pt",
        "cpt",
        "union option",
        "struct bits",
        "struct nest",
        "struct flex",
    }
    structures |= {"struct empty", "struct list *"}
    arrays = {type_ for type_ in TYPES if "[" in type_ or type_ == "int4"}
    not_mappings = {"b'x'", "b'hello'", "[1, 2]", "[1, 2, 3, 4, 5]", "[]", "[b'a']", "range(3)"}
    not_mappings |= {f"prog_.{name}" for name in ("i", "d", "pi", "no", "e")} | {
        "[prog_.i, prog_.u]"
    }

    def differs(type_: str, value: str) -> bool:
        """Whether it is one of the intended differences."""
        return (
            (type_ in structures and value in not_mappings)
            or (type_ == "_Bool" and value not in ("0", "True"))
            or (type_ in arrays and value.startswith("{"))
            or (type_ == "struct point [2]" and value == "[b'a']")
        )

    expressions = [
        f"Object({prog}, {type_!r}, {value})"
        for prog in PROGRAMS
        for type_ in TYPES
        for value in values
        if not differs(type_, value) and (prog == "prog" or "_." not in value)
    ]
    for prog in PROGRAMS:
        for type_ in TYPES:
            for arguments in (
                "",
                "bit_field_size=3",
                "bit_offset=3",
                "address=0x1008, value=4",
                "absence_reason=AbsenceReason.OPTIMIZED_OUT",
                "absence_reason=AbsenceReason.OTHER, value=5",
                *(
                    f"address={address}, bit_offset={offset}"
                    for address in ("0x1000", "-1", "2**64", "0x1f00")
                    for offset in (0, 1, 7, 8, 31, 64)
                ),
                *(
                    f"address=0x1003, bit_offset={offset}, bit_field_size={size}"
                    for offset in (0, 1, 5, 13)
                    for size in (0, 1, 3, 17, 32, 33, 64, 65)
                ),
            ):
                expressions.append(f"Object({prog}, {type_!r}, {arguments})")
            for size in (8, 40):
                data = f"bytes(range({size}))"
                expressions.append(f"Object.from_bytes_({prog}, {type_!r}, {data})")
                expressions.append(f"Object.from_bytes_({prog}, {type_!r}, {data}).to_bytes_()")
                expressions.append(
                    f"Object.from_bytes_({prog}, {type_!r}, {data}, bit_offset=3, bit_field_size=4)"
                )
    expressions += [
        f"Object({prog}, value={value})"
        for prog in PROGRAMS
        for value in (*LITERALS, "-2**31 + 1", "-2**63 + 1", "2**64", "-2**64", "False", "1e300")
        if value != "None"
    ]
    assert_agreement(sample(expressions, 6000))


def test_types() -> None:
    attributes = [
        "kind",
        "primitive",
        "qualifiers",
        "language",
        "name",
        "tag",
        "size",
        "length",
        "is_signed",
        "byteorder",
        "type",
        "members",
        "enumerators",
        "parameters",
        "is_variadic",
        "template_parameters",
        "type_name()",
        "variable_declaration('x')",
        "variable_declaration('')",
        "variable_declaration('*x')",
        "is_complete()",
        "unqualified()",
        "unaliased()",
        "unaliased_kind()",
        "member('x')",
        "member('m')",
        "member('u2')",
        "member('none')",
        "has_member('x')",
        "has_member('u1')",
        "has_member('none')",
        "qualified(Qualifiers.CONST)",
        "qualified(Qualifiers.NONE)",
        "qualified(Qualifiers.VOLATILE|Qualifiers.ATOMIC)",
        "members[0].object",
        "members[-1].bit_field_size",
        "members[-1].offset",
        "none",
    ]
    names = [
        *TYPES,
        "const pt",
        "volatile int4",
        "int [2][3]",
        "call *[2]",
        "const struct point *volatile",
        "int **",
    ]
    expressions = [f"{prog}.type({name!r})" for prog in PROGRAMS for name in names]
    expressions += [
        f"{prog}.type({name!r}).{attribute}"
        for prog in PROGRAMS
        for name in names
        for attribute in attributes
    ]
    expressions += [f"sizeof({prog}.type({name!r}))" for prog in PROGRAMS for name in names]
    expressions += [
        f"offsetof({prog}.type({name!r}), {member!r})"
        for prog in PROGRAMS
        for name in names
        for member in (
            "x",
            "u2",
            "arr[1].y",
            "v[3]",
            "none",
            "",
            "a",
            "p.",
            "arr[",
            "s[1]x",
            "n->x",
            "s[a]",
        )
    ]
    assert_agreement(expressions)


@pytest.mark.parametrize("prog", PROGRAMS)
def test_type_constructors(prog: str) -> None:
    types = [f"{prog}.type({name!r})" for name in TYPES]
    expressions = [
        f"{prog}.{function}({name}, {size}{signedness})"
        for function, signedness in (("int_type", ", True"), ("bool_type", ""), ("float_type", ""))
        for name in ("'x'", "''")
        for size in ("0", "1", "3", "8", "16", "-1", "2**64", "None")
    ]
    for made in types:
        expressions += [
            f"{prog}.pointer_type({made}, {size})" for size in ("None", "0", "4", "8", "-1")
        ]
        expressions += [
            f"{prog}.array_type({made}, {length})" for length in ("None", "0", "5", "2**62", "-1")
        ]
        expressions += [
            f"sizeof({prog}.array_type({made}, {length}))"
            for length in ("None", "0", "5", "2**62", "2**63")
        ]
        expressions += [
            f"{prog}.typedef_type('x', {made})",
            f"{prog}.typedef_type('x', {made}).is_complete()",
        ]
        expressions += [
            f"{prog}.function_type({made}, ())",
            f"{prog}.function_type({made}, (), True)",
            f"{prog}.function_type({made}, (TypeParameter({made}, 'a'),))",
            f"{prog}.function_type({made}, ({made},))",
        ]
        expressions += [
            f"{prog}.enum_type({tag}, {made}, {enumerators})"
            for tag in ("'e'", "None", "5")
            for enumerators in ("()", "None", "(TypeEnumerator('A', -1),)", "(('A', 1),)", "5")
        ]
        for kind in ("struct", "union", "class"):
            expressions += [
                f"{prog}.{kind}_type('s', 8, (TypeMember({made}, 'a', 8),)).members[0].offset",
                f"{prog}.{kind}_type(None, 8, (TypeMember({made}),)).members",
                f"{prog}.{kind}_type('s', 8, ({made},))",
                f"{prog}.{kind}_type('s', 8, {made})",
                f"{prog}.{kind}_type(5, 8, ())",
                f"{prog}.{kind}_type('s', None, ())",
                f"{prog}.{kind}_type('s', 8)",
                f"{prog}.{kind}_type('s', 8, (), template_parameters=(TypeTemplateParameter({made}, 'T'),))",
            ]
    assert_agreement(sample(expressions, 3000))
