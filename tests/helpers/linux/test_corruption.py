# SPDX-License-Identifier: Apache-2.0
"""A real dump in which single words were overwritten: every walk that meets one must end, and say what is wrong."""

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

import kdive
from kdive import FaultError, Object, Program
from kdive.helpers import ValidationError
from kdive.helpers.linux import fs, irq, slab
from kdive.helpers.linux.cgroup import css_for_each_child, css_for_each_descendant_pre
from kdive.helpers.linux.ioport import for_each_resource
from kdive.helpers.linux.kernfs import kernfs_children, kernfs_path
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.mm import for_each_vma, mm_cmdline, vma_find
from kdive.helpers.linux.module import find_module, for_each_module
from kdive.helpers.linux.pid import find_task, for_each_task
from kdive.helpers.linux.printk import get_dmesg
from kdive.helpers.linux.sysfs import kobject_path

pytestmark = pytest.mark.lab

Break = Callable[[Object | int, int], Program]


@pytest.fixture
def overwrite(prog: Program) -> Break:
    """Open the dump once more with one word of eight bytes overwritten."""
    import lab

    def overwrite(place: Object | int, word: int) -> Program:
        address = place.address_of_().value_() if isinstance(place, Object) else place
        data = word.to_bytes(8, "little")
        target = lab.target("idle")
        broken = kdive.program_from_core_dump(target.dumps["elf"])
        broken.load_debug_info([target.vmlinux])

        def read(_address: int, count: int, offset: int, _physical: bool) -> bytes:
            return data[offset : offset + count]

        broken.add_memory_segment(address, 8, read)
        assert broken.read_u64(address) == word
        assert prog.read_u64(address) != word
        return broken

    return overwrite


def exhaust(iterator: Any) -> None:
    deque(iterator, maxlen=0)


def same(prog: Program, obj: Object) -> Object:
    """Get the same object in another program."""
    return Object(prog, obj.type_.type_name(), obj.value_())


def test_a_cycle_in_the_list_of_modules(prog: Program, overwrite: Break) -> None:
    modules = list(for_each_module(prog))
    broken = overwrite(modules[-1].list.next, modules[2].list.address_of_().value_())
    with pytest.raises(ValidationError, match="runs into a cycle"):
        exhaust(for_each_module(broken))
    # What is found before the cycle is closed is still found.
    assert find_module(broken, modules[5].name.string_()).value_() == modules[5].value_()


def test_a_cycle_in_a_list_of_free_objects(prog: Program, overwrite: Break) -> None:
    cache, partial = next(
        (cache, partial)
        for cache in slab.for_each_slab_cache(prog)
        for partial in list_for_each_entry(
            "struct slab", cache.node[0].partial.address_of_(), "slab_list"
        )
        if partial.objects.value_() - partial.inuse.value_() >= 2
    )
    first = partial.freelist.value_()
    pointer_place = first + cache.offset.value_()
    swapped = int.from_bytes(pointer_place.to_bytes(8, "little"), "big")
    broken = overwrite(pointer_place, first ^ cache.random.value_() ^ swapped)
    with pytest.raises(slab.SlabFreelistCycleError, match="runs into a cycle"):
        exhaust(slab.slab_cache_for_each_allocated_object(same(broken, cache), "void"))
    info = slab.slab_object_info(broken, first)
    assert info is not None
    assert (info.address, info.allocated) == (first, None)


def test_parents_that_form_a_circle(prog: Program, overwrite: Break) -> None:
    child = next(c for c in kernfs_children(prog["sysfs_root_kn"]) if c.name.string_() == b"class")
    grandchild = next(iter(kernfs_children(child)))
    broken = overwrite(child.parent, grandchild.value_())
    with pytest.raises(ValidationError, match="nested deeper than"):
        kernfs_path(same(broken, grandchild))

    dentry = find_task(prog, 1).mm.exe_file.f_path.dentry.read_()
    broken = overwrite(dentry.d_parent.d_parent, dentry.value_())
    with pytest.raises(ValidationError, match="more than 4096"):
        fs.dentry_path(same(broken, dentry))
    with pytest.raises(ValidationError, match="more than 4096"):
        fs.d_path(find_task(broken, 1).mm.exe_file.f_path)

    kobject = find_module(prog, "btrfs").mkobj.kobj
    broken = overwrite(kobject.parent, kobject.address_of_().value_())
    with pytest.raises(ValidationError, match="nested deeper than"):
        kobject_path(same(broken, kobject.address_of_()))


def test_a_cycle_among_cgroups(prog: Program, overwrite: Break) -> None:
    root = prog["cgrp_dfl_root"].cgrp.self
    broken = overwrite(root.children.next, root.children.next.value_() + 0x10)
    with pytest.raises((ValidationError, FaultError)):
        exhaust(css_for_each_child(broken["cgrp_dfl_root"].cgrp.self.address_of_()))
    looping = overwrite(root.children.next, root.sibling.address_of_().value_())
    looping_root = looping["cgrp_dfl_root"].cgrp.self.address_of_()
    with pytest.raises((ValidationError, FaultError)):
        exhaust(css_for_each_descendant_pre(looping_root))


def test_a_log_with_an_impossible_size(prog: Program, overwrite: Break) -> None:
    broken = overwrite(prog["prb"].desc_ring.count_bits, 60)
    with pytest.raises(ValueError, match="implausible sizes"):
        get_dmesg(broken)


def test_a_damaged_tree_of_memory_areas(prog: Program, overwrite: Break) -> None:
    mm = find_task(prog, 1).mm
    root = mm.mm_mt.ma_root.value_()
    node = root & ~0xFF
    areas = list(for_each_vma(mm))
    # The first pivot of the root, which is after the pointer to the parent
    broken = overwrite(node + 8, (1 << 64) - 2)
    with pytest.raises(ValidationError, match=r"has pivot|higher than"):
        exhaust(for_each_vma(find_task(broken, 1).mm))
    # The first slot of the root, after its pivots, leads back to the root.
    slot = node + prog.type("struct maple_arange_64").member("slot").offset
    assert slot
    looping = overwrite(slot, root)
    with pytest.raises(ValidationError):
        exhaust(for_each_vma(find_task(looping, 1).mm))
    with pytest.raises(ValidationError):
        vma_find(find_task(looping, 1).mm, areas[0].vm_start)


def test_a_damaged_table_of_process_ids(prog: Program, overwrite: Break) -> None:
    head = prog["init_pid_ns"].idr.idr_rt.xa_head.value_()
    broken = overwrite(prog.type("struct xa_node").member("slots").offset + head - 2, head)
    with pytest.raises(ValidationError, match="has shift"):
        exhaust(for_each_task(broken))


def test_sizes_that_can_not_be(prog: Program, overwrite: Break) -> None:
    task = find_task(prog, 1)
    broken = overwrite(task.files.fdt.max_fds, 0x7FFFFFFF)
    with pytest.raises(ValidationError, match="implausible size"):
        exhaust(fs.for_each_file(find_task(broken, 1)))
    broken = overwrite(task.mm.arg_end, 1 << 46)
    with pytest.raises(ValidationError, match="implausible size"):
        mm_cmdline(find_task(broken, 1).mm)


def test_more_chains_that_run_in_circles(prog: Program, overwrite: Break) -> None:
    desc = irq.irq_to_desc(prog, 9)
    action = desc.action.read_()
    broken = overwrite(action.next, action.value_())
    with pytest.raises(ValidationError, match="more than 4096 actions"):
        irq.irq_desc_action_names(irq.irq_to_desc(broken, 9))
    resources = list(for_each_resource(prog["iomem_resource"].address_of_()))
    broken = overwrite(resources[-1].sibling, resources[1].value_())
    with pytest.raises(ValidationError, match="run into a cycle"):
        exhaust(for_each_resource(broken["iomem_resource"].address_of_()))


def test_a_pointer_to_nowhere_names_the_address(prog: Program, overwrite: Break) -> None:
    modules = list(for_each_module(prog))
    broken = overwrite(modules[3].list.next, 0xDEAD000000000100)
    with pytest.raises(FaultError) as error:
        exhaust(for_each_module(broken))
    assert error.value.address == 0xDEAD000000000100
