# SPDX-License-Identifier: Apache-2.0
"""Devices, buses and classes (include/linux/device.h), device numbers (include/linux/kdev_t.h)."""

from collections.abc import Iterable, Iterator
from operator import index

from kdive import NULL, IntegerLike, Object, Program, cast, container_of, offsetof
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._walk import follow, member_reader, pointers
from kdive.helpers.linux.list import list_for_each_entry

__all__ = (
    "MAJOR",
    "MINOR",
    "MKDEV",
    "bus_for_each_dev",
    "bus_to_subsys",
    "class_for_each_device",
    "class_to_subsys",
    "dev_name",
    "for_each_registered_blkdev",
    "for_each_registered_chrdev",
)

_MINOR_BITS = 20
# A knode that was removed while it was referenced has this bit set in its pointer to the klist.
_KNODE_DEAD = 1


def MAJOR(dev: IntegerLike) -> int:
    """Get the major number of a device number.

    :param dev: ``dev_t``
    """
    return index(dev) >> _MINOR_BITS


def MINOR(dev: IntegerLike) -> int:
    """Get the minor number of a device number.

    :param dev: ``dev_t``
    """
    return index(dev) & (1 << _MINOR_BITS) - 1


def MKDEV(major: IntegerLike, minor: IntegerLike) -> int:
    """Make a device number.

    :param major: Major number.
    :param minor: Minor number.
    :return: ``dev_t``
    """
    return index(major) << _MINOR_BITS | index(minor)


def dev_name(dev: Object) -> bytes:
    """Get the name of a device.

    :param dev: ``struct device *``
    """
    # A device may have a name of its own before it is added.
    name = dev.init_name.read_() or dev.kobj.name.read_()
    text: bytes = name.string_()
    return text


def _find_subsys(kset: Object, member: str, owner: Object) -> Object:
    """Find the private data of a bus or class among those on the list of a kset."""
    prog = owner.prog_
    for subsys in list_for_each_entry(
        "struct subsys_private", kset.list.address_of_(), "subsys.kobj.entry"
    ):
        if subsys.member_(member) == owner:
            return subsys
    return NULL(prog, "struct subsys_private *")


def bus_to_subsys(bus: Object) -> Object:
    """Get the private data of a bus.

    :param bus: ``struct bus_type *``
    :return: ``struct subsys_private *``, ``NULL`` if the bus is not registered.
    """
    if bus.prog_.type("struct bus_type").has_member("p"):
        return bus.p.read_()
    # "driver core: bus: remove private pointer from struct bus_type" (Linux 6.3)
    return _find_subsys(bus.prog_["bus_kset"], "bus", bus)


def class_to_subsys(class_: Object) -> Object:
    """Get the private data of a class.

    :param class_: ``struct class *``
    :return: ``struct subsys_private *``, ``NULL`` if the class is not registered.
    """
    if class_.prog_.type("struct class").has_member("p"):
        return class_.p.read_()
    # "driver core: class: remove subsystem private pointer from struct class" (Linux 6.4)
    return _find_subsys(class_.prog_["class_kset"], "class", class_)


def _klist_nodes(klist: Object) -> Iterator[Object]:
    """Iterate over the ``struct klist_node *`` of a klist that were not removed."""
    for node in list_for_each_entry("struct klist_node", klist.k_list.address_of_(), "n_node"):
        if not node.n_klist.value_() & _KNODE_DEAD:
            yield node


def bus_for_each_dev(bus: Object) -> Iterable[Object]:
    """Iterate over the devices on a bus.

    :param bus: ``struct bus_type *``
    :return: Iterator of ``struct device *`` objects.
    """
    subsys = bus_to_subsys(bus)
    if not subsys:
        return
    for node in _klist_nodes(subsys.klist_devices):
        yield container_of(node, "struct device_private", "knode_bus").device.read_()


def class_for_each_device(class_: Object) -> Iterable[Object]:
    """Iterate over the devices of a class.

    :param class_: ``struct class *``
    :return: Iterator of ``struct device *`` objects.
    """
    subsys = class_to_subsys(class_)
    if not subsys:
        return
    for node in _klist_nodes(subsys.klist_devices):
        yield container_of(node, "struct device_private", "knode_class").device.read_()


def _hash_chain(prog: Program, type: str, first: Object) -> Iterator[Object]:
    step = member_reader(prog, offsetof(prog.type(type), "next"))
    return pointers(prog, type, follow(step, first.value_(), 0, type))


@takes_program_or_default
def for_each_registered_blkdev(prog: Program) -> Iterator[tuple[int, bytes, Object]]:
    """Iterate over the major numbers of block devices that are registered: ``major_names[]``.

    :return: Iterator of (major number, name, ``struct blk_major_name *``) tuples.
    """
    for bucket in prog["major_names"]:
        for entry in _hash_chain(prog, "struct blk_major_name", bucket):
            yield entry.major.value_(), entry.name.string_(), entry


@takes_program_or_default
def for_each_registered_chrdev(prog: Program) -> Iterator[tuple[int, int, bytes, Object]]:
    """Iterate over the ranges of numbers of character devices that are registered: ``chrdevs[]``.

    :return: Iterator of (first device number, how many minor numbers from there, name, ``struct cdev *``) tuples. The
        last may be ``NULL``.
    """
    for bucket in prog["chrdevs"]:
        for entry in _hash_chain(prog, "struct char_device_struct", bucket):
            first = MKDEV(entry.major.value_(), entry.baseminor.value_())
            cdev = entry.cdev.read_() or _mapped_cdev(prog, first)
            yield first, entry.minorct.value_(), entry.name.string_(), cdev


def _mapped_cdev(prog: Program, dev: int) -> Object:
    """Find the ``struct cdev *`` that was added for exactly a device number, in the hash table that open(2) uses."""
    probes = prog["cdev_map"].probes
    for probe in _hash_chain(prog, "struct probe", probes[MAJOR(dev) % len(probes)]):
        if probe.dev.value_() == dev:
            return cast("struct cdev *", probe.data.read_())
    return NULL(prog, "struct cdev *")
