# SPDX-License-Identifier: Apache-2.0
"""BPF programs, maps, links and type information (kernel/bpf/)."""

import itertools
from collections.abc import Iterator
from operator import index

from kdive import IntegerLike, Object, Program, cast
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.idr import idr_find, idr_for_each_entry
from kdive.helpers.linux.list import hlist_for_each_entry, list_for_each_entry

__all__ = (
    "bpf_btf_for_each",
    "bpf_link_for_each",
    "bpf_map_by_id",
    "bpf_map_for_each",
    "bpf_prog_by_id",
    "bpf_prog_for_each",
    "bpf_prog_used_maps",
    "cgroup_bpf_prog_for_each",
    "cgroup_bpf_prog_for_each_effective",
)

# The kernel attaches at most 64 programs to one hook of a cgroup, and inherits along the path.
_MAX_EFFECTIVE_PROGS = 1 << 16


def _for_each(prog: Program, idr: str, type: str) -> Iterator[Object]:
    for _, entry in idr_for_each_entry(prog[idr].address_of_(), type):
        yield entry


@takes_program_or_default
def bpf_btf_for_each(prog: Program) -> Iterator[Object]:
    """Iterate over the type information that is loaded: ``btf_idr``.

    :return: Iterator of ``struct btf *`` objects.
    """
    return _for_each(prog, "btf_idr", "struct btf")


@takes_program_or_default
def bpf_link_for_each(prog: Program) -> Iterator[Object]:
    """Iterate over the links: ``link_idr``.

    :return: Iterator of ``struct bpf_link *`` objects.
    """
    return _for_each(prog, "link_idr", "struct bpf_link")


@takes_program_or_default
def bpf_map_for_each(prog: Program) -> Iterator[Object]:
    """Iterate over the maps: ``map_idr``.

    :return: Iterator of ``struct bpf_map *`` objects.
    """
    return _for_each(prog, "map_idr", "struct bpf_map")


@takes_program_or_default
def bpf_prog_for_each(prog: Program) -> Iterator[Object]:
    """Iterate over the programs: ``prog_idr``.

    :return: Iterator of ``struct bpf_prog *`` objects.
    """
    return _for_each(prog, "prog_idr", "struct bpf_prog")


@takes_program_or_default
def bpf_prog_by_id(prog: Program, id: IntegerLike) -> Object:
    """Find a program by its ID.

    :param id: ID of the program.
    :return: ``struct bpf_prog *``, ``NULL`` if there is none.
    """
    return cast("struct bpf_prog *", idr_find(prog["prog_idr"].address_of_(), id))


@takes_program_or_default
def bpf_map_by_id(prog: Program, id: IntegerLike) -> Object:
    """Find a map by its ID.

    :param id: ID of the map.
    :return: ``struct bpf_map *``, ``NULL`` if there is none.
    """
    return cast("struct bpf_map *", idr_find(prog["map_idr"].address_of_(), id))


def bpf_prog_used_maps(bpf_prog: Object) -> Iterator[Object]:
    """Iterate over the maps that a program uses.

    :param bpf_prog: ``struct bpf_prog *``
    :return: Iterator of ``struct bpf_map *`` objects.
    """
    aux = bpf_prog.aux.read_()
    maps = aux.used_maps.read_()
    for number in range(aux.used_map_cnt.value_()):
        yield maps[number].read_()


def cgroup_bpf_prog_for_each(cgrp: Object, bpf_attach_type: IntegerLike) -> Iterator[Object]:
    """Iterate over the programs that are attached to a cgroup itself.

    :param cgrp: ``struct cgroup *``
    :param bpf_attach_type: ``enum cgroup_bpf_attach_type``, ``enum bpf_attach_type`` before Linux 5.15
    :return: Iterator of ``struct bpf_prog *`` objects.
    """
    head = cgrp.bpf.progs[index(bpf_attach_type)].address_of_()
    if head.prog_.type("struct bpf_prog_list").member("node").type.unaliased().tag == "list_head":
        entries = list_for_each_entry("struct bpf_prog_list", head, "node")
    else:
        # Since Linux 6.0 ("bpf: convert cgroup_bpf.progs to hlist")
        entries = hlist_for_each_entry("struct bpf_prog_list", head, "node")
    for entry in entries:
        program = entry.prog.read_()
        # What is attached by a link is found through it.
        yield program or entry.link.link.prog.read_()


def cgroup_bpf_prog_for_each_effective(
    cgrp: Object, bpf_attach_type: IntegerLike
) -> Iterator[Object]:
    """Iterate over the programs that run for a cgroup, those it inherits included.

    :param cgrp: ``struct cgroup *``
    :param bpf_attach_type: ``enum cgroup_bpf_attach_type``, ``enum bpf_attach_type`` before Linux 5.15
    :return: Iterator of ``struct bpf_prog *`` objects.
    """
    array = cgrp.bpf.effective[index(bpf_attach_type)].read_()
    if not array:
        return
    prog = cgrp.prog_
    # Removed programs are replaced by one that does nothing, "dummy_bpf_prog".
    dummy = prog["dummy_bpf_prog"].prog.address_of_() if "dummy_bpf_prog" in prog else None
    items = array.items + 0
    for number in itertools.count():
        program = items[number].prog.read_()
        if not program or number >= _MAX_EFFECTIVE_PROGS:
            return
        if dummy is None or program != dummy:
            yield program
