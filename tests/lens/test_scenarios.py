"""Diagnoses of dumps in which something is wrong: what they say is what the guest said and what was done to it."""

import ipaddress
import re
from collections import Counter
from typing import Any

import pytest

import lab
from kdive.lens import Severity
from tests.lens.support import diagnose, findings_of_everything, program, rows

pytestmark = [pytest.mark.lab, pytest.mark.scenario]


def facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = lab.target(name).truth["facts"]
    return found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("btrfs-eexist", {"btrfs": [Severity.CRITICAL]}),
        ("memcg-zombies", {"memcg": [Severity.WARNING]}),
        ("delayed-work", {"delayed-works": [Severity.CRITICAL]}),
        ("rds-tcp", {"rds": [Severity.CRITICAL]}),
        ("rds-rdma", {"rds": [Severity.CRITICAL]}),
        ("ib-mad-overflow", {"rds": [Severity.CRITICAL], "ib-mad": [Severity.CRITICAL]}),
        ("irq-vectors", {}),
        ("busy", {}),
    ],
)
def test_each_finds_its_trouble_and_no_other(name: str, found: dict[str, list[Severity]]) -> None:
    assert findings_of_everything(program(name)) == found


@pytest.mark.parametrize("form", ["elf", "kdump-zlib"])
def test_btrfs_names_the_device_and_the_holders(form: str) -> None:
    truth = facts("btrfs-eexist")
    assert truth["mount_status"] == 32
    assert "File exists" in truth["mount_message"]
    result = diagnose(program("btrfs-eexist", form), "btrfs")
    systems = {row.fs_uuid: row for row in rows(result, "FileSystem")}
    assert set(systems) == {truth["uuid"], truth["healthy_uuid"]}
    held, healthy = systems[truth["uuid"]], systems[truth["healthy_uuid"]]
    assert (held.state, held.opened, held.num_devices) == ("DETACHED", 1, 1)
    assert (healthy.state, healthy.opened) == ("mounted", 1)
    assert held.total_rw_bytes == 120 << 20

    devices = {row.fs_uuid: row for row in rows(result, "Device")}
    assert devices[truth["uuid"]].name == "/dev/loop0"
    assert devices[truth["uuid"]].bd_dev == "7:0"
    assert devices[truth["healthy_uuid"]].name == "/dev/loop2"
    supers = {row.fs_uuid: row for row in rows(result, "SuperBlock")}
    assert (supers[truth["uuid"]].name, supers[truth["uuid"]].active) == ("loop0", 1)

    mounts = {row.fs_uuid: row for row in rows(result, "Mount")}
    assert mounts[truth["uuid"]].detached
    assert mounts[truth["uuid"]].device == "/dev/loop0"
    assert (mounts[truth["healthy_uuid"]].mount_point, mounts[truth["healthy_uuid"]].detached) == (
        "/mnt/healthy",
        False,
    )
    # The mounts that the guest sees are all but the detached one.
    seen = {row["directory"] for row in lab.target("btrfs-eexist").truth["after"]["mounts"]}
    assert "/mnt/healthy" in seen
    assert "/mnt/first" not in seen

    holders = {(row.pid, row.how, row.path) for row in rows(result, "Holder")}
    assert holders == {
        (truth["holder_cwd"], "cwd", "/directory"),
        (truth["holder_file"], "fd 9", "/file"),
    }
    (finding,) = result.findings
    assert truth["uuid"] in finding.sentence
    assert "/dev/loop0" in finding.sentence
    evidence = "\n".join(finding.evidence)
    assert f"PID {truth['holder_cwd']} (sleep) holds it by cwd: /directory" in evidence
    assert f"PID {truth['holder_file']} (sleep) holds it by fd 9: /file" in evidence
    assert "duplicate device /dev/loop1" in evidence


def test_btrfs_finds_holders_of_healthy_file_systems_when_asked() -> None:
    result = diagnose(program("btrfs-eexist"), "btrfs", holders=True)
    assert {row.fs_uuid for row in rows(result, "Holder")} == {facts("btrfs-eexist")["uuid"]}


def test_memcg_lists_the_zombies_with_what_they_hold() -> None:
    truth = facts("memcg-zombies")
    result = diagnose(program("memcg-zombies"), "memcg")
    (summary,) = rows(result, "Summary")
    assert (summary.active, summary.dying) == (truth["descendants"], truth["dying"])
    assert summary.zombies == truth["dying"] - truth["dying_before"]
    zombies = {row.path: row for row in rows(result, "MemoryCgroup")}
    assert set(zombies) == {f"/lab/{zombie['name']}" for zombie in truth["zombies"]}
    for zombie in truth["zombies"]:
        row, stat = zombies[f"/lab/{zombie['name']}"], zombie["stat"]
        assert (row.id, row.state, row.children) == (zombie["id"], "ZOMBIE", 0)
        assert row.file_bytes == stat["file"]
        assert row.shmem_bytes == stat["shmem"]
        assert row.anon_bytes == stat["anon"]
        assert row.unevictable_bytes == stat["unevictable"]
        assert row.slab_bytes == stat["slab"]
        assert row.sock_bytes == stat["sock"]
        # What its processes had for themselves, their page tables for example, went with them; the pages stayed.
        assert stat["file"] + stat["anon"] <= row.charged_bytes <= zombie["bytes"]
        # One reference for each page
        assert row.references == (stat["file"] + stat["anon"]) // 4096
    assert summary.charged_bytes == sum(row.charged_bytes for row in zombies.values())


def test_memcg_lists_living_cgroups_when_asked() -> None:
    result = diagnose(program("memcg-zombies"), "memcg", every=True)
    states = {row.path: row.state for row in rows(result, "MemoryCgroup")}
    assert states["/lab/cache1"] == "ZOMBIE"
    assert "CSS_ONLINE" in states["/lab/alive"]
    assert len(states) == facts("memcg-zombies")["dying"] + 3  # the root, lab and alive


@pytest.mark.parametrize("form", ["elf", "kdump-zlib"])
def test_memcg_pages_finds_the_files(form: str) -> None:
    result = diagnose(program("memcg-zombies", form), "memcg-pages")
    held: dict[str, Counter[str]] = {}
    paths = {}
    for row in rows(result, "PinnedPages"):
        assert row.state == "ZOMBIE"
        assert row.size_bytes == row.pages * 4096
        held.setdefault(row.cgroup, Counter())[row.kind] += row.size_bytes
        paths[row.cgroup, row.path] = row
    for zombie in facts("memcg-zombies")["zombies"]:
        cgroup, stat = f"/lab/{zombie['name']}", zombie["stat"]
        kinds = held[cgroup]
        assert kinds["anonymous"] == stat["anon"]
        assert kinds["shared memory"] == stat["shmem"]
        assert kinds["page cache"] == stat["file"] - stat["shmem"]
        match zombie["kind"]:
            case "page_cache":
                number = int(zombie["name"].removeprefix("cache"))
                row = paths[cgroup, zombie["file"]]
                assert (row.kind, row.size_bytes) == ("page cache", number * 4 * 64 << 10)
            case "shared_memory":
                row = paths[cgroup, zombie["file"]]
                assert (row.kind, row.size_bytes) == ("shared memory", 8 * 64 << 10)
            case "locked_file":
                row = paths[cgroup, zombie["file"]]
                assert (row.kind, row.pages, row.mlocked_pages) == ("page cache", 128, 128)
            case "anonymous":
                assert paths[cgroup, ""].mlocked_pages == 128


def test_memcg_pages_stops_where_asked() -> None:
    result = diagnose(program("memcg-zombies"), "memcg-pages", max_pages=1000)
    assert [checked.count for checked in result.checked] == [1000, 8]
    assert any("were not looked at" in note.text for note in result.notes)


@pytest.mark.parametrize("form", ["elf", "kdump-zlib"])
def test_delayed_works_on_the_offline_cpu(form: str) -> None:
    truth = facts("delayed-work")
    result = diagnose(program("delayed-work", form), "delayed-works")
    overdue, later = sorted(rows(result, "DelayedWork"), key=lambda row: row.remaining_jiffies)
    for row in overdue, later:
        assert (row.cpu, row.state, row.work_cpu) == (truth["cpu"], "offline", truth["cpu"])
        assert row.remaining_s == row.remaining_jiffies / 250
    assert overdue.work == truth["overdue_address"]
    assert overdue.function == "lab_overdue_function [lab_delayed]"
    assert overdue.workqueue == "lab_queue"
    assert overdue.remaining_jiffies < 0
    assert later.work == truth["later_address"]
    assert later.function == "lab_later_function [lab_delayed]"
    assert later.workqueue == "events"
    # Both count from the same jiffies, which are the dump's.
    assert later.remaining_jiffies - overdue.remaining_jiffies == (
        truth["later_expires"] - truth["overdue_expires"]
    )
    (finding,) = result.findings
    assert finding.sentence.startswith(f"2 delayed works will not run while CPU {truth['cpu']} is")
    assert "lab_overdue_function [lab_delayed] of the work queue lab_queue" in finding.evidence[0]


def test_delayed_works_of_online_cpus_when_asked() -> None:
    truth = facts("delayed-work")
    result = diagnose(program("delayed-work"), "delayed-works", every=True)
    (online,) = [row for row in rows(result, "DelayedWork") if row.work == truth["online_address"]]
    assert online.state == "online"
    assert online.remaining_jiffies > 0


def check_connections(listed: list[Any], known: list[dict[str, Any]]) -> None:
    """Hold rows against what RDS told programs in the guest."""

    def comparable(row: Any) -> tuple[object, ...]:
        return (
            row.local,
            row.remote,
            row.transport,
            row.tos,
            row.next_tx,
            row.next_rx,
            row.flags.replace("s", "-"),
        )

    def told(row: dict[str, Any]) -> tuple[object, ...]:
        flags = f"-{'c' if row['connecting'] else '-'}{'C' if row['up'] else '-'}-"
        names = ("local", "remote", "transport", "tos", "next_tx", "next_rx")
        return (*(row[name] for name in names), flags)

    # The kernel tells of the first path only.
    assert sorted(comparable(row) for row in listed if row.path == 0) == sorted(map(told, known))


def test_rds_over_tcp() -> None:
    truth = facts("rds-tcp")
    result = diagnose(program("rds-tcp"), "rds")
    connections = rows(result, "Connection")
    check_connections(connections, truth["connections_before"] + truth["peer_connections"])
    # Once the peer has answered there are eight paths, of which messages take one.
    paths = Counter((row.local, row.remote) for row in connections)
    assert paths == {
        ("192.0.2.1", "192.0.2.2"): 8,
        ("192.0.2.2", "192.0.2.1"): 8,
        ("192.0.2.1", "192.0.2.99"): 1,
    }
    (lost,) = [row for row in connections if row.remote == "192.0.2.99"]
    assert lost.state == "RDS_CONN_CONNECTING"
    # The message, and the ping that RDS sends before the first one
    assert lost.to_send == 2
    assert (lost.ib_conn, lost.cm_id, lost.rdma_cm_state, lost.ib_cm_state) == (None,) * 4
    sockets = {(row.bound, row.bound_port, row.inode) for row in rows(result, "Socket")}
    for socket in truth["sockets"]:
        assert (socket["address"], socket["port"], socket["inode"]) in sockets
    assert len(sockets) == 3  # the one of the other namespace too
    (finding,) = result.findings
    assert finding.sentence.startswith("1 of 3 RDS connections hangs in RDS_CONN_CONNECTING")
    assert "192.0.2.1 to 192.0.2.99 over tcp" in finding.evidence[0]


def test_rds_over_infiniband() -> None:
    truth = facts("rds-rdma")
    result = diagnose(program("rds-rdma"), "rds")
    connections = rows(result, "Connection")
    check_connections(connections, truth["connections_before"])
    cm_ids = {
        row["dst-addr"].split(":")[0]: row["state"]
        for row in truth["cm_ids_before"]
        if "dst-addr" in row
    }
    assert len(cm_ids) == len(connections) == 4
    for row in connections:
        assert row.state == "RDS_CONN_CONNECTING"
        assert row.rdma_cm_state == f"RDMA_CM_{cm_ids[row.remote]}"
        # Silent peers were sent a request; the address of the absent one was never resolved.
        is_absent = ipaddress.ip_address(row.remote) == ipaddress.ip_address("192.0.2.99")
        assert row.ib_cm_state == (None if is_absent else "IB_CM_REQ_SENT")
        assert row.to_send == 1
        assert row.ib_conn
        assert row.cm_id
    (finding,) = result.findings
    assert finding.sentence == (
        "4 of 4 RDS connections hang in RDS_CONN_CONNECTING while 4 messages wait"
    )
    assert finding.more == "rds ib-mad"


def test_rds_lists_connections_of_a_state() -> None:
    result = diagnose(program("rds-tcp"), "rds", state="connecting")
    assert [row.remote for row in rows(result, "Connection")] == ["192.0.2.99"]
    assert len(result.findings) == 1


def test_ib_mad_knows_the_device() -> None:
    truth = facts("rds-rdma")
    result = diagnose(program("rds-rdma"), "ib-mad")
    (pair,) = rows(result, "QueuePair")
    (gsi,) = [row for row in truth["queue_pairs_before"] if row["type"] == "GSI"]
    assert (pair.device, pair.port, pair.name) == (gsi["ifname"], gsi["port"], "GSI")
    # IB_MAD_QP_SEND_SIZE and IB_MAD_QP_RECV_SIZE, the defaults
    assert (pair.limit, pair.receiving) == (128, 512)
    assert (pair.sending, pair.overflow) == (0, 0)


def test_ib_mad_shows_the_datagrams_that_wait() -> None:
    truth = facts("ib-mad-overflow")
    prog = program("ib-mad-overflow")
    result = diagnose(prog, "ib-mad")
    (pair,) = rows(result, "QueuePair")
    waiting = Counter(row.list for row in rows(result, "Datagram"))
    assert pair.limit == pair.sending == waiting["sq_list"] == 128
    assert pair.overflow == waiting["ovfl_list"] > 0
    requests = [row for row in rows(result, "Datagram") if row.message == "REQ"]
    # A peer that does not answer is asked again; nobody has anything else to say.
    assert len(requests) == len(rows(result, "Datagram"))
    assert {row.management_class for row in requests} == {"communication management"}
    assert pair.oldest == requests[0].address
    (finding,) = result.findings
    assert f"{pair.overflow} management datagrams of rxe0 port 1 wait" in finding.sentence
    assert f"send_queue 128 of 128, overflow_list {pair.overflow}" in finding.evidence[0]
    connections = rows(diagnose(prog, "rds"), "Connection")
    assert len(connections) == truth["peers"]
    assert {(row.rdma_cm_state, row.ib_cm_state) for row in connections} == {
        ("RDMA_CM_CONNECT", "IB_CM_REQ_SENT")
    }


def test_irq_vectors_run_out() -> None:
    truth = facts("irq-exhaustion")
    assert "Removing after probe failure status: -28" in truth["log"]  # ENOSPC
    prog = program("irq-exhaustion")
    result = diagnose(prog, "irq-vectors")
    (matrix,) = rows(result, "Matrix")
    # Devices that did not get all that they need gave back what they had got: how many are left is up to chance.
    assert matrix.global_available < 2
    severity = Severity.WARNING if matrix.global_available else Severity.CRITICAL
    assert findings_of_everything(prog) == {"irq-vectors": [severity]}
    consumers = rows(result, "Consumer")
    taken = sum(row.vectors for row in consumers if row.driver in ("virtio-pci", "nvme"))
    assert taken == truth["interrupts"] > 150
    assert [row.vectors for row in consumers[:3]] == [64, 64, 40]
    (totals,) = rows(result, "CpuTotals")
    assert (totals.matrix_available, totals.unexplained) == (matrix.global_available, 0)
    (finding,) = result.findings
    assert f"virtio-pci {consumers[0].device} takes 64" in finding.evidence


def test_irq_vectors_agree_with_the_guest() -> None:
    truth = facts("irq-vectors")
    result = diagnose(program("irq-vectors"), "irq-vectors")
    (matrix,) = rows(result, "Matrix")
    maps = {row.cpu: row for row in rows(result, "CpuMap")}
    assert {cpu for cpu, row in maps.items() if not row.online} == {truth["offline"]}
    online = {cpu: row for cpu, row in maps.items() if row.online}
    assert sum(row.allocated for row in online.values()) == matrix.total_allocated
    assert sum(row.available for row in online.values()) == matrix.global_available
    assert matrix.online_maps == len(online) == 3

    vectors = {row.irq: row for row in rows(result, "Vector") if row.irq is not None}
    for irq, (vector, cpu) in truth["vectors"].items():
        if (vector, cpu) != (239, 0):  # what interrupts get that are not in use
            assert (vectors[int(irq)].vector, vectors[int(irq)].cpu) == (vector, cpu)
    for irq in map(int, truth["displaced"]):
        assert irq not in vectors or vectors[irq].cpu != truth["offline"]
    interrupts = {row["irq"]: row for row in truth["interrupts"]}
    for irq, row in vectors.items():
        known = interrupts[irq]
        assert row.function == known["actions"].replace(",", ", ")
        if known["chip"] != "XT-PIC":
            assert str(row.cpu) == known["effective"]
    for device in truth["devices"]:
        for irq in device["irqs"]:
            if irq in vectors:
                assert (vectors[irq].device, vectors[irq].driver) == (
                    device["device"],
                    device["driver"],
                )
    # NVMe and block devices ask for a queue on each CPU, and that of CPU 3 was shut down with it.
    managed = {row.function for row in vectors.values() if row.managed}
    assert {re.sub(r"virtio\d+", "virtioN", name) for name in managed} == {
        *("nvme0q1", "nvme0q2", "nvme0q3"),
        *("virtioN-req.0", "virtioN-req.1", "virtioN-req.2"),
    }


def test_irq_vectors_of_unplugged_devices_are_free_again() -> None:
    unplugged = facts("irq-vectors")["unplugged"]
    assert [len(device["irqs"]) for device in unplugged] == [5, 5]
    result = diagnose(program("irq-vectors"), "irq-vectors")
    gone = {device["device"] for device in unplugged}
    irqs = {irq for device in unplugged for irq in device["irqs"]}
    assert not gone & {row.device for row in rows(result, "Consumer")}
    for row in rows(result, "Vector"):
        assert row.irq not in irqs
        assert row.device not in gone


def test_irq_vectors_by_device_are_reconciled_with_the_matrix() -> None:
    truth = facts("irq-vectors")
    result = diagnose(program("irq-vectors"), "irq-vectors")
    consumers = {row.device: row for row in rows(result, "Consumer")}
    in_use = {row.irq for row in rows(result, "Vector") if row.irq is not None}
    for device in truth["devices"]:
        row = consumers[device["device"]]
        assert row.driver == device["driver"]
        assert row.vectors == len(in_use & set(device["irqs"]))
    (nvme,) = [row for row in consumers.values() if row.driver == "nvme"]
    # Its four queues have a CPU each, and that of CPU 3 was shut down with it.
    assert (nvme.vectors, nvme.managed, nvme.shut_down) == (4, 3, 1)

    totals = rows(result, "CpuTotals")
    assert [row.cpu for row in totals] == [0, 1, 2]
    for row in totals:
        assert (row.total, row.reserved, row.unexplained) == (256, 53, 0)
        assert row.used + row.reserved + row.available == row.total
        bits = "".join(line.used for line in rows(result, "Bitmap") if line.cpu == row.cpu)
        digits = bits.replace(" ", "")
        assert len(digits) == 256
        assert digits.count("1") == row.used
        used = {line.vector for line in rows(result, "Vector") if line.cpu == row.cpu}
        assert {place for place, digit in enumerate(digits) if digit == "1"} == used


@pytest.mark.parametrize("name", ["panic", "crash-in-irq"])
def test_panic_says_why_and_where(name: str) -> None:
    target = lab.target(name)
    result = diagnose(program(name, "vmcore"), "panic")
    (row,) = rows(result, "Panic")
    (finding,) = result.findings
    assert finding.severity == Severity.CRITICAL
    functions = [frame.function.split("+")[0].split(" ")[0] for frame in rows(result, "Frame")]
    registers = {register.name: register.value for register in rows(result, "Register")}
    assert registers["rip"] == rows(result, "Frame")[0].address
    if name == "panic":
        assert "sysrq triggered crash" in row.message
        assert "sysrq_handle_crash" in functions
    else:
        assert "NULL pointer dereference" in row.message
        assert {"lab_crash_here", "lab_timer_function", "lab_spin_inner"} <= set(functions)
        assert row.command.startswith("lab_spinner/")
        assert row.cpu == target.truth["facts"].get("cpu", 1)
