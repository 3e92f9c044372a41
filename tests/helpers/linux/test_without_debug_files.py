"""Every helper on a dump without debug files answers as with them.

Each is called with arguments that fit the names of its parameters. What it gives, or the exception that it raises, must
be the same in a session that has only the dump and in one that has its vmlinux too.
"""

import contextlib
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import pytest

import kdive
import lab
from kdive import Object, Program
from kdive.helpers import linux

pytestmark = pytest.mark.lab

# How much of what a helper yields is compared.
MOST = 200

# Helpers that print what others return, and those for which an idle guest has no object: a shared memory segment, a
# swap file, a BPF program with maps, a saved stack, a packet, a request, a socket, a list of sockets and what objects
# of a memory cgroup are charged through.
NOT_CALLED = {
    "SOCKET_I",
    "SOCK_INODE",
    "bpf_prog_used_maps",
    "blk_mq_rq_from_pdu",
    "blk_mq_rq_to_pdu",
    "blk_rq_bytes",
    "blk_rq_pos",
    "decode_sysv_shm_flags",
    "hlist_nulls_empty",
    "hlist_nulls_for_each_entry",
    "obj_cgroup_was_handed_over",
    "req_op",
    "rq_data_dir",
    "sk_fullsock",
    "sk_nulls_for_each",
    "sk_tcpstate",
    "skb_shinfo",
    "sock_cgroup_ptr",
    "sock_memory_bytes",
    "stack_depot_fetch",
    "swap_file_path",
    "swap_is_file",
    "swap_usage_in_pages",
    *(name for name in linux.__all__ if name.startswith("print_")),
}

# What asks for something that this kernel, or the argument, does not have.
RAISES = {
    "get_kconfig": LookupError,  # CONFIG_IKCONFIG is off
    "get_net_ns_by_fd": ValueError,  # a file
    "get_net_ns_by_inode": ValueError,
    "load_btf": IsADirectoryError,  # the path of other helpers
    "load_ctf": LookupError,  # no archive is installed
    "panic_task": LookupError,  # it did not panic
}


def first(iterable: Any) -> Any:
    return next(iter(iterable))


def given(value: Any) -> Callable[[Program], Any]:
    return lambda _prog: value


def init(prog: Program) -> Any:
    return linux.find_task(prog, 1)


def a_page(prog: Program) -> Any:
    return linux.virt_to_page(prog, init(prog))


def a_kthread(prog: Program) -> Any:
    return linux.to_kthread(linux.find_task(prog, 2))


def an_hlist(prog: Program) -> Any:
    return next(head for head in prog["uidhash_table"] if head.first).address_of_()


def an_llist(prog: Program) -> Any:
    return linux.per_cpu(prog["call_single_queue"], 0).address_of_()


def a_plist(prog: Program) -> Any:
    # All that a plist_head has is a list_head.
    return Object(prog, "struct plist_head *", init(prog).pending.list.address_)


ARGUMENTS: dict[str, Callable[[Program], Any]] = {
    "prog": lambda prog: prog,
    "ns": lambda prog: prog,
    "task": init,
    "trace": lambda prog: prog.stack_trace(init(prog)),
    "task_arg": init,
    "mm": lambda prog: init(prog).mm,
    "page": a_page,
    "cpu": given(0),
    "nid": given(0),
    "nr": given(0),
    "node": given(0),
    "pfn": lambda prog: linux.page_to_pfn(a_page(prog)),
    "addr": lambda prog: init(prog).value_(),
    "mask": linux.cpu_online_mask,
    "bitmap": lambda prog: linux.cpu_online_mask(prog).bits,
    "size": given(8),
    "section": lambda prog: first(linux.for_each_present_section(prog))[1],
    "disk": lambda prog: first(linux.for_each_disk(prog)),
    "part": lambda prog: first(linux.for_each_partition(prog)),
    "bdev": lambda prog: first(linux.for_each_partition(prog)),
    "cgrp": lambda prog: prog["cgrp_dfl_root"].cgrp.address_of_(),
    "css": lambda prog: prog["cgrp_dfl_root"].cgrp.self.address_of_(),
    "mod": lambda prog: linux.find_module(prog, "btrfs"),
    "module": lambda prog: linux.find_module(prog, "btrfs"),
    "mnt": lambda prog: first(linux.for_each_mount(prog)),
    "sb": lambda prog: first(linux.for_each_mount(prog)).mnt.mnt_sb,
    "inode": lambda prog: init(prog).fs.root.dentry.d_inode,
    "dentry": lambda prog: init(prog).mm.exe_file.f_path.dentry,
    "kn": lambda prog: linux.sysfs_lookup(prog, "kernel/mm"),
    "kobj": lambda prog: linux.sysfs_lookup_kobject(prog, "kernel/mm"),
    "desc": lambda prog: first(linux.for_each_irq_desc(prog))[1],
    "wq": lambda prog: linux.find_workqueue(prog, "events"),
    "pool": lambda prog: first(linux.for_each_worker_pool(prog)),
    "pwq": lambda prog: first(linux.for_each_pwq(linux.find_workqueue(prog, "events"))),
    "slab_cache": lambda prog: linux.find_slab_cache(prog, "task_struct"),
    "zone": lambda prog: linux.NODE_DATA(prog, 0).node_zones[1].address_of_(),
    "dev": lambda prog: linux.netdev_get_by_name(prog, "lo"),
    "net": lambda prog: prog,
    "table": lambda prog: prog["arp_tbl"].address_of_(),
    "memcg": lambda prog: first(linux.for_each_mem_cgroup(prog)),
    "rq": lambda prog: linux.cpu_rq(prog, 0),
    "cfs_rq": lambda prog: linux.cpu_rq(prog, 0).cfs.address_of_(),
    "se": lambda prog: init(prog).se.address_of_(),
    "tg": lambda prog: init(prog).sched_task_group,
    "xa": lambda prog: prog["irq_desc_tree"].address_of_(),
    "idr": lambda prog: prog["init_pid_ns"].idr.address_of_(),
    "head": lambda prog: prog["modules"].address_of_(),
    "root": lambda prog: prog["vmap_area_root"].address_of_(),
    "type": given("struct module"),
    "member": given("list"),
    "pos": lambda prog: first(linux.for_each_module(prog)),
    "pid": given(1),
    "pid_type": lambda prog: prog["PIDTYPE_PID"],
    "lock": lambda prog: init(prog).signal.cred_guard_mutex.address_of_(),
    "sem": lambda prog: init(prog).mm.mmap_lock.address_of_(),
    "pending": lambda prog: init(prog).pending.address_of_(),
    "sigset": lambda prog: init(prog).blocked.address_of_(),
    "vma": lambda prog: first(linux.for_each_vma(init(prog).mm)),
    "fbc": lambda prog: prog["vm_committed_as"].address_of_(),
    "ptr": lambda prog: linux.find_slab_cache(prog, "task_struct").cpu_slab,
    "var": lambda prog: prog["runqueues"],
    "fd": lambda prog: first(linux.for_each_file(init(prog)))[0],
    "path": given("/"),
    "arg1": lambda prog: init(prog).fs.root.address_of_(),
    "name": given("btrfs"),
    "id": given(1),
    "uid": given(0),
    "state": given(1),
    "item": given(0),
    "i": given(0),
    "flags": given(0x10005),
    "value": given(4),
    "mode": given(0o100644),
    "op": given(1),
    "major": given(8),
    "minor": given(1),
    "kt": lambda prog: init(prog).start_time,
    "hstate": lambda prog: first(linux.for_each_hstate(prog)),
    "bus": lambda prog: first(linux.for_each_pci_root_bus(prog)),
    "class_": lambda prog: prog["block_class"].address_of_(),
    "mem": lambda prog: first(linux.for_each_memory_block(prog)),
    "mt": lambda prog: init(prog).mm.mm_mt.address_of_(),
    "memcg_data": given(0),
    "index": given(1),
    "ifindex": given(1),
    "start": given(0),
    "address": lambda prog: init(prog).mm.arg_start.value_(),
    "mapping": lambda prog: init(prog).mm.exe_file.f_mapping,
    "key": given(0),
    "cmp": given(lambda _one, _other: 0),
    "allow_equal": given(True),
    "bpf_attach_type": given(0),
    "ref": lambda prog: prog["cgrp_dfl_root"].cgrp.self.refcnt.address_of_(),
    "completion": lambda prog: a_kthread(prog).exited.address_of_(),
    "clock_base": lambda prog: linux.per_cpu(prog["hrtimer_bases"], 0).clock_base[0].address_of_(),
    "irq": given(1),
    "q": lambda prog: first(linux.for_each_disk(prog)).queue,
    "base": lambda prog: linux.per_cpu(prog["timer_bases"], 0)[0].address_of_(),
    "work": lambda prog: linux.per_cpu(prog["vmstat_work"], 0).work.address_of_(),
    "entry": lambda prog: prog["init_pid_ns"].idr.idr_rt.xa_head,
    "gate": lambda prog: prog["idt_table"][0].address_of_(),
}

# What must not be called with the argument that its parameter's name suggests.
SPECIAL: dict[str, dict[str, Callable[[Program], Any]]] = {
    "dev_name": {"dev": lambda prog: first(linux.for_each_pci_dev(prog)).dev.address_of_()},
    "pci_name": {"dev": lambda prog: first(linux.for_each_pci_dev(prog))},
    "pci_is_bridge": {"dev": lambda prog: first(linux.for_each_pci_dev(prog))},
    "pci_pcie_type": {"dev": lambda prog: first(linux.for_each_pci_dev(prog))},
    "bus_for_each_dev": {"bus": lambda prog: prog["memory_subsys"].address_of_()},
    "bus_to_subsys": {"bus": lambda prog: prog["memory_subsys"].address_of_()},
    "MAJOR": {"dev": given(0x800001)},
    "MINOR": {"dev": given(0x800001)},
    "find_slab_cache": {"name": given("dentry")},
    "find_workqueue": {"name": given("events")},
    "netdev_get_by_name": {"name": given("lo")},
    "find_vmap_area": {"addr": lambda prog: linux.find_module(prog, "btrfs").value_()},
    "vmalloc_to_page": {"addr": lambda prog: linux.find_module(prog, "btrfs").value_()},
    "vmalloc_to_pfn": {"addr": lambda prog: linux.find_module(prog, "btrfs").value_()},
    "address_to_module": {"addr": lambda prog: prog.symbol("cleaner_kthread").address},
    "phys_to_page": {"addr": lambda prog: linux.page_to_phys(a_page(prog))},
    "phys_to_virt": {"addr": lambda prog: linux.page_to_phys(a_page(prog))},
    "PHYS_PFN": {"addr": given(0x1234567)},
    **{
        name: {"addr": lambda prog: init(prog).mm.arg_start}
        for name in ("follow_page", "follow_pfn", "follow_phys", "vma_find")
    },
    **{
        name: {
            "idr": lambda prog: prog["init_pid_ns"].idr.address_of_(),
            "type": given("struct pid"),
        }
        for name in ("idr_for_each_entry",)
    },
    **{
        name: {
            "head": an_hlist,
            "type": given("struct user_struct"),
            "member": given("uidhash_node"),
        }
        for name in ("hlist_empty", "hlist_for_each", "hlist_for_each_entry")
    },
    **{
        name: {"head": an_llist, "node": lambda prog: an_llist(prog).first}
        for name in linux.__all__
        if name.startswith("llist_")
    },
    **{
        name: {
            "head": a_plist,
            "node": lambda prog: init(prog).pushable_tasks.address_of_(),
            "type": given("struct task_struct"),
            "member": given("pushable_tasks"),
        }
        for name in linux.__all__
        if name.startswith("plist_")
    },
    **{
        name: {"wq": lambda prog: a_kthread(prog).exited.wait.address_of_()}
        for name in ("swait_active", "swait_for_each_task")
    },
    **{
        name: {"root": lambda prog: prog["irq_desc_tree"].address_of_()}
        for name in ("radix_tree_for_each", "radix_tree_lookup")
    },
    **{
        name: {"kn": lambda prog: linux.sysfs_lookup_node(prog, "kernel/mm")}
        for name in linux.__all__
        if name.startswith("kernfs_")
    },
    "sbitmap_for_each_set": {
        "sb": lambda prog: (
            first(linux.for_each_disk(prog)).queue.tag_set.tags[0].bitmap_tags.sb.address_of_()
        )
    },
    "sysfs_listdir": {"path": given("kernel")},
    "sysfs_lookup": {"path": given("kernel/mm")},
    "sysfs_lookup_kobject": {"path": given("kernel/mm")},
    "sysfs_lookup_node": {"path": given("kernel/mm")},
    "kernfs_walk": {"parent": lambda prog: prog["sysfs_root_kn"], "path": given("kernel")},
    "netdev_priv": {"type": given("void")},
    "slab_cache_for_each_allocated_object": {"type": given("struct task_struct")},
    "test_bit": {"nr": given(1)},
    "waitqueue_active": {"wq": lambda prog: init(prog).signal.wait_chldexit.address_of_()},
    "waitqueue_for_each_entry": {"wq": lambda prog: init(prog).signal.wait_chldexit.address_of_()},
    "waitqueue_for_each_task": {"wq": lambda prog: init(prog).signal.wait_chldexit.address_of_()},
    "pid_task": {"pid": lambda prog: linux.find_pid(prog, 1)},
    "for_each_resource": {"root": lambda prog: prog["iomem_resource"].address_of_()},
    "path_lookup": {"root": lambda prog: prog, "path": given("/proc")},
    "inode_path": {"inode": lambda prog: init(prog).mm.exe_file.f_inode},
    "inode_paths": {"inode": lambda prog: init(prog).mm.exe_file.f_inode},
    "inode_for_each_page": {"inode": lambda prog: init(prog).mm.exe_file.f_inode},
    "css_next_child": {
        "pos": lambda prog: Object(prog, "struct cgroup_subsys_state *", 0),
        "parent": lambda prog: prog["cgrp_dfl_root"].cgrp.self.address_of_(),
    },
    "css_next_descendant_pre": {
        "pos": lambda prog: Object(prog, "struct cgroup_subsys_state *", 0),
        "root": lambda prog: prog["cgrp_dfl_root"].cgrp.self.address_of_(),
    },
    **{
        name: {"node": lambda prog: linux.rb_first(prog["vmap_area_root"].address_of_())}
        for name in ("rb_next", "rb_prev", "rb_parent", "RB_EMPTY_NODE")
    },
    **{
        name: {"type": given("struct vmap_area"), "member": given("rb_node")}
        for name in (
            "rbtree_inorder_for_each_entry",
            "rbtree_preorder_for_each_entry",
            "rb_find",
            "validate_rbtree",
            "validate_rbtree_inorder_for_each_entry",
        )
    },
    **{
        name: {"task": lambda prog: linux.find_task(prog, 2)}
        for name in ("kthread_data", "to_kthread", "task_is_kthread")
    },
    "decode_sigaction_flags": {
        "sigaction": lambda prog: init(prog).sighand.action[1].sa.address_of_()
    },
    "node_state": {"state": lambda prog: prog["N_ONLINE"]},
    "for_each_node_mask": {"mask": lambda prog: prog["node_states"][1].address_of_()},
    "for_each_node_state": {"state": lambda prog: prog["N_ONLINE"]},
    "dentry_path": {"dentry": lambda prog: init(prog).mm.exe_file.f_path.dentry},
}


class Raised(NamedTuple):
    """An exception instead of a value."""

    kind: type[Exception]
    message: str


@cache
def sessions() -> tuple[Program, Program]:
    target = lab.target("idle")
    bare = kdive.Program()
    bare.set_core_dump(target.dumps["elf"])
    with pytest.raises(kdive.MissingDebugInfoError):
        bare.load_debug_info(default=True)
    full = kdive.Program()
    full.set_core_dump(target.dumps["elf"])
    with contextlib.suppress(kdive.MissingDebugInfoError):
        full.load_debug_info([target.vmlinux], default=True)
    return bare, full


def is_inlined(value: Any) -> bool:
    """Whether this is a frame that only DWARF tells of."""
    return isinstance(value, kdive.StackFrame) and value.is_inline


def plain(value: Any) -> Any:
    """What can be compared between two programs."""
    if isinstance(value, Object):
        address = value.address_
        if address is not None:
            return str(value.type_), "at", address
        with contextlib.suppress(TypeError):
            return str(value.type_), value.value_()
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, str | bytes | int | float | None):
        return value
    if isinstance(value, kdive.SymbolIndex):
        return "symbols"
    if isinstance(value, Program):
        return [(thread.tid, plain(thread.stack_trace())) for thread in value.threads()]
    if isinstance(value, kdive.StackTrace):
        return [frame.pc for frame in value if not frame.is_inline]
    if isinstance(value, Iterator) or hasattr(value, "__iter__"):
        return [plain(item) for item in itertools.islice(value, MOST) if not is_inlined(item)]
    if isinstance(value, kdive.StackFrame):
        return value.pc
    return repr(value)


def outcome(prog: Program, name: str) -> Any:
    helper = getattr(linux, name)
    providers = {**ARGUMENTS, **SPECIAL.get(name, {})}
    arguments = [
        providers[parameter.name](prog)
        for parameter in inspect.signature(helper).parameters.values()
        if parameter.default is parameter.empty
    ]
    try:
        return plain(helper(*arguments))
    except (LookupError, ValueError, AttributeError, TypeError, OSError, kdive.FaultError) as error:
        return Raised(type(error), str(error))


CALLED = sorted(
    name
    for name in linux.__all__
    if name not in NOT_CALLED and not inspect.isclass(getattr(linux, name))
)


@pytest.mark.parametrize("name", CALLED)
def test_helper_answers_as_with_debug_files(name: str) -> None:
    bare, full = sessions()
    expected = outcome(full, name)
    raised = expected[0] if isinstance(expected, Raised) else None
    assert raised is RAISES.get(name)
    assert outcome(bare, name) == expected
