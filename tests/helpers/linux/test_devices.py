# SPDX-License-Identifier: Apache-2.0
import ipaddress
from typing import Any

import pytest

from kdive import Program, sizeof
from kdive.helpers.linux import (
    block,
    bpf,
    cpumask,
    ipc,
    irq,
    net,
    nodemask,
    pci,
    percpu,
    timekeeping,
    timer,
)
from kdive.helpers.linux.bitmap import bitmap_weight
from kdive.helpers.linux.bitops import for_each_clear_bit, for_each_set_bit, test_bit as bit_is_set
from kdive.helpers.linux.ioport import for_each_resource
from kdive.helpers.linux.kallsyms import load_module_kallsyms, load_vmlinux_kallsyms
from kdive.helpers.linux.kconfig import get_kconfig
from kdive.helpers.linux.module import (
    address_to_module,
    find_module,
    for_each_module,
    module_address_regions,
    module_percpu_region,
    module_taints,
)
from kdive.helpers.linux.pid import find_task, for_each_task
from kdive.helpers.linux.tc import qdisc_lookup

pytestmark = pytest.mark.lab


def test_masks_of_cpus(prog: Program, truth: dict[str, Any]) -> None:
    for name in ("possible", "present", "online"):
        mask = getattr(cpumask, f"cpu_{name}_mask")(prog)
        assert cpumask.cpumask_to_cpulist(mask) == truth["cpus"][name] == "0-1"
        assert list(getattr(cpumask, f"for_each_{name}_cpu")(prog)) == [0, 1]
        assert getattr(cpumask, f"num_{name}_cpus")(prog) == cpumask.cpumask_weight(mask) == 2
    assert list(cpumask.for_each_cpu(cpumask.cpumask_of(prog, 1))) == [1]
    bits = cpumask.cpu_online_mask(prog).bits
    assert list(for_each_set_bit(bits, 70)) == [0, 1]
    assert list(for_each_clear_bit(bits, 5)) == [2, 3, 4]
    assert bitmap_weight(bits, 1) == 1
    assert [bit_is_set(n, bits) for n in (1, 2, 64)] == [True, False, False]
    with pytest.raises(ValueError, match="not plausible"):
        bitmap_weight(bits, 1 << 40)


def test_nodes(prog: Program) -> None:
    assert list(nodemask.for_each_node(prog)) == list(nodemask.for_each_online_node(prog)) == [0]
    assert nodemask.nr_node_ids(prog) == 1
    assert nodemask.node_state(0, prog["N_MEMORY"])
    assert not nodemask.node_state(1, prog["N_MEMORY"])


def test_memory_of_each_cpu(prog: Program) -> None:
    for cpu in (0, 1):
        rq = percpu.per_cpu(prog["runqueues"], cpu)
        assert rq.cpu.value_() == cpu
        assert percpu.per_cpu_ptr(prog["runqueues"].address_of_(), cpu) == rq.address_of_()
    with pytest.raises(IndexError, match="was built for 8192 CPUs"):
        percpu.per_cpu(prog["runqueues"], 8192)
    counter = prog["vm_committed_as"].address_of_()
    parts = [percpu.per_cpu_ptr(counter.counters, cpu)[0].value_() for cpu in (0, 1)]
    assert percpu.percpu_counter_sum(counter) == counter.count.value_() + sum(parts)


def test_interrupts(prog: Program, truth: dict[str, Any]) -> None:
    shown = {int(n): row for n, row in truth["tables"]["interrupts"].items() if n.isdigit()}
    descs = dict(irq.for_each_irq_desc(prog))
    assert set(shown) <= set(descs)
    for number, row in shown.items():
        desc = irq.irq_to_desc(prog, number)
        assert desc == descs[number]
        names = ", ".join(name.decode() for name in irq.irq_desc_action_names(desc))
        assert row["description"].endswith(names)
        chip = irq.irq_desc_chip_name(desc)
        assert chip is not None
        assert row["description"].startswith(chip.decode())
        for cpu, count in enumerate(row["counts"]):
            assert irq.irq_desc_kstat_cpu(desc, cpu) <= count
        assert set(cpumask.for_each_cpu(irq.irq_desc_affinity_mask(desc))) <= {0, 1}
    assert max(descs) < irq.irq_get_nr_irqs(prog)
    assert not irq.irq_to_desc(prog, 100_000)
    breakpoint_gate = irq.gate_desc_func(prog["idt_table"][3])
    assert prog.symbol(breakpoint_gate.value_()).name == "asm_exc_int3"


def test_modules(prog: Program, truth: dict[str, Any]) -> None:
    shown = {module["name"]: module for module in truth["modules"]}
    assert {m.name.string_().decode() for m in for_each_module(prog)} == set(shown)
    for name, row in shown.items():
        module = find_module(prog, name)
        regions = module_address_regions(module)
        assert row["address"] in [base for base, _ in regions]
        for section in (".text", "__ksymtab_strings", ".data"):
            address = row["sections"].get(section)
            if address is not None:
                assert address_to_module(prog, address) == module
        assert module_taints(module) == ""
        assert module_percpu_region(module)[1] % 8 == 0
    assert not find_module(prog, "no_such_module")
    assert not address_to_module(prog, prog.symbol("schedule").address)


def test_symbols_of_the_kernel_and_its_modules(prog: Program, truth: dict[str, Any]) -> None:
    index = load_vmlinux_kallsyms(prog)
    for name, address in truth["symbols"].items():
        assert address in [symbol.address for symbol in index(prog, name, None, False)]
    schedule = index(prog, None, truth["symbols"]["schedule"] + 5, True)
    assert [symbol.name for symbol in schedule] == ["schedule"]
    assert index(prog, None, 0x123456789, True) == []
    module = next(m for m in truth["modules"] if m["name"] == "virtio_ring")
    found = load_module_kallsyms(prog)(prog, "virtqueue_add_sgs", None, True)
    assert (
        module["sections"][".text"]
        <= found[0].address
        < module["sections"][".text"] + module["size"]
    )


def test_the_configuration_is_not_in_this_kernel(prog: Program) -> None:
    with pytest.raises(LookupError, match="CONFIG_IKCONFIG"):
        get_kconfig(prog)


def test_disks(prog: Program, truth: dict[str, Any]) -> None:
    disks = {block.disk_name(disk).decode(): disk for disk in block.for_each_disk(prog)}
    assert sorted(disks) == sorted(truth["tables"]["block_devices"])
    assert block.disk_devt(disks["loop3"]).value_() == 7 << 20 | 3
    parts = {block.part_name(part).decode(): part for part in block.for_each_partition(prog)}
    assert sorted(parts) == sorted(disks)
    assert block.part_devt(parts["loop3"]).value_() == 7 << 20 | 3
    assert block.bdev_partno(parts["loop3"]).value_() == 0
    assert block.nr_blockdev_pages(prog) * 4 == truth["tables"]["meminfo_kib"]["Buffers"]
    for disk in disks.values():
        assert list(block.request_queue_busy_iter(disk.queue)) == []
    assert [block.op_is_write(prog[f"REQ_OP_{op}"]) for op in ("READ", "WRITE", "DISCARD")] == [
        False,
        True,
        True,
    ]
    with pytest.raises(ValueError, match="invalid tags"):
        next(block.request_queue_busy_iter(disks["loop0"].queue, "other"))  # type: ignore[arg-type]


def test_requests(prog: Program) -> None:
    disk = next(d for d in block.for_each_disk(prog) if block.disk_name(d) == b"loop0")
    request = disk.queue.tag_set.tags[0].static_rqs[0]
    assert block.blk_mq_rq_from_pdu(block.blk_mq_rq_to_pdu(request)) == request
    assert block.blk_mq_rq_to_pdu(request).value_() == request.value_() + sizeof(request[0])
    assert block.rq_data_dir(request) == block.req_op(request).value_() & 1
    assert block.blk_rq_bytes(request).value_() % 512 == 0
    assert block.blk_rq_pos(request).type_.type_name() == "sector_t"


def test_network_devices(prog: Program, truth: dict[str, Any]) -> None:
    names = {net.netdev_name(dev).decode() for dev in net.for_each_netdev(prog)}
    assert names == set(truth["tables"]["network_devices"])
    loopback = net.netdev_get_by_name(prog, "lo")
    assert loopback == net.netdev_get_by_index(prog, 1)
    assert len(list(net.netdev_for_each_tx_queue(loopback))) == 1
    assert not net.netdev_get_by_name(prog, "nope")
    assert net.netdev_ipv4_addrs(loopback) in ([], [ipaddress.IPv4Address("127.0.0.1")])
    assert prog["init_net"].address_of_() in list(net.for_each_net(prog))
    assert net.netdev_priv(loopback).value_() > loopback.value_()
    assert not qdisc_lookup(loopback, 0x10)
    assert list(net.neigh_table_for_each_neighbor(prog["arp_tbl"].address_of_())) == []


def test_pci(prog: Program) -> None:
    assert [pci.pci_bus_name(bus) for bus in pci.for_each_pci_root_bus(prog)] == ["0000:00"]
    names = [pci.pci_name(dev) for dev in pci.for_each_pci_dev(prog)]
    assert names[0] == "0000:00:00.0"
    root = next(pci.for_each_pci_root_bus(prog))
    assert [pci.pci_name(dev) for dev in pci.pci_bus_for_each_dev(root)] == names
    assert not any(pci.pci_is_bridge(dev) for dev in pci.for_each_pci_dev(prog))


def test_resources(prog: Program) -> None:
    found = [
        (r.start.value_(), r.name.string_())
        for r in for_each_resource(prog["iomem_resource"].address_of_())
    ]
    assert found[0] == (0, b"PCI mem")
    assert any(name == b"Kernel code" for _, name in found)
    assert any(name == b"System RAM" for _, name in found)


def test_no_shared_memory(prog: Program) -> None:
    for kind in ("shm", "sem_array", "msg_queue"):
        assert list(getattr(ipc, f"for_each_sysv_{kind}")(prog)) == []
        assert not getattr(ipc, f"find_sysv_{kind}")(prog, 0)
    assert ipc.decode_sysv_shm_mode_flags(prog, 0o3777) == "SHM_DEST|SHM_LOCKED"


def test_bpf(prog: Program) -> None:
    btfs = list(bpf.bpf_btf_for_each(prog))
    assert any(btf.name.string_() == b"vmlinux" for btf in btfs)
    assert list(bpf.bpf_prog_for_each(prog)) == list(bpf.bpf_map_for_each(prog)) == []
    assert not bpf.bpf_prog_by_id(prog, 1)
    assert not bpf.bpf_map_by_id(prog, 1)
    root = prog["cgrp_dfl_root"].cgrp.address_of_()
    assert (
        list(bpf.cgroup_bpf_prog_for_each(root, 0))
        == list(bpf.cgroup_bpf_prog_for_each_effective(root, 0))
        == []
    )


def test_clocks(prog: Program, before: dict[str, Any], truth: dict[str, Any]) -> None:
    assert before["uptime_s"] - 0.1 <= timekeeping.uptime(prog) <= truth["uptime_s"]
    minutes, seconds = divmod(int(timekeeping.uptime(prog)), 60)
    words = timekeeping.uptime_pretty(prog)
    assert words.startswith(f"{minutes} minute") == (minutes > 0)
    assert f"{seconds} second" in words or seconds == 0
    real = timekeeping.ktime_get_coarse_real_ns(prog).value_()
    assert timekeeping.ktime_get_real_seconds(prog).value_() == real // 1_000_000_000
    tai = timekeeping.ktime_get_coarse_clocktai_ns(prog).value_()
    assert (tai - real) % 1_000_000_000 == 0
    assert (
        timekeeping.ktime_get_seconds(prog).value_()
        == timekeeping.ktime_get_coarse_ns(prog).value_() // 10**9
    )
    assert timekeeping.ktime_get_boottime_seconds(prog).value_() == int(timekeeping.uptime(prog))


def test_timers(prog: Program) -> None:
    assert list(timer.timer_base_names(prog)) == ["BASE_STD", "BASE_DEF"]
    functions = set()
    for cpu in (0, 1):
        for base in percpu.per_cpu(prog["timer_bases"], cpu):
            for item in timer.timer_base_for_each(base.address_of_()):
                functions.add(prog.symbol(item.function.value_()).name)
    assert "delayed_work_timer_fn" in functions
    expiries = []
    for base in percpu.per_cpu(prog["hrtimer_bases"], 0).clock_base:
        expiries.append(
            [t.node.expires.value_() for t in timer.hrtimer_clock_base_for_each(base.address_of_())]
        )
    assert any(expiries)
    assert all(times == sorted(times) for times in expiries)
    sleeper = next(t for t in for_each_task(prog) if t.comm.string_() == b"sleep")
    assert find_task(prog, sleeper.pid) == sleeper
