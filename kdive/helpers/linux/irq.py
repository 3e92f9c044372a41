# SPDX-License-Identifier: Apache-2.0
"""Interrupts and their descriptors (include/linux/irqdesc.h)."""

from collections.abc import Iterator
from operator import index

from kdive import NULL, Architecture, IntegerLike, Object, Program, TypeKind, cast
from kdive.helpers import ValidationError
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.mapletree import mt_for_each, mtree_load
from kdive.helpers.linux.percpu import per_cpu_ptr
from kdive.helpers.linux.xarray import xa_for_each, xa_load

__all__ = (
    "for_each_irq_desc",
    "gate_desc_func",
    "irq_desc_action_names",
    "irq_desc_affinity_mask",
    "irq_desc_chip_name",
    "irq_desc_kstat_cpu",
    "irq_get_nr_irqs",
    "irq_to_desc",
)

_MAX_ACTIONS = 4096


@takes_program_or_default
def for_each_irq_desc(prog: Program) -> Iterator[tuple[int, Object]]:
    """Iterate over the descriptors of interrupts.

    :return: Iterator of (interrupt number, ``struct irq_desc *``) tuples.
    """
    if "sparse_irqs" in prog:
        # "genirq: Use a maple tree for interrupt descriptor management" (Linux 6.5)
        for first, last, entry in mt_for_each(prog["sparse_irqs"].address_of_()):
            for number in range(first, last + 1):
                yield number, cast("struct irq_desc *", entry)
    elif "irq_desc_tree" in prog:
        for number, entry in xa_for_each(prog["irq_desc_tree"].address_of_()):
            yield number, cast("struct irq_desc *", entry)
    else:
        # Without CONFIG_SPARSE_IRQ
        for number, desc in enumerate(prog["irq_desc"]):
            yield number, desc.address_of_()


@takes_program_or_default
def irq_to_desc(prog: Program, irq: IntegerLike) -> Object:
    """Get the descriptor of an interrupt.

    :param irq: Interrupt number.
    :return: ``struct irq_desc *``, ``NULL`` if there is none.
    """
    number = index(irq)
    if "sparse_irqs" in prog:
        return cast("struct irq_desc *", mtree_load(prog["sparse_irqs"].address_of_(), number))
    if "irq_desc_tree" in prog:
        return cast("struct irq_desc *", xa_load(prog["irq_desc_tree"].address_of_(), number))
    descs = prog["irq_desc"]
    if not 0 <= number < len(descs):
        return NULL(prog, "struct irq_desc *")
    return descs[number].address_of_()


@takes_program_or_default
def irq_get_nr_irqs(prog: Program) -> int:
    """Get the number of interrupts that the kernel can have."""
    try:
        # "genirq: Unexport nr_irqs" (Linux 6.13) renamed it.
        return prog["total_nr_irqs"].value_()
    except KeyError:
        return prog["nr_irqs"].value_()


def irq_desc_actions(desc: Object) -> Iterator[Object]:
    """Iterate over the actions of an interrupt, of which shared ones have several.

    :param desc: ``struct irq_desc *``
    :return: Iterator of ``struct irqaction *`` objects.
    """
    action = desc.action.read_()
    for _ in range(_MAX_ACTIONS):
        if not action:
            return
        yield action
        action = action.next.read_()
    raise ValidationError(f"interrupt descriptor {hex(desc)} has more than {_MAX_ACTIONS} actions")


def irq_desc_action_names(desc: Object) -> list[bytes]:
    """Get the names of the actions of an interrupt, leaving out those that have none.

    :param desc: ``struct irq_desc *``
    """
    return [action.name.string_() for action in irq_desc_actions(desc) if action.name]


def irq_desc_affinity_mask(desc: Object) -> Object:
    """Get the CPUs that an interrupt may be sent to.

    :param desc: ``struct irq_desc *``
    :return: ``struct cpumask *``
    """
    affinity = desc.irq_common_data.affinity
    # A pointer with CONFIG_CPUMASK_OFFSTACK, else an array of one mask
    if affinity.type_.unaliased_kind() == TypeKind.ARRAY:
        return affinity + 0
    return affinity.read_()


def irq_desc_chip_name(desc: Object) -> bytes | None:
    """Get the name of the controller that an interrupt comes through.

    :param desc: ``struct irq_desc *``
    :return: Name, None if there is none.
    """
    chip = desc.irq_data.chip.read_()
    if not chip or not chip.name:
        return None
    name: bytes = chip.name.string_()
    return name


def irq_desc_kstat_cpu(desc: Object, cpu: IntegerLike) -> int:
    """Get how often an interrupt has come on a CPU.

    :param desc: ``struct irq_desc *``
    :param cpu: CPU number.
    """
    counts = desc.kstat_irqs.read_()
    if not counts:
        return 0
    count = per_cpu_ptr(counts, cpu)[0]
    # "genirq: Provide a snapshot mechanism for interrupt statistics" (Linux 6.10) put it into a structure.
    if count.type_.unaliased_kind() == TypeKind.STRUCT:
        count = count.cnt
    return count.value_()


def gate_desc_func(gate: Object) -> Object:
    """Get the function that a gate of the x86 interrupt descriptor table leads to.

    :param gate: ``gate_desc`` or ``gate_desc *``, e.g. an element of ``idt_table``
    :return: ``void *``
    """
    prog = gate.prog_
    address = gate.offset_low.value_() | gate.offset_middle.value_() << 16
    platform = prog.platform
    if platform is not None and platform.arch == Architecture.X86_64:
        address |= gate.offset_high.value_() << 32
    return Object(prog, "void *", address)
