"""Measures how fast helpers walk the kernel's lists, trees and tables against drgn.

    python benches/helpers.py PEER_PYTHON [--rounds N] [--dump PATH... --vmlinux PATH]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0. Without a dump, those of benches/objects.py are used.
"""

import importlib
from collections.abc import Iterable
from typing import Any

import _peer


def operations(tool: Any, prog: Any) -> _peer.Operations:
    """Return the walks to measure, each of everything that the dump has."""

    def helpers(name: str) -> Any:
        return importlib.import_module(f"{tool.__name__}.helpers.linux.{name}")

    lists, pids, trees, maples = (helpers(name) for name in ("list", "pid", "rbtree", "mapletree"))
    head = prog["init_task"].tasks.address_of_()
    super_blocks = prog["super_blocks"].address_of_()
    task = pids.find_task(prog, 1)
    symbols = prog["vmap_area_root"].address_of_()

    def count(items: Iterable[object]) -> int:
        return sum(1 for _ in items)

    walks: _peer.Operations = {
        "tasks": lambda: count(pids.for_each_task(prog)),
        "tasks' names": lambda: [task.comm.string_() for task in pids.for_each_task(prog)],
        "pids": lambda: count(pids.for_each_pid(prog)),
        "list": lambda: count(lists.list_for_each(head)),
        "list entries": lambda: count(
            lists.list_for_each_entry("struct super_block", super_blocks, "s_list")
        ),
        "red-black tree": lambda: count(
            trees.rbtree_inorder_for_each_entry("struct vmap_area", symbols, "rb_node")
        ),
        "maple tree": lambda: count(maples.mt_for_each(task.mm.mm_mt.address_of_())),
    }
    assert all(walk() for walk in walks.values())
    return walks


if __name__ == "__main__":
    _peer.main("Time helpers of kdive against those of drgn.", operations)
