# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from kdive import Program
from kdive.helpers.linux.mapletree import mt_for_each, mtree_load
from kdive.helpers.linux.mm import for_each_vma, vma_find, vma_name
from kdive.helpers.linux.pid import find_task

pytestmark = pytest.mark.lab


def ranges(process: dict[str, Any]) -> list[tuple[int, int]]:
    """Get the areas that the guest showed in /proc/PID/maps; the last one is not the process's own."""
    spans = [line.split()[0].split("-") for line in process["maps"] if "[vsyscall]" not in line]
    return [(int(start, 16), int(end, 16)) for start, end in spans]


def stable_processes(truth: dict[str, Any]) -> list[dict[str, Any]]:
    return [p for p in truth["processes"] if p["pid"] != truth["observer_pid"] and p["maps"]]


def test_areas_of_memory_are_those_the_guest_showed(prog: Program, truth: dict[str, Any]) -> None:
    processes = stable_processes(truth)
    assert len(processes) >= 5
    for process in processes:
        mm = find_task(prog, process["pid"]).mm
        tree = mm.mm_mt.address_of_()
        assert [(first, last + 1) for first, last, _ in mt_for_each(tree)] == ranges(process)
        assert [(v.vm_start.value_(), v.vm_end.value_()) for v in for_each_vma(mm)] == ranges(
            process
        )


def test_looking_up_the_ends_of_areas_and_the_gaps(prog: Program, truth: dict[str, Any]) -> None:
    process = stable_processes(truth)[0]
    mm = find_task(prog, process["pid"]).mm
    tree = mm.mm_mt.address_of_()
    spans = ranges(process)
    starts = {start for start, _ in spans}
    for start, end in spans:
        for address in (start, end - 1):
            assert vma_find(mm, address).vm_start.value_() == start
            assert mtree_load(tree, address) == vma_find(mm, address)
        if end not in starts:
            assert not vma_find(mm, end)
    assert not vma_find(mm, 0)
    assert not mtree_load(tree, (1 << 64) - 1)


def test_areas_have_the_names_the_guest_showed(prog: Program, truth: dict[str, Any]) -> None:
    for process in stable_processes(truth):
        shown = [
            line.split(None, 5)[5].strip() if len(line.split(None, 5)) > 5 else ""
            for line in process["maps"]
        ]
        named = [vma_name(vma).decode() for vma in for_each_vma(find_task(prog, process["pid"]).mm)]
        assert named == [name for name in shown if name != "[vsyscall]"]
