"""Types made by hand, and their parts."""

import pytest

from kdive import (
    Language,
    Object,
    PrimitiveType,
    Program,
    Qualifiers,
    TypeEnumerator,
    TypeKind,
    TypeKindSet,
    TypeMember,
    TypeParameter,
    TypeTemplateParameter,
    host_platform,
)


@pytest.fixture
def prog() -> Program:
    return Program(host_platform)


def test_attributes(prog: Program) -> None:
    i = prog.int_type("int", 4, True)
    assert (i.kind, i.primitive, i.name, i.size) == (TypeKind.INT, PrimitiveType.C_INT, "int", 4)
    assert (i.is_signed, i.byteorder, i.qualifiers) == (True, "little", Qualifiers.NONE)
    assert i.prog is prog
    assert i.language is Language.C
    pointer = prog.pointer_type(i)
    assert (pointer.kind, pointer.size, pointer.type.name) == (TypeKind.POINTER, 8, "int")
    array = prog.array_type(i, 3)
    assert (array.length, array.type.name, array.type_name()) == (3, "int", "int [3]")
    with pytest.raises(AttributeError, match="int type does not have a tag"):
        _ = i.tag
    with pytest.raises(AttributeError, match="array type does not have a size"):
        _ = array.size
    with pytest.raises(AttributeError, match="int type does not have members"):
        _ = i.members


def test_repr(prog: Program) -> None:
    i = prog.int_type("int", 4, True)
    assert repr(i) == "prog.int_type(name='int', size=4, is_signed=True)"
    big = prog.float_type("f", 4, "big", qualifiers=Qualifiers.CONST)
    assert repr(big) == (
        "prog.float_type(name='f', size=4, byteorder='big', qualifiers=<Qualifiers.CONST: 1>)"
    )
    function = prog.function_type(i, (TypeParameter(i, "x"), TypeParameter(i)), True)
    assert repr(function) == (
        "prog.function_type(type=prog.int_type(name='int', size=4, is_signed=True), "
        "parameters=(TypeParameter(prog.type('int'), name='x'), "
        "TypeParameter(prog.type('int'))), is_variadic=True)"
    )
    struct = prog.struct_type(
        "a", 4, (TypeMember(i, "x"),), template_parameters=(TypeTemplateParameter(i, "T"),)
    )
    assert repr(struct) == (
        "prog.struct_type(tag='a', size=4, "
        "members=(TypeMember(prog.type('int'), name='x', bit_offset=0),), "
        "template_parameters=(TypeTemplateParameter(prog.type('int'), name='T'),))"
    )
    assert str(prog.struct_type(None, 4, (TypeMember(i, "x"),))) == "struct {\n\tint x;\n}"


def test_incomplete(prog: Program) -> None:
    declared = prog.struct_type("a")
    assert (declared.size, declared.members, declared.is_complete()) == (None, None, False)
    assert prog.enum_type("e").enumerators is None
    with pytest.raises(ValueError, match="incomplete struct type must not have size"):
        prog.struct_type("a", 4)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="struct type must have size"):
        prog.struct_type("a", None, ())  # type: ignore[call-overload]


def test_members(prog: Program) -> None:
    i = prog.type("int")
    bits = TypeMember(Object(prog, i, bit_field_size=3), "bits", 33)
    assert (bits.bit_field_size, bits.bit_offset, bits.type.name) == (3, 33, "int")
    assert repr(bits) == (
        "TypeMember(Object(prog, 'int', bit_field_size=3), name='bits', bit_offset=33)"
    )
    with pytest.raises(ValueError, match="not byte-aligned"):
        _ = bits.offset
    inner = prog.union_type(None, 4, (TypeMember(i, "x"),))
    outer = prog.struct_type("o", 12, (TypeMember(i, "first"), TypeMember(inner, None, 64)))
    assert outer.member("x").offset == 8
    assert outer.has_member("x")
    assert not outer.has_member("y")
    with pytest.raises(LookupError, match="'struct o' has no member 'y'"):
        outer.member("y")
    with pytest.raises(TypeError, match="'int' is not a structure, union, or class"):
        i.member("y")


def test_lazy_members_are_asked_for_when_they_are_needed(prog: Program) -> None:
    calls = []

    def member_type() -> object:
        calls.append(1)
        return prog.type("int")

    member = TypeMember(member_type, "x")  # type: ignore[arg-type]
    struct = prog.struct_type("a", 4, (member,))
    assert not calls
    assert Object(prog, struct, {"x": 5}).x.value_() == 5
    assert member.type.name == "int"
    wrong = TypeMember(lambda: 5, "x")  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="callable must return Object or Type"):
        _ = wrong.type
    with pytest.raises(ZeroDivisionError):
        _ = TypeMember(lambda: 1 // 0, "x").type  # type: ignore[arg-type,return-value]


def test_enumerators(prog: Program) -> None:
    low = TypeEnumerator("LOW", -1)
    name, value = low
    assert (name, value, low[0], low[-1], len(low)) == ("LOW", -1, "LOW", -1, 2)
    assert low == TypeEnumerator("LOW", -1) != TypeEnumerator("LOW", 1)
    assert repr(low) == "TypeEnumerator('LOW', -1)"
    with pytest.raises(IndexError):
        low[2]
    enum = prog.enum_type("e", prog.type("int"), (low,))
    assert str(Object(prog, enum, -1)) == "(enum e)LOW"
    assert enum.enumerators == (low,)


def test_kind_sets() -> None:
    ints = TypeKindSet([TypeKind.INT, TypeKind.VOID])
    assert repr(ints) == "TypeKindSet({TypeKind.VOID, TypeKind.INT})"
    assert repr(TypeKindSet()) == "TypeKindSet()"
    assert list(ints) == [TypeKind.VOID, TypeKind.INT]
    assert TypeKind.INT in ints
    assert TypeKind.BOOL not in ints
    assert ints == {TypeKind.INT, TypeKind.VOID}
    assert ints > {TypeKind.INT}
    assert ints | {TypeKind.BOOL} == {TypeKind.BOOL} | ints
    assert ints - {TypeKind.INT} == TypeKindSet([TypeKind.VOID])
    assert ints ^ ints == TypeKindSet()
    assert hash(ints) == hash(TypeKindSet(ints))
    assert ints.isdisjoint([TypeKind.BOOL])
    with pytest.raises(TypeError, match="elements must be TypeKind"):
        TypeKindSet([1])  # type: ignore[list-item]
