"""What diagnoses say of a scenario held against what its guest said: the same for its dump and for a running guest."""

import ipaddress
import re
from collections import Counter
from typing import Any

from kdive.lens import Result
from tests.lens.support import rows

Facts = dict[str, Any]


def btrfs(result: Result, truth: Facts) -> None:
    """Diagnosis `btrfs`, scenario `btrfs-eexist`."""
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


def delayed_works(result: Result, truth: Facts) -> None:
    """Diagnosis `delayed-works`, scenario `delayed-work`."""
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


def connections(listed: list[Any], known: list[dict[str, Any]], *, is_live: bool = False) -> None:
    """Hold rows against what RDS told programs in the guest.

    In a running one, connections that can't be made are given up and begun anew every few seconds.
    """
    # s: is sending right now; c: is being connected
    passing = "sc" if is_live else "s"

    def comparable(row: Any) -> tuple[object, ...]:
        return (
            row.local,
            row.remote,
            row.transport,
            row.tos,
            row.next_tx,
            row.next_rx,
            re.sub(f"[{passing}]", "-", row.flags),
        )

    def told(row: dict[str, Any]) -> tuple[object, ...]:
        flags = f"-{'c' if row['connecting'] and not is_live else '-'}{'C' if row['up'] else '-'}-"
        names = ("local", "remote", "transport", "tos", "next_tx", "next_rx")
        return (*(row[name] for name in names), flags)

    # The kernel tells of the first path only.
    assert sorted(comparable(row) for row in listed if row.path == 0) == sorted(map(told, known))


def rds_over_tcp(result: Result, truth: Facts, *, is_live: bool = False) -> None:
    """Diagnosis `rds`, scenario `rds-tcp`."""
    paths_of_all = rows(result, "Connection")
    known = truth["connections_before"] + truth["peer_connections"]
    connections(paths_of_all, known, is_live=is_live)
    # Once the peer has answered there are eight paths, of which messages take one.
    paths = Counter((row.local, row.remote) for row in paths_of_all)
    assert paths == {
        ("192.0.2.1", "192.0.2.2"): 8,
        ("192.0.2.2", "192.0.2.1"): 8,
        ("192.0.2.1", "192.0.2.99"): 1,
    }
    (lost,) = [row for row in paths_of_all if row.remote == "192.0.2.99"]
    between = {"RDS_CONN_DOWN", "RDS_CONN_DISCONNECTING", "RDS_CONN_ERROR"} if is_live else set()
    assert lost.state in {"RDS_CONN_CONNECTING"} | between
    assert ("c" in lost.flags) == (lost.state == "RDS_CONN_CONNECTING")
    # The message, and the ping that RDS sends before the first one
    assert lost.to_send == 2
    assert (lost.ib_conn, lost.cm_id, lost.rdma_cm_state, lost.ib_cm_state) == (None,) * 4
    sockets = {(row.bound, row.bound_port, row.inode) for row in rows(result, "Socket")}
    for socket in truth["sockets"]:
        assert (socket["address"], socket["port"], socket["inode"]) in sockets
    assert len(sockets) == 3  # the one of the other namespace too
    (finding,) = result.findings
    assert finding.sentence.startswith(f"1 of 3 RDS connections hangs in {lost.state}")
    assert "192.0.2.1 to 192.0.2.99 over tcp" in finding.evidence[0]


def rds_over_infiniband(result: Result, truth: Facts) -> None:
    """Diagnosis `rds`, scenario `rds-rdma`."""
    listed = rows(result, "Connection")
    connections(listed, truth["connections_before"])
    cm_ids = {
        row["dst-addr"].split(":")[0]: row["state"]
        for row in truth["cm_ids_before"]
        if "dst-addr" in row
    }
    assert len(cm_ids) == len(listed) == 4
    for row in listed:
        assert row.state == "RDS_CONN_CONNECTING"
        assert row.rdma_cm_state == f"RDMA_CM_{cm_ids[row.remote]}"
        # Silent peers were sent a request; the address of the absent one was never resolved.
        is_absent = ipaddress.ip_address(row.remote) == ipaddress.ip_address("192.0.2.99")
        assert row.ib_cm_state == (None if is_absent else "IB_CM_REQ_SENT"), row
        assert row.to_send == 1
        assert row.ib_conn
        assert row.cm_id
    (finding,) = result.findings
    assert finding.sentence == (
        "4 of 4 RDS connections hang in RDS_CONN_CONNECTING while 4 messages wait"
    )
    assert finding.more.endswith("rds ib-mad")


def ib_mad(result: Result, truth: Facts) -> None:
    """Diagnosis `ib-mad`, scenario `rds-rdma`."""
    (pair,) = rows(result, "QueuePair")
    (gsi,) = [row for row in truth["queue_pairs_before"] if row["type"] == "GSI"]
    assert (pair.device, pair.port, pair.name) == (gsi["ifname"], gsi["port"], "GSI")
    # IB_MAD_QP_SEND_SIZE and IB_MAD_QP_RECV_SIZE, the defaults
    assert (pair.limit, pair.receiving) == (128, 512)
    assert (pair.sending, pair.overflow) == (0, 0)


def memcg(result: Result, truth: Facts) -> None:
    """Diagnosis `memcg`, scenario `memcg-zombies`."""
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
        # One reference for each page, and for each of five sockets
        sockets = 5 if zombie["kind"] == "sockets" else 0
        assert row.references == (stat["file"] + stat["anon"]) // 4096 + sockets
    assert summary.charged_bytes == sum(row.charged_bytes for row in zombies.values())


def memcg_pages(result: Result, truth: Facts) -> None:
    """Diagnosis `memcg-pages`, scenario `memcg-zombies`."""
    held: dict[str, Counter[str]] = {}
    paths = {}
    for row in rows(result, "PinnedPages"):
        assert row.state == "ZOMBIE"
        assert row.size_bytes == row.pages * 4096
        held.setdefault(row.cgroup, Counter())[row.kind] += row.size_bytes
        paths[row.cgroup, row.path] = row
    for zombie in truth["zombies"]:
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
    for row in rows(result, "Holders"):
        (stat,) = (z["stat"] for z in truth["zombies"] if row.cgroup == f"/lab/{z['name']}")
        assert row.pages == (stat["file"] + stat["anon"]) // 4096
        assert row.sockets == (5 if row.cgroup == "/lab/sockets" else 0)
        assert (row.children, row.other) == (0, 0)
        assert row.references == row.pages + row.sockets
    assert len(rows(result, "Holders")) == len(truth["zombies"])


def memcg_slab(result: Result, truth: Facts) -> None:
    """Diagnosis `memcg-pages`, scenario `memcg-zombies`: the objects that removed memory cgroups left to /lab."""
    objects = {row.cache: row for row in rows(result, "SlabObjects")}
    assert {(row.cgroup, row.handed_over) for row in objects.values()} == {("/lab", True)}
    # The files of cache1 to cache5; 500 directories, a file and what three programs say when they are done; sockets.
    assert objects["ext4_inode_cache"].objects == 5
    assert objects["shmem_inode_cache"].objects == 504
    assert objects["sock_inode_cache"].objects == 5
    assert objects["dentry"].objects >= 5 + 504 + 5
    # What the groups were charged for objects before they were removed; some are gone since then.
    left = sum(row.size_bytes for row in objects.values())
    charged = sum(zombie["stat"]["slab"] for zombie in truth["zombies"])
    assert 0.5 < left / (charged + truth["directories"]["slab"]) <= 1


def memcg_sockets(result: Result, truth: Facts, processes: list[dict[str, Any]]) -> None:
    """Diagnosis `memcg-pages`, scenario `memcg-zombies`: the sockets of a process that has left its memory cgroup."""
    pid = truth["holders"]["sockets"]
    (process,) = (process for process in processes if process["pid"] == pid)
    open_files = {fd: name for fd, name in process["files"].items() if "socket" in name}
    sockets = rows(result, "ChargedSocket")
    assert {str(row.fd): f"socket:[{row.inode}]" for row in sockets} == open_files
    assert Counter(row.protocol for row in sockets) == {"TCP": 3, "UNIX-STREAM": 2}
    for row in sockets:
        assert (row.cgroup, row.state) == ("/lab/sockets", "ZOMBIE")
        assert (row.pid, row.command) == (pid, "talker")
    (stat,) = (zombie["stat"] for zombie in truth["zombies"] if zombie["kind"] == "sockets")
    assert sum(row.size_bytes for row in sockets) == stat["sock"] > 200_000


def blocked(result: Result, truth: Facts) -> None:
    """Diagnosis `blocked`, scenario `blocked`."""
    listed = {row.tid: row for row in rows(result, "BlockedTask")}
    known = {
        # who waits: where, for what, its address, its name, who holds it
        "mutex_holder": ("lab_hold_mutex", "", None, "", None),
        "mutex_waiter": ("lab_want_mutex", "mutex", "mutex", "lab_mutex", "mutex_holder"),
        "rwsem_holder": ("lab_hold_rwsem", "", None, "", None),
        "rwsem_reader": (
            "lab_want_to_read",
            "rw_semaphore, to read",
            "rwsem",
            "lab_rwsem",
            "rwsem_holder",
        ),
        "rwsem_writer": (
            "lab_want_to_write",
            "rw_semaphore, to write",
            "rwsem",
            "lab_rwsem",
            "rwsem_holder",
        ),
        "first_holder": ("lab_first_then_second", "mutex", "second", "lab_second", "second_holder"),
        "second_holder": ("lab_second_then_first", "mutex", "first", "lab_first", "first_holder"),
    }
    for name, (function, kind, lock, symbol, holder) in known.items():
        row = listed[truth[name]]
        assert (row.function, row.waits_for) == (function, kind)
        assert row.lock == (truth[f"{lock}_address"] if lock else None)
        assert row.lock_name == symbol
        assert row.holder_tid == (truth[holder] if holder else None)
        assert 0 < row.since_s < 3600
    (finding,) = result.findings
    assert finding.sentence.startswith("2 tasks wait for each other")
    assert set(finding.evidence) == {
        f"lab_first (TID {truth['first_holder']}) waits for the mutex lab_second "
        f"that lab_second (TID {truth['second_holder']}) holds",
        f"lab_second (TID {truth['second_holder']}) waits for the mutex lab_first "
        f"that lab_first (TID {truth['first_holder']}) holds",
    }


def irq_vectors(result: Result, truth: Facts) -> None:
    """Diagnosis `irq-vectors`, scenario `irq-vectors`: the matrix, its CPUs, and each interrupt."""
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


def irq_devices(result: Result, truth: Facts) -> None:
    """Diagnosis `irq-vectors`, scenario `irq-vectors`: the sums by device and by CPU."""
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
