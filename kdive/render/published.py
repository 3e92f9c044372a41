"""Functions that published case studies call, under their own names; they print what was published.

The same answers as rows are what the diagnoses of `kdive lens` give: `memcg`, `memcg-pages`, `rds`, `delayed-works`.
"""

from collections.abc import Sequence
from datetime import timedelta

from kdive import FaultError, Object, Program
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.cgroup import cgroup_path, css_for_each_descendant_pre
from kdive.helpers.linux.cpumask import for_each_online_cpu, for_each_possible_cpu
from kdive.helpers.linux.fs import inode_path
from kdive.helpers.linux.kernfs import kernfs_path
from kdive.helpers.linux.memcg import (
    charged_pages,
    decode_css_flags,
    memcg_data_mem_cgroup,
    nr_dying_mem_cgroups,
)
from kdive.helpers.linux.mm import pfn_to_page
from kdive.helpers.linux.workqueue import for_each_delayed_work_timer
from kdive.lens import run_here
from kdive.lens.diagnoses.rds import Connection, rds
from kdive.lens.text import function_name

__all__ = (
    "dump_memcg_kernfs_nodes",
    "dump_page_cache_pages_pinning_cgroups",
    "get_num_dying_mem_cgroups",
    "rds_conn_info",
    "show_unexpired_delayed_works",
)

# Flags of page.memcg_data (slab objects, kernel memory) and of page.mapping (anonymous, movable)
_MEMCG_DATA_FLAGS = 3
_MAPPING_FLAGS = 3
_CONNECTION_COLUMNS = (
    *(
        "",
        "rds_conn",
        "ib_conn",
        "Conn Path",
        "ToS",
        "Local Addr",
        "Remote Addr",
        "State",
        "NextTX",
    ),
    *("NextRX", "Flags", "Conn-Time", "i_cm_id", "RDMA CM State", "ib_cm_id", "IB CM State"),
)


@takes_program_or_default
def get_num_dying_mem_cgroups(prog: Program) -> int:
    """Get how many cgroups of the memory controller's hierarchy were removed and live on."""
    return nr_dying_mem_cgroups(prog)


@takes_program_or_default
def dump_memcg_kernfs_nodes(prog: Program) -> None:
    """Print the kernfs node and the path of every cgroup of the memory controller's hierarchy, removed ones too."""
    root = prog["root_mem_cgroup"].css.cgroup.root.cgrp
    count = 0
    for css in css_for_each_descendant_pre(root.self.address_of_()):
        node = css.cgroup.kn.read_()
        print(f"kernfs_node:  {int(node):#x}    {kernfs_path(node).decode(errors='replace')}")
        count += 1
    print(f"Total number of memcg kernfs_node objects:  {count}")


@takes_program_or_default
def dump_page_cache_pages_pinning_cgroups(
    prog: Program, max_pages: int = 0, max_scan: int = 0
) -> None:
    """Print every page of a file that is charged to a memory cgroup, with the cgroup, its state and the file.

    Args:
        prog: The program.
        max_pages: Stop after so many pages were printed; 0 for no limit.
        max_scan: Stop after so many pages were looked at; 0 for no limit.
    """
    scanned = found = faults = 0
    for block in charged_pages(prog):
        words = block.memcg_data.tolist()
        if max_scan:
            words = words[: max_scan - scanned]
        for position, word in enumerate(words):
            mapping = block.mapping[position] if word else 0
            if not mapping or mapping & _MAPPING_FLAGS or word & _MEMCG_DATA_FLAGS:
                continue
            try:
                line = _page_line(prog, block.first_pfn + position, word, mapping)
            except FaultError:
                faults += 1
                continue
            if line is not None:
                print(line)
                found += 1
                if found == max_pages:
                    scanned += position + 1
                    break
        else:
            scanned += len(words)
            if scanned != max_scan:
                continue
        break
    print(
        f"Scanned {scanned} pages, found {found} pages with memory cgroup refs, found {faults} faults."
    )


def _page_line(prog: Program, pfn: int, memcg_data: int, mapping: int) -> str | None:
    path = inode_path(Object(prog, "struct address_space *", mapping).host.read_())
    if path is None:
        return None
    cgroup = memcg_data_mem_cgroup(prog, memcg_data).css.cgroup.read_()
    css = cgroup.self.address_of_()
    state = decode_css_flags(css) if css.flags.value_() else "ZOMBIE"
    return (
        f"page: {int(pfn_to_page(prog, pfn)):#x} cgroup: {cgroup_path(cgroup).decode(errors='replace')} "
        f"state: {state} path: /{path.decode(errors='replace').lstrip('/')}"
    )


@takes_program_or_default
def rds_conn_info(
    prog: Program,
    laddr: str | None = None,
    faddr: str | None = None,
    tos: str | None = None,
    state: str | None = None,
) -> None:
    """Print a line for each RDS connection: its first path, as connections over InfiniBand have no other.

    Args:
        prog: The program.
        laddr: Only those with one of these local addresses, separated by commas.
        faddr: Only those with one of these addresses of peers.
        tos: Only those with one of these types of service.
        state: Only those in a state whose name has one of these texts in it, in lower case.

    Raises:
        LookupError: RDS is not loaded, or its debugging symbols are missing.
    """
    result = run_here(prog, rds)
    if result.reason and not result.rows:
        raise LookupError(result.reason)
    wanted = [_words(text) for text in (laddr, faddr, tos)]
    states = _words(state)
    table: list[Sequence[str]] = [_CONNECTION_COLUMNS]
    for row in result.rows:
        if not isinstance(row, Connection) or row.path:
            continue
        values = (row.local, row.remote, str(row.tos))
        if all(
            not words or value in words for value, words in zip(values, wanted, strict=True)
        ) and (not states or any(word in row.state.lower() for word in states)):
            table.append(_connection(len(table) - 1, row))
    _print_table(table)


def _words(text: str | None) -> list[str]:
    return text.lower().split(",") if text else []


def _connection(number: int, row: Connection) -> tuple[str, ...]:
    def address(value: int | None) -> str:
        return "N/A" if value is None else hex(value)

    return (
        str(number),
        hex(row.rds_conn),
        address(row.ib_conn),
        hex(row.conn_path),
        str(row.tos),
        row.local,
        row.remote,
        row.state,
        str(row.next_tx),
        str(row.next_rx),
        row.flags,
        "N/A" if row.connected_s is None else str(timedelta(seconds=row.connected_s)),
        address(row.cm_id),
        row.rdma_cm_state or "N/A",
        address(row.ib_cm_id),
        row.ib_cm_state or "N/A",
    )


def _print_table(table: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        )


@takes_program_or_default
def show_unexpired_delayed_works(prog: Program, only_offline_cpus: bool = True) -> None:
    """Print the delayed works whose timers have not fired, CPU by CPU.

    Args:
        prog: The program.
        only_offline_cpus: Whether to leave out CPUs that are online.
    """
    online = set(for_each_online_cpu(prog))
    for cpu in for_each_possible_cpu(prog):
        if cpu in online and only_offline_cpus:
            continue
        print(f"CPU: {cpu} state: {'online' if cpu in online else 'offline'}")
        try:
            for timer in for_each_delayed_work_timer(prog, cpu):
                function = function_name(prog, timer.work.work.func.value_())
                print(
                    f"timer: {int(timer.timer):x} tte(jiffies): {timer.remaining_jiffies} "
                    f"work: {int(timer.work):x} func: {function}"
                )
        except FaultError as error:
            print(f"the timers of CPU {cpu} can't be read further: {error}")
