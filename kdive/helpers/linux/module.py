# SPDX-License-Identifier: Apache-2.0
"""Loadable kernel modules (``struct module``, include/linux/module.h)."""

from collections.abc import Iterator
from operator import index

from kdive import NULL, IntegerLike, Object, Program, container_of
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.panic import taint_letters
from kdive.helpers.linux.rbtree import rb_find

__all__ = (
    "address_to_module",
    "find_module",
    "for_each_module",
    "module_address_regions",
    "module_percpu_region",
    "module_taints",
)


@takes_program_or_default
def for_each_module(prog: Program) -> Iterator[Object]:
    """Iterate over the modules on the list ``modules``, the one loaded last first.

    :return: Iterator of ``struct module *`` objects.
    """
    return list_for_each_entry("struct module", prog["modules"].address_of_(), "list")


@takes_program_or_default
def find_module(prog: Program, name: str | bytes) -> Object:
    """Find a module by name.

    :param name: Name, with underscores as ``/proc/modules`` shows it.
    :return: ``struct module *``, ``NULL`` if it isn't loaded.
    """
    wanted = name.encode() if isinstance(name, str) else name
    for module in for_each_module(prog):
        if module.name.string_() == wanted:
            return module
    return NULL(prog, "struct module *")


def module_address_regions(mod: Object) -> list[tuple[int, int]]:
    """Get the address ranges of a module, without its per-CPU memory (`module_percpu_region()`).

    :param mod: ``struct module *``
    :return: (start address, size in bytes) of each range that is not empty.
    """
    if mod.prog_.type("struct module").has_member("mem"):
        # "module: replace module_layout with module_memory" (Linux 6.4)
        regions = [(region.base, region.size) for region in mod.mem]
    else:
        layouts = [mod.core_layout, mod.init_layout]
        if mod.prog_.type("struct module").has_member("data_layout"):
            # "module: Introduce data_layout" (Linux 5.18), with CONFIG_ARCH_WANTS_MODULES_DATA_IN_VMALLOC
            layouts.append(mod.data_layout)
        regions = [(layout.base, layout.size) for layout in layouts]
    return [(base.value_(), size.value_()) for base, size in regions if size and base]


def module_percpu_region(mod: Object) -> tuple[int, int]:
    """Get the per-CPU memory of a module.

    :param mod: ``struct module *``
    :return: (address, as a per-CPU address, and size in bytes); (0, 0) if it has none.
    """
    try:
        return mod.percpu.value_(), mod.percpu_size.value_()
    except AttributeError:
        # Without CONFIG_SMP there is no such memory.
        return 0, 0


def module_taints(module: Object) -> str:
    """Get the flags that a module taints the kernel with, as the letters of ``/proc/modules``.

    :param module: ``struct module *``
    :return: Letters without spaces, empty if there are none.
    """
    prog = module.prog_
    taints = module.taints.value_()
    return "".join(set_letter for bit, set_letter, _ in taint_letters(prog) if taints >> bit & 1)


def _find_in_tree(prog: Program, address: int) -> Object:
    """Search the tree of module address ranges (CONFIG_MODULES_TREE_LOOKUP), a latched pair of red-black trees."""

    def compare(key: int, node: Object) -> int:
        # Since Linux 6.4 the ranges are struct module_memory, before struct module_layout; both have base and size.
        region = container_of(node, region_type, "mtn.node")
        base = region.base.value_()
        if key < base:
            return -1
        return int(key >= base + region.size.value_())

    tree = prog["mod_tree"].root
    region_name = (
        "module_memory" if prog.type("struct module").has_member("mem") else "module_layout"
    )
    region_type = prog.type(f"struct {region_name}")
    # Readers use the tree that no writer is changing: the one that the sequence count selects.
    latch = tree.seq.seqcount.sequence.value_() & 1
    node = rb_find(
        "struct latch_tree_node", tree.tree[latch].address_of_(), f"node[{latch}]", address, compare
    )
    if not node:
        return NULL(prog, "struct module *")
    return container_of(node, region_type, "mtn.node").mtn.mod.read_()


@takes_program_or_default
def address_to_module(prog: Program, addr: IntegerLike) -> Object:
    """Find the module whose text, data or read-only data an address is in.

    :param addr: Address.
    :return: ``struct module *``, ``NULL`` if it is in none.
    """
    address = index(addr)
    if "mod_tree" in prog and prog["mod_tree"].type_.has_member("root"):
        return _find_in_tree(prog, address)
    for module in for_each_module(prog):
        if any(base <= address < base + size for base, size in module_address_regions(module)):
            return module
    return NULL(prog, "struct module *")
