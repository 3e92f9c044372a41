"""Removed memory cgroups and what keeps them: held against what the guest said before it removed them."""

import pytest

import lab
from tests.lens import checks
from tests.lens.support import diagnose, facts, program, rows

pytestmark = [pytest.mark.lab, pytest.mark.scenario]


def test_memcg_lists_the_zombies_with_what_they_hold() -> None:
    checks.memcg(diagnose(program("memcg-zombies"), "memcg"), facts("memcg-zombies"))


def test_memcg_lists_living_cgroups_when_asked() -> None:
    result = diagnose(program("memcg-zombies"), "memcg", every=True)
    states = {row.path: row.state for row in rows(result, "MemoryCgroup")}
    assert states["/lab/cache1"] == "ZOMBIE"
    assert "CSS_ONLINE" in states["/lab/alive"]
    assert len(states) == facts("memcg-zombies")["dying"] + 3  # the root, lab and alive


@pytest.mark.parametrize("form", ["elf", "kdump-zlib"])
def test_memcg_pages_finds_what_keeps_them(form: str) -> None:
    result = diagnose(program("memcg-zombies", form), "memcg-pages")
    truth = facts("memcg-zombies")
    checks.memcg_pages(result, truth)
    checks.memcg_slab(result, truth)
    checks.memcg_sockets(result, truth, lab.target("memcg-zombies").truth["before"]["processes"])


def test_memcg_pages_stops_where_asked() -> None:
    result = diagnose(program("memcg-zombies"), "memcg-pages", max_pages=1000)
    assert [checked.count for checked in result.checked] == [1000, 9]
    assert any("were not looked at" in note.text for note in result.notes)


def test_memcg_pages_lists_living_cgroups_when_asked() -> None:
    result = diagnose(program("memcg-zombies"), "memcg-pages", every=True)
    pages = [row for row in rows(result, "PinnedPages") if row.cgroup == "/lab/alive"]
    assert {row.state for row in pages} == {"online"}
    anonymous = sum(row.size_bytes for row in pages if row.kind == "anonymous")
    (counted,) = [
        row
        for row in rows(diagnose(program("memcg-zombies"), "memcg", every=True), "MemoryCgroup")
        if row.path == "/lab/alive"
    ]
    assert anonymous == counted.anon_bytes > 0
    objects = [row for row in rows(result, "SlabObjects") if row.cgroup == "/lab/alive"]
    assert {row.handed_over for row in objects} == {False}
    assert sum(row.size_bytes for row in objects) > counted.slab_bytes / 2
