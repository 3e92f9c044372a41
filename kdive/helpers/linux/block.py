# SPDX-License-Identifier: Apache-2.0
"""Disks, partitions and block requests (include/linux/blkdev.h, include/linux/blk-mq.h)."""

import sys
from collections.abc import Iterator
from typing import Literal

from kdive import IntegerLike, Object, Program, cast, container_of
from kdive.helpers.common.format import escape_ascii_string
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.device import MKDEV, class_for_each_device, dev_name
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.sbitmap import sbitmap_for_each_set
from kdive.helpers.linux.xarray import xa_for_each

__all__ = (
    "bdev_partno",
    "blk_mq_rq_from_pdu",
    "blk_mq_rq_to_pdu",
    "blk_rq_bytes",
    "blk_rq_pos",
    "disk_devt",
    "disk_name",
    "for_each_disk",
    "for_each_partition",
    "nr_blockdev_pages",
    "op_is_write",
    "part_devt",
    "part_name",
    "print_disks",
    "print_partitions",
    "req_op",
    "request_queue_busy_iter",
    "rq_data_dir",
)

_REQ_OP_MASK = 0xFF
_PARTNO_MASK = 0xFF


def disk_devt(disk: Object) -> Object:
    """Get the device number of a disk.

    :param disk: ``struct gendisk *``
    :return: ``dev_t``
    """
    number = MKDEV(disk.major.value_(), disk.first_minor.value_())
    return Object(disk.prog_, "dev_t", number)


def disk_name(disk: Object) -> bytes:
    """Get the name of a disk, e.g. ``b"sda"``.

    :param disk: ``struct gendisk *``
    """
    name: bytes = disk.disk_name.string_()
    return name


def _has_hd_struct(prog: Program) -> bool:
    # Partitions were a type of their own until "block: merge struct block_device and struct hd_struct" (Linux 5.11).
    return prog.type("struct gendisk").member("part0").type.unaliased_kind().name == "STRUCT"


def _block_devices(prog: Program) -> Iterator[Object]:
    return iter(class_for_each_device(prog["block_class"].address_of_()))


@takes_program_or_default
def for_each_disk(prog: Program) -> Iterator[Object]:
    """Iterate over the disks: the devices of ``block_class`` whose type is ``disk_type``.

    :return: Iterator of ``struct gendisk *`` objects.
    """
    disk_type = prog["disk_type"].address_of_()
    old = _has_hd_struct(prog)
    for device in _block_devices(prog):
        if device.type != disk_type:
            continue
        if old:
            yield container_of(device, "struct gendisk", "part0.__dev")
        else:
            yield container_of(device, "struct block_device", "bd_device").bd_disk.read_()


@takes_program_or_default
def print_disks(prog: Program) -> None:
    """Print the disks, one per line: major and minor number, name and ``struct gendisk *``."""
    for disk in for_each_disk(prog):
        name = escape_ascii_string(disk_name(disk), escape_backslash=True)
        major, minor = disk.major.value_(), disk.first_minor.value_()
        sys.stdout.write(f"{major}:{minor} {name} ({disk.type_.type_name()}){hex(disk)}\n")


@takes_program_or_default
def for_each_partition(prog: Program) -> Iterator[Object]:
    """Iterate over the partitions, those that stand for a whole disk included.

    :return: Iterator of ``struct block_device *`` objects, ``struct hd_struct *`` before Linux 5.11.
    """
    type, member = (
        ("struct hd_struct", "__dev")
        if _has_hd_struct(prog)
        else ("struct block_device", "bd_device")
    )
    for device in _block_devices(prog):
        yield container_of(device, type, member)


def _part_device(part: Object) -> Object:
    """Get the ``struct device`` of a partition."""
    try:
        return part.bd_device
    except AttributeError:
        return part.__dev


def part_devt(part: Object) -> Object:
    """Get the device number of a partition.

    :param part: ``struct block_device *``, ``struct hd_struct *`` before Linux 5.11
    :return: ``dev_t``
    """
    return _part_device(part).devt.read_()


def part_name(part: Object) -> bytes:
    """Get the name of a partition, e.g. ``b"sda1"``.

    :param part: ``struct block_device *``, ``struct hd_struct *`` before Linux 5.11
    """
    return dev_name(_part_device(part).address_of_())


@takes_program_or_default
def print_partitions(prog: Program) -> None:
    """Print the partitions, one per line: major and minor number, name and pointer."""
    for part in for_each_partition(prog):
        number = part_devt(part).value_()
        name = escape_ascii_string(part_name(part), escape_backslash=True)
        sys.stdout.write(
            f"{number >> 20}:{number & 0xFFFFF} {name} ({part.type_.type_name()}){hex(part)}\n"
        )


def bdev_partno(bdev: Object) -> Object:
    """Get the number of a partition, 0 for the whole disk.

    :param bdev: ``struct block_device *``
    :return: ``u8``
    """
    try:
        # "bdev: move ->bd_partno and ->bd_read_only into one word" and its neighbours (Linux 6.10)
        flags = bdev.__bd_flags
    except AttributeError:
        return cast("u8", bdev.bd_partno.read_())
    return Object(bdev.prog_, "u8", flags.counter.value_() & _PARTNO_MASK)


@takes_program_or_default
def nr_blockdev_pages(prog: Program) -> int:
    """Count the pages in the caches of block devices: those of the inodes of ``blockdev_superblock``."""
    inodes = list_for_each_entry(
        "struct inode", prog["blockdev_superblock"].s_inodes.address_of_(), "i_sb_list"
    )
    return sum(inode.i_mapping.nrpages.value_() for inode in inodes)


def op_is_write(op: IntegerLike) -> bool:
    """Return whether an operation sends data to the device.

    :param op: ``enum req_op``, ``enum req_opf`` before Linux 6.0
    """
    # Operations that do have odd numbers.
    return bool(int(op) & 1)


def req_op(rq: Object) -> Object:
    """Get the operation of a request.

    :param rq: ``struct request *``
    :return: ``enum req_op``, ``enum req_opf`` before Linux 6.0
    """
    # "block: Rename req_opf into req_op" and its neighbours (Linux 6.0)
    type = rq.prog_.constant("REQ_OP_READ").type_
    return cast(type, rq.cmd_flags & _REQ_OP_MASK)


def rq_data_dir(rq: Object) -> int:
    """Get the direction of the data of a request: 1 if it goes to the device, else 0.

    :param rq: ``struct request *``
    """
    return int(op_is_write(req_op(rq)))


def blk_rq_bytes(rq: Object) -> Object:
    """Get the number of bytes of a request that are still to be done.

    :param rq: ``struct request *``
    :return: ``unsigned int``
    """
    return rq.__data_len.read_()


def blk_rq_pos(rq: Object) -> Object:
    """Get the sector that a request is at.

    :param rq: ``struct request *``
    :return: ``sector_t``
    """
    return rq.__sector.read_()


def blk_mq_rq_to_pdu(rq: Object) -> Object:
    """Get the data that the driver keeps for a request; it comes after the request.

    :param rq: ``struct request *``
    :return: ``void *``
    """
    return cast("void *", rq + 1)


def blk_mq_rq_from_pdu(pdu: Object) -> Object:
    """Get the request that the driver keeps data for.

    :param pdu: ``void *``
    :return: ``struct request *``
    """
    return cast("struct request *", pdu) - 1


def _hardware_queues(queue: Object) -> Iterator[Object]:
    """Yield the ``struct blk_mq_hw_ctx *`` of a request queue."""
    if queue.prog_.type("struct request_queue").has_member("hctx_table"):
        # "blk-mq: prepare for implementing hctx table via xarray" (Linux 5.18), taken back in Linux 7.0
        for _, entry in xa_for_each(queue.hctx_table.address_of_()):
            yield cast("struct blk_mq_hw_ctx *", entry)
        return
    table = queue.queue_hw_ctx.read_()
    for number in range(queue.nr_hw_queues.value_()):
        hctx = table[number].read_()
        if hctx:
            yield hctx


def _used_tags(tags: Object) -> Iterator[int]:
    """Yield the tags that are in use; the reserved ones come first, and the others are numbered after them."""
    for tag in sbitmap_for_each_set(tags.breserved_tags.sb.address_of_()):
        yield tag
    reserved = tags.nr_reserved_tags.value_()
    for tag in sbitmap_for_each_set(tags.bitmap_tags.sb.address_of_()):
        yield tag + reserved


def request_queue_busy_iter(
    q: Object, tags: Literal["driver", "sched"] | None = None
) -> Iterator[Object]:
    """Iterate over the requests of a queue that are not done.

    A request gets a tag of the scheduler when it is submitted, and one of the driver when it is dispatched. Without
    a scheduler it gets the driver's at once.

    :param q: ``struct request_queue *``
    :param tags: ``"driver"`` for the requests that have a tag of the driver, ``"sched"`` for those that have one of the
        scheduler. By default those that have the one they get first, which is all of them.
    :return: Iterator of ``struct request *`` objects.
    :raises ValueError: if *tags* is something else
    """
    if tags not in (None, "driver", "sched"):
        raise ValueError(f"invalid tags: {tags!r}")
    if tags is None:
        tags = "sched" if q.elevator else "driver"
    seen: set[int] = set()
    for hctx in _hardware_queues(q):
        tag_set = (hctx.sched_tags if tags == "sched" else hctx.tags).read_()
        # Hardware queues, and queues of one host, may share their tags.
        if not tag_set or tag_set.value_() in seen:
            continue
        seen.add(tag_set.value_())
        # The requests of the driver's tags may belong to the scheduler: rqs[] has those that were dispatched, and
        # whatever used a tag before. The scheduler's own are static_rqs[], and its rqs[] is not kept since
        # "blk-mq: Facilitate a shared sbitmap per tagset" (Linux 5.10).
        requests = (tag_set.static_rqs if tags == "sched" else tag_set.rqs).read_()
        for tag in _used_tags(tag_set):
            request = requests[tag].read_()
            if request and request.q == q and request.state.value_() != 0:
                yield request
