"""Measures what a script does all day with objects and types against drgn, one operation at a time.

    python benches/objects.py PEER_PYTHON [--rounds N] [--dump PATH... --vmlinux PATH]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0. Without a dump, the lab's are used: QEMU's ELF dump
and compressed dump of the idle target, and the ELF dump that the panicked kernel's crash kernel made.
"""

import importlib
from typing import Any

import _peer


def operations(tool: Any, prog: Any) -> _peer.Operations:
    """Return the operations to measure, with everything they need made before."""
    helpers = importlib.import_module(f"{tool.__name__}.helpers.linux.list")
    init_task = prog["init_task"]
    tasks = init_task.tasks
    pid = init_task.pid
    value = pid.read_()
    head = tasks.address_of_()
    node = tasks.next
    length = len(list(helpers.list_for_each_entry("struct task_struct", head, "tasks")))
    assert length > 10
    return {
        "prog[name]": lambda: prog["init_task"],
        "member": lambda: init_task.pid,
        "member value": lambda: init_task.pid.value_(),
        "pointer chain": lambda: init_task.nsproxy.uts_ns.name,
        "string": lambda: init_task.comm.string_(),
        "arithmetic": lambda: value + 1,
        "arithmetic of objects": lambda: value + value,
        "comparison": lambda: pid == 0,
        "int(value)": lambda: int(value),
        "container_of": lambda: tool.container_of(node, "struct task_struct", "tasks"),
        "cast": lambda: tool.cast("unsigned long", node),
        "type(name)": lambda: prog.type("struct task_struct *"),
        "list walk": lambda: sum(
            1 for _ in helpers.list_for_each_entry("struct task_struct", head, "tasks")
        ),
        "print init_task": lambda: str(init_task),
    }


if __name__ == "__main__":
    _peer.main("Time operations of kdive against those of drgn.", operations)
