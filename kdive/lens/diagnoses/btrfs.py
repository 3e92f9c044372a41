"""The file systems that btrfs knows: devices, mounts, and who keeps those alive that are mounted no more."""

import re
from collections.abc import Iterator
from typing import Any

from kdive import Object
from kdive.helpers.linux.cpumask import for_each_possible_cpu
from kdive.helpers.linux.device import MAJOR, MINOR
from kdive.helpers.linux.fs import (
    d_path,
    for_each_file,
    inode_path,
    mount_dst,
    mount_src,
    super_block_for_each_mount,
)
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.mm import for_each_vma
from kdive.helpers.linux.percpu import per_cpu_ptr
from kdive.helpers.linux.pid import for_each_task
from kdive.helpers.linux.printk import get_printk_records
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Finding,
    Item,
    Options,
    Row,
    Severity,
    column,
    diagnosis,
    option,
)
from kdive.lens.needs import Needs
from kdive.lens.text import count_text, string, uuid_text

# Bits of btrfs_device.dev_state (BTRFS_DEV_STATE_*, macros)
_DEVICE_STATES = ("WRITEABLE", "IN_FS_METADATA", "MISSING", "REPLACE_TGT", "FLUSH_SENT", "NO_READA")
_DUPLICATE = re.compile(rb"BTRFS.*duplicate device .*")
_HOLDERS_NAMED = 5


class FileSystem(Row, title="File systems", layout="record"):
    """A ``struct btrfs_fs_devices`` of the cache ``fs_uuids``, with its ``struct btrfs_fs_info`` if it is open."""

    fs_uuid: str = column("the file system's UUID", "FS UUID")
    metadata_uuid: str | None = column(
        "the UUID in its metadata, where the kernel keeps one", "METADATA UUID"
    )
    address: int = column("struct btrfs_fs_devices", hexadecimal=True)
    state: str = column(
        "mounted; DETACHED: open, but mounted nowhere; closed; unknown if its mounts can't be read"
    )
    opened: int = column("how often it is open: at least once while it lives")
    num_devices: int = column("devices known")
    open_devices: int = column("devices open")
    rw_devices: int = column("devices that are written to")
    missing_devices: int = column("devices not found")
    total_devices: int = column("devices that its super block counts")
    total_rw_bytes: int = column("size of the devices that are written to, in bytes")
    latest_generation: int = column("the newest generation of a super block")
    fsid_change: bool | None = column("whether its UUID is being changed, where the kernel knows")
    temp_fsid: bool | None = column(
        "whether it is mounted under a made-up UUID, where the kernel knows"
    )
    seeding: bool = column("whether it is a seed for other file systems")
    fs_info: int = column("struct btrfs_fs_info; 0 if it is closed", hexadecimal=True)
    fs_state: int | None = column(
        "fs_info.fs_state: bits of errors and of what goes on", "FS State", hexadecimal=True
    )
    fs_flags: int | None = column("fs_info.flags", "Flags", hexadecimal=True)
    mount_options: int | None = column("fs_info.mount_opt", "mount opt", hexadecimal=True)


class SuperBlock(Row, title="Super blocks"):
    """The ``struct super_block`` of a file system that is open."""

    fs_uuid: str = column("the file system's UUID", "FS UUID")
    address: int = column("struct super_block", "super_block", hexadecimal=True)
    active: int = column("active references: mounts and open uses", "sb ref count")
    count: int = column("all references", "sb s_count")
    umount_count: int | None = column(
        "the counter of s_umount: 0 if nobody is about to unmount", "umount rw_sem"
    )
    flags: int = column("flags", "s_flags", hexadecimal=True)
    device: str = column("major and minor number of s_dev", "s_dev")
    name: str = column("the device under which it was mounted", "sb s_id")
    inode_flags: int = column("s_iflags", "i_flags", hexadecimal=True)


class Mount(Row, title="Mounts"):
    """A ``struct mount`` of a file system, also one that no path leads to any more."""

    fs_uuid: str = column("the file system's UUID", "FS UUID")
    address: int = column("struct mount", hexadecimal=True)
    mount_point: str = column("where it is or was mounted", "Mount Point")
    detached: bool = column(
        "whether it belongs to no mount namespace any more (umount -l)", "Detached"
    )
    flags: int = column("mnt_flags", "VFS Mount Flags", hexadecimal=True)
    device: str = column("the device that was named when mounting", "Device Name")
    count: int | None = column("references to the mount", "Mount Point Count")
    id: int = column("mnt_id", "Mount ID")
    group: int = column("peer group for propagation", "Mount Group ID")
    expiry_mark: int = column("mnt_expiry_mark", "Mount Expiry Mark")


class Device(Row, title="Devices"):
    """A ``struct btrfs_device``."""

    fs_uuid: str = column("the file system's UUID", "FS UUID")
    address: int = column("struct btrfs_device", hexadecimal=True)
    name: str = column("the path under which it was scanned", "Name")
    state: str = column("dev_state")
    devid: int = column("its number in the file system")
    generation: int = column("the generation of its super block")
    type: int = column("type")
    bd_dev: str | None = column(
        "major and minor number of the open block device; none if it is not open"
    )
    bd_partno: int | None = column("number of the partition")
    dev_uuid: str = column("its own UUID", "device UUID")


class Holder(Row, title="Holders"):
    """What keeps a file system alive that is mounted nowhere."""

    fs_uuid: str = column("the file system's UUID", "FS UUID")
    pid: int = column("the process", "PID")
    command: str = column("its name")
    how: str = column("cwd, root, the number of a file descriptor, or mapping")
    path: str = column("what it holds, seen from the root of the file system or of the mount")


class BtrfsOptions(Options):
    """Options of the diagnosis."""

    holders: bool = option(
        False, "look for holders of all file systems, not only of those that are mounted nowhere"
    )


@diagnosis(
    "btrfs",
    "The file systems that btrfs knows by UUID, their devices and mounts, and who holds those mounted no more.",
    rows=(FileSystem, SuperBlock, Mount, Device, Holder),
    options=BtrfsOptions,
    needs=Needs(
        modules=("btrfs",),
        variables={"fs_uuids": "struct list_head"},
        members=(
            "struct btrfs_fs_devices.fs_list",
            "struct btrfs_device.dev_list",
            "struct btrfs_fs_info.sb",
        ),
    ),
)
def btrfs(context: Context[BtrfsOptions]) -> Iterator[Item]:
    """Walk ``fs_uuids``. The mounts of a super block lead to those that are detached, too."""
    count = 0
    to_search: dict[int, str] = {}
    orphans: list[tuple[FileSystem, list[str]]] = []
    head = context.variable("fs_uuids").address_of_()
    for devices in context.walk(
        list_for_each_entry("struct btrfs_fs_devices", head, "fs_list"), "the list fs_uuids"
    ):
        with context.tolerate(f"struct btrfs_fs_devices {hex(devices)}"):
            count += 1
            uuid = uuid_text(devices.fsid)
            system, sb, mounts = _read(context, uuid, devices)
            yield system
            if sb:
                with context.tolerate(f"struct super_block {hex(sb)}"):
                    yield _super_block(uuid, sb)
            yield from mounts
            found = list(_devices(context, uuid, devices))
            yield from found
            if sb and (system.state == "DETACHED" or context.options.holders):
                to_search[int(sb)] = uuid
            if system.state == "DETACHED":
                orphans.append((system, [device.name for device in found]))
    holders = list(_holders(context, to_search)) if to_search else []
    yield from holders
    for system, names in orphans:
        yield _detached(context, system, names, [h for h in holders if h.fs_uuid == system.fs_uuid])
    yield Checked(count, "file system")


def _read(
    context: Context[Any], uuid: str, devices: Object
) -> tuple[FileSystem, Object | None, list[Mount]]:
    """Read a file system with its super block, if it is open, and its mounts."""
    fs_info = devices.fs_info.read_()
    sb = None
    mounts: list[Mount] = []
    before = context.damaged
    with context.tolerate(f"struct btrfs_fs_info {hex(fs_info)}"):
        sb = fs_info.sb.read_() if fs_info else None
        mounts = list(_mounts(context, uuid, sb)) if sb else []
    if any(not mount.detached for mount in mounts):
        state = "mounted"
    elif context.damaged > before:
        state = "unknown"
    else:
        state = "DETACHED" if devices.opened.value_() else "closed"
    return _file_system(uuid, devices, fs_info if sb else None, state), sb, mounts


def _file_system(uuid: str, devices: Object, fs_info: Object | None, state: str) -> FileSystem:
    return FileSystem(
        fs_uuid=uuid,
        metadata_uuid=uuid_text(devices.metadata_uuid)
        if hasattr(devices, "metadata_uuid")
        else None,
        address=int(devices),
        state=state,
        opened=devices.opened.value_(),
        num_devices=devices.num_devices.value_(),
        open_devices=devices.open_devices.value_(),
        rw_devices=devices.rw_devices.value_(),
        missing_devices=devices.missing_devices.value_(),
        total_devices=devices.total_devices.value_(),
        total_rw_bytes=devices.total_rw_bytes.value_(),
        latest_generation=devices.latest_generation.value_(),
        # "btrfs: support cloned-device mount capability" (Linux 6.7) replaced the one by the other.
        fsid_change=_flag(devices, "fsid_change"),
        temp_fsid=_flag(devices, "temp_fsid"),
        seeding=bool(devices.seeding),
        fs_info=devices.fs_info.value_(),
        fs_state=fs_info.fs_state.value_() if fs_info else None,
        fs_flags=fs_info.flags.value_() if fs_info else None,
        mount_options=fs_info.mount_opt.value_() if fs_info else None,
    )


def _flag(devices: Object, name: str) -> bool | None:
    return bool(getattr(devices, name)) if hasattr(devices, name) else None


def _number(dev: int) -> str:
    return f"{MAJOR(dev)}:{MINOR(dev)}"


def _super_block(uuid: str, sb: Object) -> SuperBlock:
    count = sb.s_umount.count
    return SuperBlock(
        fs_uuid=uuid,
        address=int(sb),
        active=sb.s_active.counter.value_(),
        # Linux 7.2 has a refcount_t instead of an int; 6.12 does not.
        count=(sb.s_count if hasattr(sb, "s_count") else sb.s_passive.refs.counter).value_(),
        umount_count=count.counter.value_() if hasattr(count, "counter") else None,
        flags=sb.s_flags.value_(),
        device=_number(sb.s_dev.value_()),
        name=string(sb.s_id),
        inode_flags=sb.s_iflags.value_(),
    )


def _mounts(context: Context[Any], uuid: str, sb: Object) -> Iterator[Mount]:
    for mount in context.walk(
        super_block_for_each_mount(sb), f"the mounts of super block {hex(sb)}"
    ):
        with context.tolerate(f"struct mount {hex(mount)}"):
            yield Mount(
                fs_uuid=uuid,
                address=int(mount),
                mount_point=mount_dst(mount).decode(errors="replace"),
                detached=not mount.mnt_ns,
                flags=mount.mnt.mnt_flags.value_(),
                device=mount_src(mount).decode(errors="replace"),
                count=_mount_count(mount),
                id=mount.mnt_id.value_(),
                group=mount.mnt_group_id.value_(),
                expiry_mark=mount.mnt_expiry_mark.value_(),
            )


def _mount_count(mount: Object) -> int | None:
    if not hasattr(mount, "mnt_pcp"):
        return None  # without CONFIG_SMP
    pointer = mount.mnt_pcp.read_()
    parts = [per_cpu_ptr(pointer, cpu) for cpu in for_each_possible_cpu(mount.prog_)]
    if hasattr(parts[0], "mnt_count"):
        return sum(part.mnt_count.value_() for part in parts)
    # Linux 7.2 counts apart what was taken and what was put back; 6.12 does not.
    return sum(part.mnt_gets.value_() - part.mnt_puts.value_() for part in parts)


def _devices(context: Context[Any], uuid: str, devices: Object) -> Iterator[Device]:
    for device in context.walk(
        list_for_each_entry("struct btrfs_device", devices.devices.address_of_(), "dev_list"),
        f"the devices of struct btrfs_fs_devices {hex(devices)}",
    ):
        with context.tolerate(f"struct btrfs_device {hex(device)}"):
            bdev = device.bdev.read_()
            yield Device(
                fs_uuid=uuid,
                address=int(device),
                name=_device_name(device),
                state=_state(device.dev_state.value_()),
                devid=device.devid.value_(),
                generation=device.generation.value_(),
                type=device.type.value_(),
                bd_dev=_number(bdev.bd_dev.value_()) if bdev else None,
                bd_partno=bdev.bd_partno.value_() if bdev and hasattr(bdev, "bd_partno") else None,
                dev_uuid=uuid_text(device.uuid),
            )


def _device_name(device: Object) -> str:
    name = device.name.read_()
    # A struct rcu_string, until the kernel did without (in the 6.x series)
    return string(name.str) if name and hasattr(name, "str") else string(name)


def _state(bits: int) -> str:
    names = [name for bit, name in enumerate(_DEVICE_STATES) if bits >> bit & 1]
    unknown = bits >> len(_DEVICE_STATES) << len(_DEVICE_STATES)
    return "|".join(names + ([hex(unknown)] if unknown else [])) or "0"


def _holders(context: Context[Any], wanted: dict[int, str]) -> Iterator[Holder]:
    """Find what processes hold of super blocks: their directories, open files and mapped files."""
    for task in context.walk(for_each_task(context.prog), "the tasks"):
        # Threads usually share these with their leader; those that don't are looked at by themselves.
        with context.tolerate(f"the directories of task {hex(task)}"):
            if _is_own(task, "fs"):
                yield from _directories(task, wanted)
        with context.tolerate(f"the open files of task {hex(task)}"):
            if _is_own(task, "files"):
                for number, file in for_each_file(task):
                    uuid = _uuid_of(file.f_path.mnt.mnt_sb, wanted)
                    if uuid:
                        yield _holder(uuid, task, f"fd {number}", d_path(file.f_path))
        with context.tolerate(f"the mapped files of task {hex(task)}"):
            if _is_own(task, "mm"):
                yield from _mappings(task, wanted)


def _is_own(task: Object, name: str) -> bool:
    """Return whether a task has a structure that is not that of the leader of its threads."""
    pointer = task.member_(name).value_()
    leader = task.group_leader.read_()
    return bool(pointer) and (leader == task or pointer != leader.member_(name).value_())


def _directories(task: Object, wanted: dict[int, str]) -> Iterator[Holder]:
    for how, name in (("cwd", "pwd"), ("root", "root")):
        path = task.fs.member_(name)
        uuid = _uuid_of(path.mnt.mnt_sb if path.mnt else None, wanted)
        if uuid:
            yield _holder(uuid, task, how, d_path(path))


def _mappings(task: Object, wanted: dict[int, str]) -> Iterator[Holder]:
    held: dict[int, Holder] = {}
    for vma in for_each_vma(task.mm.read_()):
        file = vma.vm_file.read_()
        if not file or int(file) in held:
            continue
        inode = file.f_inode.read_()
        uuid = _uuid_of(inode.i_sb, wanted)
        if uuid:
            held[int(file)] = _holder(uuid, task, "mapping", inode_path(inode) or b"")
    yield from held.values()


def _uuid_of(sb: Object | None, wanted: dict[int, str]) -> str | None:
    return None if sb is None else wanted.get(int(sb))


def _holder(uuid: str, task: Object, how: str, path: bytes) -> Holder:
    return Holder(uuid, task.tgid.value_(), string(task.comm), how, path.decode(errors="replace"))


def _detached(
    context: Context[Any], system: FileSystem, devices: list[str], holders: list[Holder]
) -> Finding:
    evidence = [f"opened is {system.opened}, and no mount of it is in a mount namespace"]
    evidence += [
        f"PID {h.pid} ({h.command}) holds it by {h.how}: {h.path}" for h in holders[:_HOLDERS_NAMED]
    ]
    if len(holders) > _HOLDERS_NAMED:
        evidence.append(f"{count_text(len(holders) - _HOLDERS_NAMED, 'more holder')} below")
    if not holders:
        evidence.append("no process holds it; a loop device, a swap file or the kernel itself may")
    refused = []
    with context.tolerate("the kernel's log"):
        refused = [
            record.text.decode(errors="replace")
            for record in get_printk_records(context.prog)
            if _DUPLICATE.match(record.text)
        ]
    evidence += [f"the kernel has refused another device: {text}" for text in refused[-1:]]
    return Finding(
        Severity.CRITICAL if refused else Severity.WARNING,
        f"the btrfs file system {system.fs_uuid} is mounted nowhere, but still held under {', '.join(devices)}: "
        "mounting it from another device fails with “File exists”",
        tuple(evidence),
        "btrfs",
    )
