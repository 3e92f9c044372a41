"""Objects at the edges of the language, against drgn: odd sizes, bit fields anywhere, absent ones everywhere."""

import itertools

import pytest

from tests.peer.peer import assert_agreement, sample

NAMES = (
    "c i u ull b1 f d e se bf ubf ri rbf pi p0 ps pc vs va vca rs ra rfa rfn rv bad rl no nos noa nop rn uni vf au lbf"
).split()


def test_protocols_of_python() -> None:
    forms = (
        "copy.copy({})|"
        "copy.deepcopy({})|pickle.dumps({})|hash({})|sorted(n for n in dir({}) if n[:2] != '__')|bool({})|"
        "'%x' % {}|'%s' % {}|'%r' % ({},)|'%.2f' % {}|vars({})|setattr({}, 'x', 5)|setattr({}, 'zz', 5)|"
        "delattr({}, 'x')|{}._private|{}.__nope__|getattr({}, 'type_')|{}.x.y|isinstance({}, int)|{} == {}|{} != {}|"
        "{}[0:1].value_()|abs({})|divmod({}, 3)|{} // 3|3 // {}|complex({})|range({})|next(iter({}))|len({})|{}[{}]|"
        "1 in {}|memoryview({})|round({}, -1)|round({}, 2)|{}()|{} @ {}|not {}|{} and 1|{} or 1|{}.__trunc__()|"
        "{}.__len__()|{}.address_of_().value_()|{}.read_().value_()|implicit_convert('int', {})|"
        "cast('unsigned char', {})|Object(prog, 'double', {})|Object(prog, 'int [3]', [{}, 1])|sizeof({})|"
        "Object.from_bytes_(prog, {}.type_, {}.to_bytes_())"
    ).split("|")
    assert_agreement(
        [
            form.replace("{}", f"prog_.{name}")
            for form in forms
            for name in NAMES
            # How many elements are read at once before one of them faults, and which object is printed.
            if (name, form) != ("ull", "{}[{}]")
        ]
    )


def test_absent_objects_in_every_operation() -> None:
    operands = "1 prog_.i prog_.no prog_.ps prog_.nos prog_.nop 1.5 prog_.d None 'a'".split()
    operators = "+ - * / % << >> & | ^ == < >=".split()
    members = (
        "x none member_('x') member_('none') subobject_('x') subobject_('[0]') subobject_('none') address_of_() "
        "read_() value_() string_() to_bytes_() format_() address_ absent_ absence_reason_ bit_offset_ "
        "bit_field_size_ type_"
    ).split()
    functions = "- + ~ not_ int float round len list bool str repr hash iter".split()
    expressions = []
    for name in ("prog_.no", "prog_.nop", "prog_.nos", "prog_.noa"):
        for operator, operand in itertools.product(operators, operands):
            expressions += [f"{name} {operator} {operand}", f"{operand} {operator} {name}"]
        expressions += [f"{function.replace('not_', 'not ')}({name})" for function in functions]
        expressions += [f"{name}.{member}" for member in members]
        expressions += [f"{name}[{index}]" for index in ("0", "5", "-1", "0:1")]
        expressions += [
            f"{function}({type_!r}, {name})"
            for function in ("cast", "reinterpret", "implicit_convert")
            for type_ in ("int", "struct point", "long", "void", "int *")
        ]
        expressions += [f"Object(prog, {name}.type_, {name})"] if name != "prog_.nos" else []
    assert_agreement([each for each in expressions if not each.startswith("iter(")])


def test_bit_fields_anywhere() -> None:
    types = {
        "unsigned char": 8,
        "int": 32,
        "unsigned int": 32,
        "unsigned long long": 64,
        "long long": 64,
    }
    types |= {"_Bool": 8, "enum color": 32, "unsigned short": 16}
    expressions = []
    for prog, (name, width), offset, size in itertools.product(
        ("prog", "be", "p32"),
        types.items(),
        (0, 1, 3, 7, 8, 9, 15, 31, 33),
        (1, 2, 5, 7, 8, 9, 13, 17, 31, 32, 33, 57, 63, 64),
    ):
        if size > width:
            continue
        place = f"bit_offset={offset}, bit_field_size={size}"
        made = f"Object.from_bytes_({prog}, {name!r}, bytes(range(7, 29)), {place})"
        expressions += [
            f"Object({prog}, {name!r}, address=0x1003, {place})",
            made,
            f"{made}.to_bytes_()",
        ]
        if offset < 9:
            member = f"TypeMember(Object({prog}, {name!r}, bit_field_size={size}), 'm', {offset})"
            type_ = f"{prog}.struct_type('s', 16, ({member},))"
            expressions += [f"Object({prog}, {type_}, address=0x1003).m.to_bytes_()"]
            expressions += [f"Object({prog}, {type_}, {{'m': {int(size > 1)}}}).to_bytes_()"]
    assert_agreement(sample(expressions, 8000))


@pytest.mark.parametrize("prog", ["prog", "be"])
def test_numbers_of_odd_sizes(prog: str) -> None:
    expressions = []
    for size, signed in itertools.product(
        (1, 2, 3, 5, 7, 8, 9, 12, 16, 17, 24, 32, 33, 64), (True, False)
    ):
        type_ = f"{prog}.int_type('w', {size}, {signed})"
        bits = size * 8
        values = [5, -5, 2**bits - 1, 2 ** (bits - 1), 2**bits + 3, -(2**bits), 1.5]
        made = [f"Object({prog}, {type_}, {value})" for value in values]
        made += [f"Object({prog}, {type_}, address=0x1000)"]
        made += [f"Object.from_bytes_({prog}, {type_}, bytes(range(100)))"]
        forms = [
            "repr({})",
            "{}.value_()",
            "{}.to_bytes_()",
            "bool({})",
            "int({})",
            "operator.index({})",
        ]
        # Wide integers are printed in decimal up to 128 bits: docs/differences.md.
        forms += ["str({})"] if not 64 < bits <= 128 else []
        expressions += [form.replace("{}", each) for form in forms for each in made]
        expressions += [
            f"Object.from_bytes_({prog}, {type_}, bytes({size - 1}))",
            f"sizeof({type_})",
            type_,
        ]
    for size in (1, 2, 4, 8):
        for type_ in (
            f"{prog}.bool_type('w', {size})",
            f"{prog}.pointer_type({prog}.type('int'), {size})",
        ):
            expressions += [type_, f"sizeof({type_})", f"repr(Object({prog}, {type_}, 1))"]
            expressions += [
                f"Object({prog}, {type_}, 1).to_bytes_()",
                f"Object({prog}, {type_}, address=0x1000).value_()",
            ]
    for size in (1, 3, 4, 6, 8, 10, 12, 16):
        type_ = f"{prog}.float_type('w', {size})"
        expressions += [type_, f"Object({prog}, {type_}, address=0x1000).to_bytes_()"]
    for size in (4, 8):
        type_ = f"{prog}.float_type('w', {size})"
        numbers = ("5", "1.1", "float('inf')", "float('nan')", "1e400", "-0.0", "5e-324")
        made = [f"Object({prog}, {type_}, {number})" for number in numbers]
        expressions += [
            form.format(each) for form in ("{}", "{}.to_bytes_()", "bool({})") for each in made
        ]
    assert_agreement(expressions)


def test_members_at_odd_offsets() -> None:
    expressions = []
    for offset in ("0", "8", "64", "65", "100", "2**63-1", "2**63", "2**64-8"):
        member = f"TypeMember(prog.type('int'), 'n', {offset})"
        type_ = f"prog.struct_type('s', 16, ({member},))"
        inner = f"prog.struct_type('t', 16, (TypeMember({type_}, None, 0),))"
        expressions += [
            member,
            f"{member}.bit_offset",
            f"{member}.offset",
            type_,
            f"offsetof({type_}, 'n')",
        ]
        expressions += [f"container_of(Object(prog, 'int *', 0x1010), {type_}, 'n').value_()"]
        expressions += [f"Object(prog, {each}, address=0x1010).n" for each in (type_, inner)]
        expressions += [f"Object(prog, {type_}, {{'n': 1}})"] if offset in ("0", "8", "64") else []
    for argument in ("be.type('int')", "Object(be, 'int')", "be.type('struct point')"):
        for parts in (f"TypeMember({argument}, 'n')", f"TypeMember({argument}, None, 3)"):
            expressions += [f"prog.struct_type('s', 16, ({parts},))"]
        expressions += [f"prog.function_type(prog.void_type(), (TypeParameter({argument}, 'n'),))"]
    assert_agreement(expressions)
