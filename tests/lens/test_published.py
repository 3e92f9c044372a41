"""The functions of published case studies print what was published."""

import re

import pytest

import kdive
import lab
from kdive.render.published import (
    dump_memcg_kernfs_nodes,
    dump_page_cache_pages_pinning_cgroups,
    get_num_dying_mem_cgroups,
    rds_conn_info,
    show_unexpired_delayed_works,
)
from tests.lens.support import program

pytestmark = [pytest.mark.lab, pytest.mark.scenario]


def test_zombies_and_their_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    prog = program("memcg-zombies")
    facts = lab.target("memcg-zombies").truth["facts"]
    assert get_num_dying_mem_cgroups(prog) == facts["dying"]
    dump_memcg_kernfs_nodes(prog)
    *lines, last = capsys.readouterr().out.splitlines()
    paths = [re.fullmatch(r"kernfs_node:  0x[0-9a-f]{16}    (.*)", line) for line in lines]
    zombies = {f"/lab/{zombie['name']}" for zombie in facts["zombies"]}
    assert {path[1] for path in paths if path} == zombies | {"/", "/lab", "/lab/alive"}
    # The root, those that live and those that don't
    assert last == (
        f"Total number of memcg kernfs_node objects:  {1 + facts['descendants'] + facts['dying']}"
    )


def test_pages(capsys: pytest.CaptureFixture[str]) -> None:
    prog = program("memcg-zombies")
    dump_page_cache_pages_pinning_cgroups(prog)
    *lines, last = capsys.readouterr().out.splitlines()
    pattern = re.compile(r"page: 0x[0-9a-f]{16} cgroup: (\S+) state: (\S+) path: (.*)")
    found = [match.groups() for line in lines if (match := pattern.fullmatch(line))]
    assert len(found) == len(lines)
    for number in range(1, 6):
        # Files of 4, 8, … blocks of 64 KiB; the paths are seen from the root of the disk.
        assert found.count((f"/lab/cache{number}", "ZOMBIE", f"/file{number}")) == number * 64
    assert found.count(("/lab/locked", "ZOMBIE", "/locked")) == 128
    assert any(state != "ZOMBIE" for _, state, _ in found)
    assert last == (
        f"Scanned 131072 pages, found {len(found)} pages with memory cgroup refs, found 0 faults."
    )
    dump_page_cache_pages_pinning_cgroups(prog, max_pages=3)
    assert len(capsys.readouterr().out.splitlines()) == 4
    dump_page_cache_pages_pinning_cgroups(prog, max_scan=40000)
    assert capsys.readouterr().out.splitlines()[-1].startswith("Scanned 40000 pages, ")


def test_connections(capsys: pytest.CaptureFixture[str]) -> None:
    prog = program("rds-rdma")
    rds_conn_info(prog)
    header, *lines = capsys.readouterr().out.splitlines()
    assert re.split(r"\s{2,}", header) == [
        *("", "rds_conn", "ib_conn", "Conn Path", "ToS", "Local Addr", "Remote Addr", "State"),
        *("NextTX", "NextRX", "Flags", "Conn-Time", "i_cm_id", "RDMA CM State", "ib_cm_id"),
        "IB CM State",
    ]
    (silent,) = [re.split(r"\s{2,}", line) for line in lines if "192.0.2.11" in line]
    assert silent[4:12] == [
        *("0", "192.0.2.1", "192.0.2.11", "RDS_CONN_CONNECTING", "2", "0", "-c--", "N/A")
    ]
    assert (silent[13], silent[15]) == ("RDMA_CM_CONNECT", "IB_CM_REQ_SENT")
    assert len(lines) == 4
    rds_conn_info(prog, faddr="192.0.2.12,192.0.2.13", state="connecting")
    assert len(capsys.readouterr().out.splitlines()) == 3
    rds_conn_info(prog, state="up")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_connections_where_there_is_no_rds() -> None:
    with pytest.raises(LookupError, match="the kernel module rds is not loaded"):
        rds_conn_info(program("idle"))


def test_delayed_works(capsys: pytest.CaptureFixture[str]) -> None:
    facts = lab.target("delayed-work").truth["facts"]
    prog = program("delayed-work")
    kdive.set_default_prog(prog)
    show_unexpired_delayed_works()
    kdive.set_default_prog(None)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "CPU: 1 state: offline"
    works = {}
    for line in lines:
        match = re.fullmatch(
            r"timer: ([0-9a-f]+) tte\(jiffies\): (-?\d+) work: ([0-9a-f]+) func: (.*)", line
        )
        assert match is not None
        works[int(match[3], 16)] = int(match[2]), match[4]
    overdue, later = works[facts["overdue_address"]], works[facts["later_address"]]
    assert len(works) == 2
    assert overdue[0] < 0 < later[0]
    assert overdue[1] == "lab_overdue_function [lab_delayed]"
    show_unexpired_delayed_works(prog, only_offline_cpus=False)
    assert capsys.readouterr().out.count("CPU: ") == 4
