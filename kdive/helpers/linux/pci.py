# SPDX-License-Identifier: Apache-2.0
"""PCI buses and devices (include/linux/pci.h)."""

import enum
from collections.abc import Iterator

from kdive import Object, Program
from kdive.helpers import ValidationError
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.list import list_for_each_entry

__all__ = (
    "for_each_pci_dev",
    "for_each_pci_root_bus",
    "pci_bus_for_each_child",
    "pci_bus_for_each_dev",
    "pci_bus_name",
    "pci_is_bridge",
    "pci_name",
    "pci_pcie_type",
)

# Types of headers in configuration space
_HEADER_TYPE_MASK = 0x7F
_HEADER_TYPE_BRIDGE = 1
_HEADER_TYPE_CARDBUS = 2
_PCIE_TYPE_MASK = 0xF0
_PCIE_TYPE_SHIFT = 4
# Bus numbers are bytes.
_MAX_DEPTH = 256


class PCI_EXP_TYPE(enum.IntEnum):  # noqa: N801 - named like the kernel's constants
    """Type of a PCI Express device or port."""

    ENDPOINT = 0x0
    LEG_END = 0x1
    ROOT_PORT = 0x4
    UPSTREAM = 0x5
    DOWNSTREAM = 0x6
    PCI_BRIDGE = 0x7
    PCIE_BRIDGE = 0x8
    RC_END = 0x9
    RC_EC = 0xA


@takes_program_or_default
def for_each_pci_root_bus(prog: Program) -> Iterator[Object]:
    """Iterate over the root buses: ``pci_root_buses``.

    :return: Iterator of ``struct pci_bus *`` objects.
    """
    return list_for_each_entry("struct pci_bus", prog["pci_root_buses"].address_of_(), "node")


def pci_bus_for_each_child(bus: Object) -> Iterator[Object]:
    """Iterate over the buses directly below a bus.

    :param bus: ``struct pci_bus *``
    :return: Iterator of ``struct pci_bus *`` objects.
    """
    return list_for_each_entry("struct pci_bus", bus.children.address_of_(), "node")


def pci_bus_for_each_dev(bus: Object) -> Iterator[Object]:
    """Iterate over the devices on a bus, without those below its bridges.

    :param bus: ``struct pci_bus *``
    :return: Iterator of ``struct pci_dev *`` objects.
    """
    return list_for_each_entry("struct pci_dev", bus.devices.address_of_(), "bus_list")


def _devices_below(bus: Object, depth: int) -> Iterator[Object]:
    if depth > _MAX_DEPTH:
        raise ValidationError(f"PCI buses are nested deeper than {_MAX_DEPTH} at {hex(bus)}")
    yield from pci_bus_for_each_dev(bus)
    for child in pci_bus_for_each_child(bus):
        yield from _devices_below(child, depth + 1)


@takes_program_or_default
def for_each_pci_dev(prog: Program) -> Iterator[Object]:
    """Iterate over all devices, bus by bus.

    :return: Iterator of ``struct pci_dev *`` objects.
    """
    for bus in for_each_pci_root_bus(prog):
        yield from _devices_below(bus, 0)


def pci_bus_name(bus: Object) -> str:
    """Get the name of a bus: domain and number, e.g. ``"0000:00"``.

    :param bus: ``struct pci_bus *``
    """
    name: bytes = bus.dev.kobj.name.string_()
    return name.decode()


def pci_name(dev: Object) -> str:
    """Get the name of a device: domain, bus, device and function, e.g. ``"0000:00:1f.2"``.

    :param dev: ``struct pci_dev *``
    """
    name: bytes = dev.dev.kobj.name.string_()
    return name.decode()


def pci_is_bridge(dev: Object) -> bool:
    """Return whether a device is a bridge to another PCI or CardBus bus.

    :param dev: ``struct pci_dev *``
    """
    return dev.hdr_type.value_() & _HEADER_TYPE_MASK in (_HEADER_TYPE_BRIDGE, _HEADER_TYPE_CARDBUS)


def pci_pcie_type(dev: Object) -> PCI_EXP_TYPE | int:
    """Get the PCI Express type of a device or port.

    :param dev: ``struct pci_dev *``
    :return: Type, as a number if it is not a known one.
    """
    value = (dev.pcie_flags_reg.value_() & _PCIE_TYPE_MASK) >> _PCIE_TYPE_SHIFT
    try:
        return PCI_EXP_TYPE(value)
    except ValueError:
        return int(value)
