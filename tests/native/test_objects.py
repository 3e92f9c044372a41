"""Objects of a program made by hand: what they hold, their parts and operators."""

import math

import pytest

from kdive import (
    NULL,
    AbsenceReason,
    FaultError,
    Object,
    ObjectAbsentError,
    OutOfBoundsError,
    Program,
    Type,
    TypeMember,
    cast,
    container_of,
    host_platform,
    implicit_convert,
    offsetof,
    reinterpret,
    sizeof,
)

BYTES = bytes(range(256))


@pytest.fixture
def prog() -> Program:
    prog = Program(host_platform)
    prog.add_memory_segment(
        0x1000,
        len(BYTES),
        lambda _address, count, offset, _physical: BYTES[offset : offset + count],
    )
    return prog


@pytest.fixture
def point(prog: Program) -> Type:
    i = prog.type("int")
    return prog.struct_type("point", 8, (TypeMember(i, "x"), TypeMember(i, "y", 32)))


@pytest.fixture
def origin(prog: Program, point: Type) -> Object:
    return Object(prog, point, address=0x1000)


def test_reference(prog: Program, origin: Object) -> None:
    assert origin.prog_ is prog
    assert origin.address_ == 0x1000
    assert origin.bit_offset_ == 0
    assert origin.bit_field_size_ is None
    assert not origin.absent_
    assert repr(origin) == "Object(prog, 'struct point', address=0x1000)"
    assert str(origin) == "(struct point){\n\t.x = (int)50462976,\n\t.y = (int)117835012,\n}"
    assert origin.value_() == {"x": 0x03020100, "y": 0x07060504}
    assert origin.to_bytes_() == BYTES[:8]


def test_members(origin: Object) -> None:
    assert repr(origin.y) == "Object(prog, 'int', address=0x1004)"
    assert origin.address_of_().y.value_() == 0x07060504
    assert origin.member_("x").value_() == 0x03020100
    assert origin.subobject_("y").address_ == 0x1004
    assert {"x", "y", "value_"} <= set(dir(origin))
    with pytest.raises(AttributeError, match="'struct point' has no member 'z'"):
        _ = origin.z
    with pytest.raises(LookupError, match="'struct point' has no member 'z'"):
        origin.member_("z")
    with pytest.raises(AttributeError, match="has no attribute 'z'"):
        _ = origin.x.z
    with pytest.raises(TypeError, match="'int' is not a structure, union, or class"):
        origin.x.member_("z")


def test_a_member_with_an_underscore_at_its_end_is_found(prog: Program) -> None:
    i = prog.type("int")
    odd = prog.struct_type("odd", 8, (TypeMember(i, "x_"), TypeMember(i, "value_", 32)))
    obj = Object(prog, odd, {"x_": 1, "value_": 2})
    assert obj.x_.value_() == 1
    assert obj.member_("value_").value_() == 2


def test_values(prog: Program, point: Type) -> None:
    assert repr(Object(prog, "int", 5)) == "Object(prog, 'int', value=5)"
    assert repr(Object(prog, "_Bool", 5)) == "Object(prog, '_Bool', value=True)"
    assert repr(Object(prog, "void *", 16)) == "Object(prog, 'void *', value=0x10)"
    assert repr(Object(prog, value=1.5)) == "Object(prog, 'double', value=1.5)"
    assert repr(Object(prog, value=1 << 31)) == "Object(prog, 'long', value=2147483648)"
    assert Object(prog, "int", 1 << 70).value_() == 0
    assert Object(prog, "unsigned char", -1).value_() == 255
    assert Object(prog, "int", value=300, bit_field_size=3).value_() == -4
    assert Object(prog, "int [3]", [1, 2]).value_() == [1, 2, 0]
    assert Object(prog, "char [3]", b"abc").string_() == b"abc"
    assert Object(prog, point, {"y": 7}).value_() == {"x": 0, "y": 7}
    with pytest.raises(LookupError, match="no member 'z'"):
        Object(prog, point, {"z": 7})
    with pytest.raises(ValueError, match="too many items"):
        Object(prog, "int [1]", [1, 2])
    with pytest.raises(TypeError):
        Object(prog, "int", "five")


def test_contradictions(prog: Program) -> None:
    with pytest.raises(ValueError, match="address and value"):
        Object(prog, "int", 5, address=3)
    with pytest.raises(ValueError, match="value and absence reason"):
        Object(prog, "int", 5, absence_reason=AbsenceReason.OTHER)
    with pytest.raises(ValueError, match="value cannot have bit offset"):
        Object(prog, "int", 5, bit_offset=1)
    with pytest.raises(ValueError, match="reference must have type"):
        Object(prog, address=5)
    with pytest.raises(ValueError, match="absent object must have type"):
        Object(prog)
    with pytest.raises(OverflowError):
        Object(prog, "int", address=-1)
    with pytest.raises(ValueError, match="different program"):
        Object(Program(host_platform), prog.type("int"), 1)


def test_absent(prog: Program) -> None:
    absent = Object(prog, "int", absence_reason=AbsenceReason.OPTIMIZED_OUT)
    assert absent.absent_
    assert absent.absence_reason_ is AbsenceReason.OPTIMIZED_OUT
    assert repr(absent) == ("Object(prog, 'int', absence_reason=AbsenceReason.OPTIMIZED_OUT)")
    with pytest.raises(ObjectAbsentError):
        absent.value_()


def test_operators(prog: Program) -> None:
    five = Object(prog, "int", 5)
    assert repr(five + 1) == repr(1 + five) == "Object(prog, 'int', value=6)"
    assert repr(five + 2.5) == "Object(prog, 'double', value=7.5)"
    assert (-five / 2).value_() == -2
    assert (-five % 2).value_() == -1
    assert (2 << five).value_() == 64
    assert (~five).value_() == -6
    assert (five - Object(prog, "unsigned int", 6)).value_() == 0xFFFFFFFF
    assert five == 5
    assert five != 6
    assert 4 < five <= 5.0
    assert five != "five"
    assert Object(prog, "unsigned int", 1) < -1
    assert range(10)[five] == 5
    assert hex(five) == "0x5"
    assert (int(five), float(five), bool(five)) == (5, 5.0, True)
    with pytest.raises(TypeError):
        hash(five)
    with pytest.raises(TypeError):
        five + "five"  # type: ignore[operator]
    with pytest.raises(ZeroDivisionError):
        five / 0


def test_rounding(prog: Program) -> None:
    half = Object(prog, "double", 2.5)
    assert (round(half), math.floor(half), math.ceil(half), math.trunc(half)) == (2, 2, 3, 2)
    assert round(Object(prog, "double", 2.567), 1).value_() == 2.6
    with pytest.raises(TypeError, match=r"cannot round 'int \*'"):
        round(NULL(prog, "int *"))


def test_elements(prog: Program) -> None:
    array = Object(prog, "unsigned char [3]", address=0x1001)
    assert len(array) == 3
    assert [element.value_() for element in array] == [1, 2, 3]
    assert [element.value_() for element in reversed(array)] == [3, 2, 1]
    assert array[5].value_() == 6
    assert array[-1].address_ == 0x1000
    assert repr(array[1:3]) == "Object(prog, 'unsigned char [2]', address=0x1002)"
    pointer = Object(prog, "unsigned char *", 0x1001)
    assert pointer[4].value_() == 5
    assert repr(pointer[:2]) == "Object(prog, 'unsigned char [2]', address=0x1001)"
    with pytest.raises(TypeError, match="slice stop must be given"):
        pointer[:]
    with pytest.raises(ValueError, match="step must be 1"):
        array[::2]
    with pytest.raises(TypeError, match="must be integer or slice"):
        array["a"]  # type: ignore[call-overload]
    with pytest.raises(OutOfBoundsError):
        array.read_()[3]
    with pytest.raises(TypeError, match=r"'unsigned char \*' has no len\(\)"):
        len(pointer)
    with pytest.raises(TypeError, match="'unsigned char' is not iterable"):
        iter(array[0])


def test_faults(prog: Program) -> None:
    nowhere = Object(prog, "int", address=0x2000)
    with pytest.raises(FaultError) as error:
        nowhere.value_()
    assert error.value.address == 0x2000
    assert str(error.value).endswith(": 0x2000")


def test_conversions(prog: Program, point: Type, origin: Object) -> None:
    assert repr(cast("long", Object(prog, "int", -1))) == "Object(prog, 'long', value=-1)"
    assert reinterpret("unsigned int", Object(prog, "int", -1)).value_() == 0xFFFFFFFF
    assert implicit_convert("char", Object(prog, "int", 257)).value_() == 1
    pointer = origin.y.address_of_()
    assert container_of(pointer, point, "y").value_() == 0x1000
    assert offsetof(point, "y") == 4
    assert sizeof(origin) == sizeof(point) == 8
    assert NULL(prog, "int *").value_() == 0
    with pytest.raises(TypeError, match="cannot cast to 'struct point'"):
        cast(point, Object(prog, "int", 1))
    with pytest.raises(TypeError, match="incompatible type"):
        implicit_convert("char *", Object(prog, "int", 1))
    with pytest.raises(TypeError, match="bit field"):
        sizeof(Object(prog, "int", 1, bit_field_size=3))


def test_from_bytes(prog: Program) -> None:
    assert Object.from_bytes_(prog, "unsigned int", b"\1\2\0\0").value_() == 0x201
    assert Object.from_bytes_(prog, "unsigned int", bytearray(8), bit_offset=4).value_() == 0
    field = Object.from_bytes_(prog, "unsigned int", b"\xf0\0\0\0", bit_offset=4, bit_field_size=3)
    assert field.value_() == 7
    with pytest.raises(ValueError, match="too small"):
        Object.from_bytes_(prog, "int", b"\1")
