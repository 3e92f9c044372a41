"""Interrupt vectors of x86 CPUs: how many there are, who uses them, how many are left."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from kdive import Architecture, Object, Program, cast
from kdive.helpers.linux.bitops import test_bit
from kdive.helpers.linux.cpumask import for_each_online_cpu, for_each_possible_cpu
from kdive.helpers.linux.device import dev_name
from kdive.helpers.linux.irq import (
    for_each_irq_desc,
    irq_desc_action_names,
    irq_desc_actions,
    irq_desc_chip_name,
)
from kdive.helpers.linux.module import address_to_module
from kdive.helpers.linux.percpu import per_cpu, per_cpu_ptr
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Finding,
    Item,
    NoOptions,
    Row,
    Severity,
    column,
    diagnosis,
)
from kdive.lens.needs import Needs
from kdive.lens.text import count_text, string

# Entries of vector_irq[] that are no pointer (VECTOR_*, macros of arch/x86/include/asm/hw_irq.h)
_SHUTDOWN, _RETRIGGERED = -1, -2
_MAX_DOMAINS = 16
_DIGITS_IN_LINE, _DIGITS_IN_GROUP = 64, 8
_CONSUMERS_NAMED = 5


class Matrix(Row, title="System vector matrix", layout="record"):
    """``vector_matrix``, the ``struct irq_matrix`` that hands out vectors."""

    matrix_bits: int = column("vectors of a CPU", "Vector bits")
    alloc_start: int = column("the first vector that can be handed out", "Vector allocation start")
    alloc_end: int = column("the first one after those", "Vector allocation end")
    alloc_size: int = column("how many can be handed out", "Vector allocation size")
    global_available: int = column("vectors left on all online CPUs", "Global available")
    global_reserved: int = column(
        "vectors promised to interrupts that are not in use yet", "Global reserved"
    )
    total_allocated: int = column("vectors in use", "Total allocated")
    online_maps: int = column("CPUs whose vectors can be handed out", "Online maps")


class CpuMap(Row, title="Per-CPU IRQ vector map"):
    """What the matrix counts for a CPU: a ``struct cpumap``."""

    cpu: int = column("the CPU", "CPU")
    online: bool = column("whether its vectors can be handed out")
    available: int = column("vectors left", "Available")
    allocated: int = column("vectors in use", "Allocated")
    managed: int = column("vectors set aside for managed interrupts", "Managed")
    managed_allocated: int = column("those of them that are in use", "Managed Allocated")


class Bitmap(Row, title="Vectors in use"):
    """Which vectors of a CPU have an entry in ``vector_irq``, 64 in a line."""

    cpu: int = column("the CPU", "CPU")
    first: int = column("the first vector of the line", "from")
    used: str = column("1: has an entry, 0: has none; in groups of eight", "vectors")


class CpuTotals(Row, title="Totals"):
    """The vectors of an online CPU by ``vector_irq``, and why the matrix counts others as available."""

    cpu: int = column("the CPU", "CPU")
    total: int = column("all its vectors", "Total Vectors")
    used: int = column("entries in vector_irq", "Used Vectors")
    reserved: int = column(
        "vectors of exceptions, system calls, the local timer and what follows it",
        "Reserved Vectors",
    )
    available: int = column("vectors without an entry that are not reserved", "Available Vectors")
    shut_down: int = column(
        "entries without an interrupt any more: the matrix has them to hand out", "shut down"
    )
    system: int = column("vectors without an entry that the matrix keeps for the system", "system")
    managed_unused: int = column(
        "vectors set aside for managed interrupts that are not in use", "managed unused"
    )
    matrix_available: int = column("what the matrix counts as available", "matrix Available")
    unexplained: int = column(
        "matrix Available - (Available Vectors + shut down - system - managed unused): 0 if nothing moves right now"
    )


class Vector(Row, title="Vectors"):
    """A vector with an entry in ``vector_irq``."""

    cpu: int = column("the CPU", "CPU")
    vector: int = column("the vector", "Vector")
    irq: int | None = column("the interrupt", "IRQ")
    address: int | None = column("struct irq_desc", "Address", hexadecimal=True)
    state: str = column("in use, SHUTDOWN or RETRIGGERED", "State")
    function: str = column("names of its actions", "Function")
    device: str = column("the device", "Device")
    driver: str = column("its driver, or the interrupt controller", "Driver")
    module: str = column("kernel module of the driver; empty if it is built in", "Module")
    managed: bool | None = column(
        "whether the kernel chose the CPU to suit the device's queues", "Managed"
    )


class Consumer(Row, title="Vectors by driver and device"):
    """A device, and how many vectors it takes."""

    driver: str = column("the driver, or the interrupt controller", "Driver")
    device: str = column("the device", "Device")
    vectors: int = column("vectors in use on online CPUs", "Vectors")
    managed: int = column("those of them that are managed", "Managed")
    reserved: int = column("interrupts that were promised a vector and are not in use", "Reserved")
    shut_down: int = column("managed interrupts whose CPUs are all offline", "Shut down")
    by_cpu: str = column("how many on which CPU", "CPU: vectors")


@diagnosis(
    "irq-vectors",
    "Interrupt vectors by CPU, driver and device, and how many are left.",
    rows=(Matrix, CpuMap, CpuTotals, Consumer, Vector, Bitmap),
    options=NoOptions,
    needs=Needs(
        variables={"vector_matrix": "struct irq_matrix *", "vector_irq": "struct irq_desc *[256]"},
        types=("struct irq_matrix", "struct cpumap", "struct apic_chip_data"),
        architectures=(Architecture.X86_64,),
    ),
)
def irq_vectors(context: Context[NoOptions]) -> Iterator[Item]:
    """Read ``vector_matrix``, each CPU's ``vector_irq`` and the interrupts themselves."""
    prog = context.prog
    matrix = context.variable("vector_matrix").read_()
    row = _matrix(matrix)
    yield row
    online = set(for_each_online_cpu(prog))
    interrupts = {i.address: i for i in _interrupts(context)}
    vectors: list[Vector] = []
    for cpu in for_each_possible_cpu(prog):
        with context.tolerate(f"the vectors of CPU {cpu}"):
            cpumap = per_cpu_ptr(matrix.maps, cpu)
            cpu_map = _cpu_map(cpu, cpumap)
            yield cpu_map
            entries = [entry.value_() for entry in per_cpu(context.variable("vector_irq"), cpu)]
            if cpu not in online:
                continue
            yield _totals(prog, cpu_map, entries, row, matrix)
            yield from _bitmap(cpu, entries)
            for vector in _vectors(prog, cpu, entries, interrupts):
                vectors.append(vector)
                yield vector
    consumers = list(_consumers(vectors, list(interrupts.values())))
    yield from consumers
    yield from _exhausted(row, consumers, len(online))
    yield Checked(sum(v.irq is not None for v in vectors), "vector in use", "vectors in use")
    yield Checked(len(interrupts), "interrupt")


def _matrix(matrix: Object) -> Matrix:
    return Matrix(**{made.name: matrix.member_(made.name).value_() for made in fields(Matrix)})


def _cpu_map(cpu: int, cpumap: Object) -> CpuMap:
    return CpuMap(
        cpu=cpu,
        online=bool(cpumap.online),
        available=cpumap.available.value_(),
        allocated=cpumap.allocated.value_(),
        managed=cpumap.managed.value_(),
        managed_allocated=cpumap.managed_allocated.value_(),
    )


def _totals(
    prog: Program, cpu_map: CpuMap, entries: list[int], matrix: Matrix, address: Object
) -> CpuTotals:
    system_map = address.system_map
    can_be_handed_out = range(matrix.alloc_start, matrix.alloc_end)
    # The one system vector among those is that of the old way of system calls.
    syscall = 0x80
    free = [v for v in can_be_handed_out if not entries[v] and v != syscall]
    system = sum(test_bit(v, system_map) for v in free)
    shut_down = sum(
        _signed(prog, entries[v]) == _SHUTDOWN and not test_bit(v, system_map)
        for v in can_be_handed_out
    )
    managed_unused = cpu_map.managed - cpu_map.managed_allocated
    return CpuTotals(
        cpu=cpu_map.cpu,
        total=len(entries),
        used=sum(map(bool, entries)),
        reserved=len(entries) - matrix.alloc_size + 1,
        available=len(free),
        shut_down=shut_down,
        system=system,
        managed_unused=managed_unused,
        matrix_available=cpu_map.available,
        unexplained=cpu_map.available - (len(free) + shut_down - system - managed_unused),
    )


def _bitmap(cpu: int, entries: list[int]) -> Iterator[Bitmap]:
    for first in range(0, len(entries), _DIGITS_IN_LINE):
        digits = "".join(
            "1" if entry else "0" for entry in entries[first : first + _DIGITS_IN_LINE]
        )
        groups = [digits[i : i + _DIGITS_IN_GROUP] for i in range(0, len(digits), _DIGITS_IN_GROUP)]
        yield Bitmap(cpu, first, " ".join(groups))


def _signed(prog: Program, word: int) -> int:
    bits = 8 * prog.address_size()
    return word - (1 << bits) if word >> bits - 1 else word


@dataclass(frozen=True)
class _Interrupt:
    irq: int
    address: int
    function: str
    device: str
    driver: str
    module: str
    is_managed: bool | None
    is_reserved: bool
    is_shut_down: bool


def _interrupts(context: Context[Any]) -> Iterator[_Interrupt]:
    for irq, desc in context.walk(for_each_irq_desc(context.prog), "the interrupts"):
        with context.tolerate(f"interrupt {irq}, struct irq_desc {hex(desc)}"):
            yield _interrupt(context.prog, irq, desc)


def _interrupt(prog: Program, irq: int, desc: Object) -> _Interrupt:
    names = [name.decode(errors="replace") for name in irq_desc_action_names(desc)]
    device, driver, module = _device(prog, desc)
    chip = _apic_chip_data(desc)
    is_managed = bool(chip.is_managed) if chip else None
    return _Interrupt(
        irq=irq,
        address=int(desc),
        function=", ".join(names),
        device=device,
        driver=driver,
        module=module,
        is_managed=is_managed,
        is_reserved=bool(chip and chip.has_reserved),
        is_shut_down=bool(chip and is_managed and names and not chip.vector),
    )


def _device(prog: Program, desc: Object) -> tuple[str, str, str]:
    """Get the names of the device of an interrupt, of its driver and of the driver's module."""
    msi = desc.irq_common_data.msi_desc.read_()
    if msi and msi.dev:
        driver = msi.dev.driver.read_()
        owner = driver.owner.read_() if driver else None
        return (
            dev_name(msi.dev.read_()).decode(errors="replace"),
            string(driver.name) if driver else "",
            string(owner.name) if owner else "",
        )
    # An interrupt through a controller knows no device; the code that handles it tells the module.
    modules = {
        string(m.name)
        for a in irq_desc_actions(desc)
        if (m := address_to_module(prog, a.handler.value_()))
    }
    chip = irq_desc_chip_name(desc)
    return "", chip.decode(errors="replace") if chip else "", ", ".join(sorted(modules))


def _apic_chip_data(desc: Object) -> Object | None:
    """Get the ``struct apic_chip_data *`` of an interrupt: the innermost of its domains is that of the vectors."""
    data = desc.irq_data.address_of_()
    for _ in range(_MAX_DOMAINS):
        parent = data.parent_data.read_()
        if not parent:
            break
        data = parent
    if not data.chip or string(data.chip.name) != "APIC" or not data.chip_data:
        return None
    return cast("struct apic_chip_data *", data.chip_data)


def _vectors(
    prog: Program, cpu: int, entries: list[int], interrupts: dict[int, _Interrupt]
) -> Iterator[Vector]:
    for number, entry in enumerate(entries):
        if not entry:
            continue
        interrupt = interrupts.get(entry)
        if interrupt is not None:
            yield Vector(
                cpu,
                number,
                interrupt.irq,
                entry,
                "in use",
                interrupt.function,
                interrupt.device,
                interrupt.driver,
                interrupt.module,
                interrupt.is_managed,
            )
        else:
            state = {_SHUTDOWN: "SHUTDOWN", _RETRIGGERED: "RETRIGGERED"}.get(
                _signed(prog, entry), "unknown"
            )
            yield Vector(
                cpu,
                number,
                None,
                entry if state == "unknown" else None,
                state,
                "",
                "",
                "",
                "",
                None,
            )


def _consumers(vectors: list[Vector], interrupts: list[_Interrupt]) -> Iterator[Consumer]:
    installed: dict[tuple[str, str], list[Vector]] = {}
    for vector in vectors:
        if vector.irq is not None:
            installed.setdefault((vector.driver, vector.device), []).append(vector)
    asked: dict[tuple[str, str], list[_Interrupt]] = {}
    for interrupt in interrupts:
        if interrupt.function or interrupt.is_reserved:
            asked.setdefault((interrupt.driver, interrupt.device), []).append(interrupt)
    rows = []
    for (driver, device), own in asked.items():
        taken = installed.get((driver, device), [])
        by_cpu = Counter(vector.cpu for vector in taken)
        rows.append(
            Consumer(
                driver=driver,
                device=device,
                vectors=len(taken),
                managed=sum(bool(vector.managed) for vector in taken),
                reserved=sum(interrupt.is_reserved for interrupt in own),
                shut_down=sum(interrupt.is_shut_down for interrupt in own),
                by_cpu=", ".join(f"{cpu}: {count}" for cpu, count in sorted(by_cpu.items())),
            )
        )
    yield from sorted(rows, key=lambda row: (-row.vectors, row.driver, row.device))


def _exhausted(matrix: Matrix, consumers: list[Consumer], cpus: int) -> Iterator[Finding]:
    """Find that interrupts which were promised a vector can't all get one."""
    if matrix.global_available and matrix.global_available >= matrix.global_reserved:
        return
    left = count_text(matrix.global_available, "interrupt vector")
    where = f"{'is' if matrix.global_available == 1 else 'are'} left on {count_text(cpus, 'online CPU')}"
    if matrix.global_available:
        what = (
            f"{left} {where}, fewer than the {matrix.global_reserved} that were promised to devices"
        )
    else:
        what = f"{left} {where}: devices that ask for one get none"
    yield Finding(
        Severity.WARNING if matrix.global_available else Severity.CRITICAL,
        what,
        (
            f"{matrix.total_allocated} are in use, and {matrix.global_reserved} more were promised",
            *(
                f"{row.driver} {row.device} takes {row.vectors}".replace("  ", " ")
                for row in consumers[:_CONSUMERS_NAMED]
            ),
        ),
        "irq-vectors",
    )
