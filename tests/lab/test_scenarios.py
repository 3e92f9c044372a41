"""What the scenarios establish: each one's truth, as the guest's kernel tells it."""

import re

import pytest

import lab

pytestmark = [pytest.mark.lab, pytest.mark.scenario]


def log_of(target: lab.Target) -> str:
    return "\n".join(record.partition(";")[2] for record in target.truth["after"]["kernel_log"])


def mounted(target: lab.Target) -> set[str]:
    return {mount["directory"] for mount in target.truth["before"]["mounts"]}


def test_btrfs_refuses_the_second_device() -> None:
    target = lab.target("btrfs-eexist")
    facts = target.truth["facts"]
    assert facts["mount_status"] == 32
    assert "mount(2) system call failed: File exists" in facts["mount_message"]
    assert "/mnt/healthy" in mounted(target)
    assert not {"/mnt/first", "/mnt/second"} & mounted(target)
    assert "duplicate device /dev/loop1" in log_of(target)
    processes = {row["pid"]: row for row in target.truth["before"]["processes"]}
    assert processes[facts["holder_file"]]["files"]["9"] == "/file"
    assert processes[facts["holder_cwd"]]["cwd"] == "/directory"
    # The detached device is gone as soon as nobody holds it.
    autoclear = {line.split()[0]: line.split()[-1] for line in facts["losetup"].splitlines()}
    assert autoclear == {"/dev/loop0": "1", "/dev/loop1": "0", "/dev/loop2": "0"}


def test_removed_memory_cgroups_live_on() -> None:
    target = lab.target("memcg-zombies")
    facts = target.truth["facts"]
    zombies = {row["name"]: row for row in facts["zombies"]}
    assert facts["dying"] - facts["dying_before"] == len(zombies) == 8
    for number in range(1, 6):
        assert zombies[f"cache{number}"]["stat"]["file"] >= number * (256 << 10)
        assert zombies[f"cache{number}"]["stat"]["anon"] == 0
    assert zombies["shared"]["stat"]["shmem"] == 512 << 10
    assert zombies["locked"]["stat"]["file"] == 512 << 10
    assert zombies["anonymous"]["stat"]["anon"] >= 512 << 10
    assert len({row["id"] for row in zombies.values()}) == 8
    cgroups = {row["pid"]: row["cgroup"] for row in target.truth["before"]["processes"]}
    assert cgroups[facts["holders"]["locked"]] == "/"
    assert "/lab/alive" in cgroups.values()


def test_delayed_works_wait_on_the_offline_cpu() -> None:
    target = lab.target("delayed-work")
    facts, before = target.truth["facts"], target.truth["before"]
    assert (before["cpus"]["online"], before["cpus"]["offline"]) == ("0,2-3", "1")
    assert "lab_delayed: the" not in log_of(target)
    module = next(row for row in before["modules"] if row["name"] == "lab_delayed")
    for name in ("overdue", "later", "online"):
        address = facts[f"{name}_address"]
        assert module["sections"][".data"] <= address < module["address"] + module["size"]
    assert facts["later_expires"] - facts["overdue_expires"] == 3599 * 250
    assert target.modules["lab_delayed"].read_bytes().startswith(b"\x7fELF")


def test_rds_over_tcp_has_a_connection_up_and_one_hanging() -> None:
    facts = lab.target("rds-tcp").truth["facts"]
    for moment in ("before", "after"):
        states = {
            (row["local"], row["remote"], row["transport"]): (row["up"], row["connecting"])
            for row in facts[f"connections_{moment}"]
        }
        assert states == {
            ("192.0.2.1", "192.0.2.2", "tcp"): (True, False),
            ("192.0.2.1", "192.0.2.99", "tcp"): (False, True),
        }
    assert [row["remote"] for row in facts["peer_connections"]] == ["192.0.2.1"]
    assert [row["port"] for row in facts["sockets"]] == [4001, 4002]


def test_rds_over_roce_hangs_at_two_stages() -> None:
    facts = lab.target("rds-rdma").truth["facts"]
    for moment in ("before", "after"):
        rows = facts[f"connections_{moment}"]
        assert {(row["remote"], row["transport"]) for row in rows} == {
            (f"192.0.2.{number}", "infiniband") for number in (11, 12, 13, 99)
        }
        assert not any(row["up"] for row in rows)
        states = {
            row["dst-addr"].split(":")[0]: row["state"]
            for row in facts[f"cm_ids_{moment}"]
            if "dst-addr" in row
        }
        assert {states.get(f"192.0.2.{number}") for number in (11, 12, 13)} == {"CONNECT"}
        assert states.get("192.0.2.99", "") != "CONNECT"


def test_interrupts_are_spread_and_their_vectors_known() -> None:
    target = lab.target("irq-vectors")
    facts = target.truth["facts"]
    assert target.truth["before"]["cpus"]["offline"] == "3"
    drivers = [(row["driver"], len(row["irqs"])) for row in facts["devices"]]
    assert drivers.count(("nvme", 5)) == 1
    assert drivers.count(("virtio-pci", 5)) == 1
    rows = {row["irq"]: row for row in facts["interrupts"]}
    vectors = {int(irq): place for irq, place in facts["vectors"].items()}
    displaced = {int(irq): place for irq, place in facts["displaced"].items()}
    for irq in (irq for row in facts["devices"] for irq in row["irqs"]):
        assert irq in vectors or irq in displaced, irq
    for irq, (vector, cpu) in vectors.items():
        assert rows[irq]["effective"] == str(cpu)
        assert 32 <= vector < 256
    assert {cpu for _, cpu in displaced.values()} == {3}
    # A queue that belongs to CPU 3 alone is shut down with it and keeps its affinity.
    # Virtio devices are numbered as their drivers happen to find them.
    names = [rows[irq]["actions"] for irq in displaced if rows[irq]["affinity"] == "3"]
    managed = sorted(re.sub(r"virtio\d", "virtioN", name) for name in names)
    assert managed == ["nvme0q4", "virtioN-req.3"]


def test_the_crash_happened_in_an_interrupt_on_cpu_1() -> None:
    target = lab.target("crash-in-irq")
    console = (target.directory / "console.log").read_text(errors="replace")
    trace = console[console.index("Oops:") : console.index("Modules linked in")]
    assert re.search(r"CPU: 1 PID: \d+ Comm: lab_spinner/1 ", trace)
    functions = target.truth["facts"]["functions"]
    shown = re.findall(rf"\b({'|'.join(functions)})[.+]", trace)
    assert list(dict.fromkeys(shown)) == functions
    assert trace.index("<IRQ>") < trace.index("lab_timer_function") < trace.index("</IRQ>")
    assert list(target.dumps) == ["vmcore"]


def test_a_busy_machine_changes_between_the_two_observations() -> None:
    target = lab.target("busy")
    before, after = target.truth["before"], target.truth["after"]
    facts = target.truth["facts"]
    stable = {row["pid"] for row in target.stable_tasks}
    alive = {row["pid"] for row in after["tasks"]}
    assert {facts[name] for name in ("compiling", "writing", "forking", "talking")} <= alive
    gone = {row["pid"] for row in before["tasks"]} - stable
    assert len(gone) > 2
    # Five levels of page tables.
    assert "NUMBER(pgtable_l5_enabled)=1" in target_vmcoreinfo(target)


def target_vmcoreinfo(target: lab.Target) -> str:
    content = target.dumps["elf"].read_bytes()[:65536]
    return content[content.index(b"OSRELEASE=") :].decode("ascii", errors="ignore")


def test_ten_thousand_threads_have_their_names() -> None:
    target = lab.target("many-threads")
    facts = target.truth["facts"]
    threads = [row for row in target.stable_tasks if row["tgid"] == facts["process"]]
    assert len(threads) == facts["count"] + 1 == 10001
    assert {row["comm"] for row in threads[1:]} == {f"thread-{n}" for n in range(1, 10001)}


def test_unplugged_devices_have_no_interrupts_any_more() -> None:
    facts = lab.target("irq-vectors").truth["facts"]
    left = {row["irq"] for row in facts["interrupts"]}
    for device in facts["unplugged"]:
        assert len(device["irqs"]) == 5
        assert not left & set(device["irqs"])


def test_connection_requests_pile_up_in_front_of_a_device_that_is_stuck() -> None:
    facts = lab.target("ib-mad-overflow").truth["facts"]
    states = [row["state"] for row in facts["cm_ids"] if "dst-addr" in row]
    assert states == ["CONNECT"] * facts["peers"]
    waiting = re.search(r"backlog \d+b (\d+)p", facts["queue"])
    assert waiting is not None
    assert int(waiting[1]) > 50


def test_all_vectors_of_the_only_cpu_are_taken() -> None:
    target = lab.target("irq-exhaustion")
    assert target.truth["before"]["cpus"]["online"] == "0"
    assert target.truth["facts"]["interrupts"] > 150
    assert "Removing after probe failure status: -28" in target.truth["facts"]["log"]
