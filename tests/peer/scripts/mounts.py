#!/usr/bin/env drgn
"""Mounts of init, the super blocks behind them, and the files that init has open."""

import os

from drgn.helpers.linux.fs import (
    d_path,
    for_each_file,
    for_each_mount,
    inode_path,
    mount_dst,
    mount_fstype,
    mount_src,
    path_lookup,
)
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.pid import find_task

init = find_task(prog, 1)
for mount in for_each_mount(init.nsproxy.mnt_ns):
    print(
        os.fsdecode(mount_src(mount)),
        os.fsdecode(mount_dst(mount)),
        os.fsdecode(mount_fstype(mount)),
    )

for block in list_for_each_entry(
    "struct super_block", prog["super_blocks"].address_of_(), "s_list"
):
    print(
        block.s_type.name.string_().decode(), block.s_id.string_(), hex(block.s_flags), block.s_op
    )

for number, file in for_each_file(init):
    mode = file.f_inode.i_mode.value_()
    print(number, os.fsdecode(d_path(file.f_path)), oct(mode), file.f_op)

root = path_lookup(prog, "/")
print(root.dentry.d_inode.i_ino, inode_path(root.dentry.d_inode))
