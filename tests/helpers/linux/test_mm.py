# SPDX-License-Identifier: Apache-2.0
from itertools import islice
from typing import Any

import pytest

from kdive import FaultError, Program
from kdive.helpers.linux import mm, mmzone, vmstat
from kdive.helpers.linux.boot import kaslr_offset, pgtable_l5_enabled
from kdive.helpers.linux.fs import inode_for_each_page
from kdive.helpers.linux.hugetlb import for_each_hstate, huge_page_size, hugetlb_total_usage
from kdive.helpers.linux.pid import find_task
from kdive.helpers.linux.swap import for_each_swap_info, swap_total_usage, total_swapcache_pages

pytestmark = pytest.mark.lab

PAGE = 4096


def test_addresses_pages_and_frames_lead_to_each_other(prog: Program) -> None:
    task = find_task(prog, 1)
    address = task.value_()
    physical = mm.virt_to_phys(prog, task).value_()
    pfn = physical // PAGE
    assert mm.phys_to_virt(prog, physical).value_() == address
    assert mm.virt_to_pfn(prog, address).value_() == mm.PHYS_PFN(prog, physical).value_() == pfn
    assert mm.PFN_PHYS(prog, pfn).value_() == pfn * PAGE
    page = mm.virt_to_page(prog, task)
    assert page == mm.pfn_to_page(prog, pfn) == mm.phys_to_page(prog, physical)
    assert mm.page_to_pfn(page).value_() == pfn
    assert mm.page_to_phys(page).value_() == pfn * PAGE
    assert mm.page_to_virt(page) == mm.pfn_to_virt(prog, pfn)
    assert prog.read(physical, 64, True) == prog.read(address, 64)


def test_the_direct_map(prog: Program) -> None:
    start = prog["page_offset_base"].value_()
    end = start + prog["max_pfn"].value_() * PAGE
    inside = [start + PAGE, end - 1, find_task(prog, 1).value_()]
    outside = [0, start - 1, end, prog["init_task"].address_, find_task(prog, 1).stack.value_()]
    assert [mm.in_direct_map(prog, a) for a in inside] == [True] * len(inside)
    assert [mm.in_direct_map(prog, a) for a in outside] == [False] * len(outside)


def test_page_tables_agree_with_the_direct_map(prog: Program) -> None:
    init_mm = prog["init_mm"].address_of_()
    task = find_task(prog, 1)
    assert mm.follow_phys(init_mm, task) == mm.virt_to_phys(prog, task)
    assert mm.follow_page(init_mm, task) == mm.virt_to_page(prog, task)
    stack = task.stack.value_()
    page = mm.vmalloc_to_page(prog, stack)
    assert page == mm.pfn_to_page(prog, mm.vmalloc_to_pfn(prog, stack))
    assert prog.read(stack, PAGE) == prog.read(mm.page_to_phys(page), PAGE, True)
    for address in (0, 0x800000000000, 1 << 62):
        with pytest.raises(FaultError) as error:
            mm.follow_phys(init_mm, address)
        assert error.value.address == address


def test_memory_of_a_process(prog: Program, truth: dict[str, Any]) -> None:
    process = next(p for p in truth["processes"] if p["pid"] == 1)
    task = find_task(prog, 1)
    start = int(process["maps"][0].split("-")[0], 16)
    assert mm.access_process_vm(task, start, 4) == b"\x7fELF"
    assert mm.access_remote_vm(task.mm, start + 1, 3) == b"ELF"
    assert mm.access_remote_vm(task.mm, start, 0) == b""
    # More than a page at a time is the same as its parts.
    first, last = task.mm.arg_start.value_(), task.mm.env_end.value_()
    pieces = [mm.access_remote_vm(task.mm, a, min(10, last - a)) for a in range(first, last, 10)]
    assert mm.access_remote_vm(task.mm, first, last - first) == b"".join(pieces)
    stack = task.mm.start_stack.value_() & -PAGE
    assert mm.access_remote_vm(task.mm, stack - 8, 16) == mm.access_remote_vm(
        task.mm, stack - 8, 8
    ) + mm.access_remote_vm(task.mm, stack, 8)
    with pytest.raises(FaultError):
        mm.access_remote_vm(task.mm, 0, 1)
    with pytest.raises(ValueError, match="negative"):
        mm.access_remote_vm(task.mm, start, -1)


def test_every_page_has_a_structure(prog: Program) -> None:
    ranges = list(mm.for_each_valid_page_range(prog))
    assert ranges[0][0] == 0
    assert ranges[-1][1] >= prog["max_pfn"].value_()
    count = sum(end - start for start, end, _ in ranges)
    assert count == sum(1 for _ in mm.for_each_page(prog))
    for pfn, page in islice(mm.for_each_valid_pfn_and_page(prog), 5000, 5010):
        assert mm.page_to_pfn(page).value_() == pfn


def test_flags_of_pages(prog: Program) -> None:
    task_page = mm.compound_head(mm.virt_to_page(prog, find_task(prog, 1)))
    assert mm.PageSlab(task_page)
    assert "PG_slab" in mm.decode_page_flags(task_page).split("|")
    order = mm.compound_order(task_page).value_()
    assert order > 0
    assert mm.PageHead(task_page)
    assert mm.PageCompound(task_page)
    assert not mm.PageTail(task_page)
    tail = task_page + 1
    assert mm.PageTail(tail)
    assert not mm.PageHead(tail)
    assert mm.compound_head(tail) == task_page
    # A tail page belongs to the slab allocator as much as its head.
    assert mm.PageSlab(tail)
    assert mm.compound_nr(task_page).value_() == 1 << order
    assert mm.page_size(task_page).value_() == PAGE << order
    assert not mm.PageSlobFree(task_page), "a flag that this kernel does not have is never set"
    first = mm.pfn_to_page(prog, 0)
    assert mm.PageReserved(first)
    assert mm.decode_page_flags(first) == "PG_reserved"


def test_pages_of_a_file(prog: Program) -> None:
    # What is mapped is the file below the overlay.
    first = next(mm.for_each_vma(find_task(prog, 1).mm))
    inode = first.vm_file.f_mapping.host
    pages = list(inode_for_each_page(inode))
    assert len(pages) == inode.i_mapping.nrpages.value_() > 10
    for position, page in pages:
        assert mm.page_index(page).value_() == position
        assert page.mapping == inode.i_mapping
        assert mm.PageUptodate(page)
    assert prog.read(mm.page_to_virt(pages[0][1]), 4) == b"\x7fELF"


def test_areas_of_vmalloc(prog: Program) -> None:
    areas = list(mm.for_each_vmap_area(prog))
    starts = [area.va_start.value_() for area in areas]
    assert starts == sorted(starts)
    stack = find_task(prog, 1).stack
    area = mm.find_vmap_area(prog, stack)
    assert area.va_start.value_() <= stack.value_() < area.va_end.value_()
    assert area in areas
    assert not mm.find_vmap_area(prog, 0)


def test_totals_are_those_of_meminfo(prog: Program, truth: dict[str, Any]) -> None:
    kib = truth["tables"]["meminfo_kib"]
    assert mm.totalram_pages(prog) * 4 == kib["MemTotal"]
    assert mm.vm_commit_limit(prog) * 4 == kib["CommitLimit"]
    assert abs(mm.vm_memory_committed(prog) * 4 - kib["Committed_AS"]) < 20_000
    assert abs(vmstat.nr_free_pages(prog) * 4 - kib["MemFree"]) < 20_000
    assert swap_total_usage(prog).pages * 4 == kib["SwapTotal"] == 0
    assert swap_total_usage(prog).used_pages == total_swapcache_pages(prog) == 0
    assert list(for_each_swap_info(prog)) == []
    assert hugetlb_total_usage(prog).pages == kib["HugePages_Total"] == 0
    assert [huge_page_size(h).value_() for h in for_each_hstate(prog)] == [1 << 30, 2 << 20]


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("NR_ANON_MAPPED", "nr_anon_pages"),
        ("NR_SLAB_RECLAIMABLE_B", "nr_slab_reclaimable"),
        ("NR_SLAB_UNRECLAIMABLE_B", "nr_slab_unreclaimable"),
        ("NR_FILE_PAGES", "nr_file_pages"),
        ("NR_SHMEM", "nr_shmem"),
        ("NR_PAGETABLE", "nr_page_table_pages"),
    ],
)
def test_counters_of_nodes(
    prog: Program, before: dict[str, Any], truth: dict[str, Any], item: str, name: str
) -> None:
    value = vmstat.global_node_page_state(prog, prog[item])
    ends = sorted(moment["tables"]["vmstat"][name] for moment in (before, truth))
    # The guest's own look at itself starts a process, which the dump may lack.
    assert ends[0] - 2000 <= value <= ends[1] + 200


def test_counters_of_zones_events_and_numa(
    prog: Program, before: dict[str, Any], truth: dict[str, Any]
) -> None:
    earlier, later = before["tables"]["vmstat"], truth["tables"]["vmstat"]
    total = vmstat.global_zone_page_state(prog, prog["NR_FREE_PAGES"])
    zones = [z for node in mmzone.for_each_online_pgdat(prog) for z in node.node_zones]
    assert (
        sum(vmstat.zone_page_state(z.address_of_(), prog["NR_FREE_PAGES"]) for z in zones) == total
    )
    assert (
        earlier["pgfault"]
        <= vmstat.global_vm_event_state(prog, prog["PGFAULT"])
        <= later["pgfault"]
    )
    assert vmstat.global_numa_event_state(prog, prog["NUMA_HIT"]) <= later["numa_hit"]


def test_sections_and_watermarks(prog: Program) -> None:
    sections = dict(mmzone.for_each_present_section(prog))
    # 512 MiB in sections of 128 MiB
    assert sorted(sections) == [0, 1, 2, 3]
    for number, section in sections.items():
        assert mmzone.nr_to_section(prog, number) == section
        assert mmzone.valid_section(section)
        assert mmzone.online_section_nr(prog, number)
        assert mmzone.section_decode_mem_map(section, number) == mm.pfn_to_page(
            prog, mmzone.section_nr_to_pfn(prog, number)
        )
        assert mmzone.decode_section_flags(section) == (
            "SECTION_MARKED_PRESENT|SECTION_HAS_MEM_MAP|SECTION_IS_ONLINE|SECTION_IS_EARLY"
        )
    assert not mmzone.present_section_nr(prog, 4)
    assert not mmzone.nr_to_section(prog, 1 << 40)
    assert mmzone.pfn_to_section_nr(prog, 40_000).value_() == 1
    zone = mmzone.NODE_DATA(prog, 0).node_zones[1].address_of_()
    low, middle, high = (
        f(zone) for f in (mmzone.min_wmark_pages, mmzone.low_wmark_pages, mmzone.high_wmark_pages)
    )
    assert 0 < low < middle < high
    assert mmzone.wmark_pages(zone, prog["WMARK_HIGH"]) == high


def test_hotplug_blocks(prog: Program) -> None:
    blocks = list(mm.for_each_memory_block(prog))
    assert mm.memory_block_size_bytes(prog).value_() == 128 << 20
    assert [mm.decode_memory_block_state(block) for block in blocks] == ["MEM_ONLINE"] * 4


def test_where_the_kernel_is(prog: Program, truth: dict[str, Any]) -> None:
    assert kaslr_offset(prog) == truth["symbols"]["_text"] - 0xFFFFFFFF81000000
    assert pgtable_l5_enabled(prog) is False
