# SPDX-License-Identifier: Apache-2.0
import enum
from typing import Any

import pytest

from kdive import Program
from kdive.helpers.common.type import enum_type_to_class, member_at_offset, typeof_member

# Names of types are looked up in the default program.
pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("idle")]


@pytest.mark.parametrize(
    ("type", "offset", "text"),
    [
        ("struct list_head", 0, "next"),
        ("struct list_head", 8, "prev"),
        ("struct list_head", 4, "next+0x4"),
        ("struct list_head", 16, "<end>"),
        ("struct list_head", 17, "<past end>"),
        ("struct sigpending", 8, "list.prev"),
        ("struct sigpending", 16, "signal.sig[0]"),
        ("struct autogroup", 4, "<padding between kref and tg>"),
    ],
)
def test_the_member_at_an_offset(type: str, offset: int, text: str) -> None:
    assert member_at_offset(type, offset) == text


def test_all_members_of_a_union_are_named() -> None:
    assert member_at_offset("union sigval", 0) == "sival_int or sival_ptr"
    assert member_at_offset("union sigval", 4) == "sival_ptr+0x4"


def test_only_compound_types_have_members() -> None:
    with pytest.raises(TypeError, match="must be structure, union, class, or array type"):
        member_at_offset("int", 0)
    with pytest.raises(TypeError, match="is not a structure, union, or class"):
        typeof_member("int", "x")


def test_the_type_of_a_member_by_its_path(prog: Program) -> None:
    assert typeof_member("struct task_struct", "comm").type_name() == "char [16]"
    assert (
        typeof_member(prog.type("struct sigpending"), "signal.sig[0]").type_name()
        == "unsigned long"
    )
    with pytest.raises(LookupError):
        typeof_member("struct list_head", "middle")


def test_an_enumerated_type_becomes_a_class(prog: Program) -> None:
    made: Any = enum_type_to_class(
        prog.type("enum pid_type"), "PidType", exclude=["PIDTYPE_MAX"], prefix="PIDTYPE_"
    )
    assert issubclass(made, enum.IntEnum)
    assert [(m.name, m.value) for m in made] == [("PID", 0), ("TGID", 1), ("PGID", 2), ("SID", 3)]
