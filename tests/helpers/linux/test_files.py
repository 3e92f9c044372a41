# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from kdive import Program
from kdive.helpers.linux import fs
from kdive.helpers.linux.device import (
    MAJOR,
    MINOR,
    MKDEV,
    bus_for_each_dev,
    class_for_each_device,
    dev_name,
    for_each_registered_blkdev,
    for_each_registered_chrdev,
)
from kdive.helpers.linux.kernfs import (
    kernfs_children,
    kernfs_name,
    kernfs_parent,
    kernfs_path,
    kernfs_walk,
)
from kdive.helpers.linux.pid import find_task
from kdive.helpers.linux.sysfs import (
    kobject_path,
    sysfs_listdir,
    sysfs_lookup,
    sysfs_lookup_kobject,
    sysfs_lookup_node,
)

pytestmark = pytest.mark.lab


def row(mount: Any) -> tuple[str, str, str]:
    return (
        fs.mount_src(mount).decode(),
        fs.mount_dst(mount).decode(),
        fs.mount_fstype(mount).decode(),
    )


def test_mounts_are_those_the_guest_showed(prog: Program, truth: dict[str, Any]) -> None:
    # The first process has changed its root: the guest shows what is below it, by paths from there.
    task = find_task(prog, 1)
    mounts = {m.mnt_id.value_(): m for m in fs.for_each_mount(task.nsproxy.mnt_ns)}
    root = fs.d_path(task.fs.root).decode().rstrip("/")
    for shown in truth["mounts"]:
        mount = mounts[shown["id"]]
        assert row(mount) == (
            shown["source"],
            (root + shown["directory"]).rstrip("/") or "/",
            shown["type"],
        )
        assert mount.mnt_parent.mnt_id.value_() == shown["parent"]
        number = mount.mnt.mnt_sb.s_dev
        assert f"{MAJOR(number)}:{MINOR(number)}" == shown["device"]
        assert mount in list(fs.super_block_for_each_mount(mount.mnt.mnt_sb))


def test_mounts_can_be_chosen(prog: Program) -> None:
    ns = find_task(prog, 1).nsproxy.mnt_ns
    btrfs = list(fs.for_each_mount(ns, fstype="btrfs"))
    assert len(btrfs) == 1
    assert (
        btrfs
        == list(fs.for_each_mount(ns, src="/dev/loop0"))
        == list(fs.for_each_mount(ns, dst=fs.mount_dst(btrfs[0])))
    )
    assert list(fs.for_each_mount(ns, src="/dev/loop0", fstype="proc")) == []


def test_printing_mounts_and_files(prog: Program, capsys: pytest.CaptureFixture[str]) -> None:
    task = find_task(prog, 1)
    fs.print_mounts(task.nsproxy.mnt_ns, fstype="btrfs")
    mount = next(fs.for_each_mount(task.nsproxy.mnt_ns, fstype="btrfs"))
    expected = f"/dev/loop0 {fs.mount_dst(mount).decode()} btrfs (struct mount *){hex(mount)}\n"
    assert capsys.readouterr().out == expected
    fs.print_files(task)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{fd} {fs.d_path(file.f_path).decode()} (struct file *){hex(file)}"
        for fd, file in fs.for_each_file(task)
    ]


def test_paths_of_inodes_and_dentries(prog: Program) -> None:
    path = find_task(prog, 1).mm.exe_file.f_path
    assert fs.dentry_path(path.dentry) == b"usr/bin/bash"
    assert fs.inode_path(path.dentry.d_inode) == b"usr/bin/bash"
    assert b"usr/bin/bash" in list(fs.inode_paths(path.dentry.d_inode))
    assert fs.d_path(path) == fs.d_path(path.address_of_()) == fs.d_path(path.mnt, path.dentry)


def test_looking_up_paths(prog: Program) -> None:
    root = find_task(prog, 1).fs.root.address_of_()
    found = fs.path_lookup(root, "/usr/../usr/./bin/bash")
    assert found.dentry == find_task(prog, 1).mm.exe_file.f_path.dentry
    assert fs.d_path(fs.path_lookup(root, "/proc")) == fs.d_path(root).rstrip(b"/") + b"/proc"
    assert fs.path_lookup(root, "/..").dentry == root.dentry
    with pytest.raises(Exception, match="could not find '/usr/bin/no-such-file-here'"):
        fs.path_lookup(root, "/usr/bin/no-such-file-here")


@pytest.mark.parametrize(
    ("mode", "text"),
    [(0o100644, "REG"), (0o40755, "DIR"), (0o20666, "CHR"), (0o120777, "LNK"), (0, "000000")],
)
def test_file_types(mode: int, text: str) -> None:
    assert fs.decode_file_type(mode) == text


def test_sysfs(prog: Program, truth: dict[str, Any]) -> None:
    assert sorted(n.decode() for n in sysfs_listdir(prog, "/sys/block")) == sorted(
        truth["tables"]["block_devices"]
    )
    assert sorted(n.decode() for n in sysfs_listdir(prog, "class/net")) == sorted(
        truth["tables"]["network_devices"]
    )
    loopback = sysfs_lookup(prog, "/sys/class/net/lo")
    assert loopback.type_.type_name() == "struct device *"
    assert dev_name(loopback) == b"lo"
    assert (
        kobject_path(sysfs_lookup_kobject(prog, "/sys/class/net/lo/mtu"))
        == b"/sys/devices/virtual/net/lo"
    )
    assert sysfs_lookup(prog, "/sys/bus/pci") == prog["pci_bus_type"].address_of_()
    assert not sysfs_lookup_node(prog, "/sys/no/such/path")
    with pytest.raises(ValueError, match="not found"):
        sysfs_listdir(prog, "/sys/no/such/path")
    with pytest.raises(ValueError, match="not a directory"):
        sysfs_listdir(prog, "/sys/class/net/lo/mtu")


def test_kernfs(prog: Program) -> None:
    root = prog["sysfs_root_kn"]
    link = kernfs_walk(root, "class/net/lo", follow_symlinks=False)
    target = kernfs_walk(root, "class/net/lo")
    assert kernfs_path(link) == b"/class/net/lo"
    assert kernfs_path(target) == b"/devices/virtual/net/lo"
    assert kernfs_walk(root, "class/net/lo/..") == kernfs_parent(target)
    assert kernfs_name(root) == b"/"
    assert kernfs_path(root) == b"/"
    assert {b"block", b"class", b"devices"} <= {
        kernfs_name(child) for child in kernfs_children(root)
    }
    with pytest.raises(ValueError, match="not a directory"):
        kernfs_children(link)


def test_device_numbers(prog: Program) -> None:
    assert (MAJOR(0x800003), MINOR(0x800003), MKDEV(8, 3)) == (8, 3, 0x800003)
    assert (7, b"loop") in [(major, name) for major, name, _ in for_each_registered_blkdev(prog)]
    characters = {
        name: (MAJOR(first), MINOR(first), count)
        for first, count, name, _ in for_each_registered_chrdev(prog)
    }
    assert characters[b"mem"] == (1, 0, 256)
    assert characters[b"/dev/tty"] == (5, 0, 1)
    assert all(
        cdev for _, _, name, cdev in for_each_registered_chrdev(prog) if name == b"/dev/vc/0"
    )


def test_buses_and_classes(prog: Program, truth: dict[str, Any]) -> None:
    cpus = [dev_name(d) for d in bus_for_each_dev(prog["cpu_subsys"].address_of_())]
    assert cpus == [b"cpu0", b"cpu1"]
    disks = {dev_name(d).decode() for d in class_for_each_device(prog["block_class"].address_of_())}
    assert disks == set(truth["tables"]["block_devices"])
