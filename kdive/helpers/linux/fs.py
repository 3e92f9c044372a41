# SPDX-License-Identifier: Apache-2.0
"""Files, paths, mounts and the page cache (include/linux/fs.h, include/linux/dcache.h, fs/mount.h)."""

import stat
import sys
from collections.abc import Iterator
from operator import index as to_index
from os import fsencode

from kdive import NULL, IntegerLike, Object, Path, Program, container_of
from kdive.helpers import ValidationError
from kdive.helpers.common.format import escape_ascii_string
from kdive.helpers.common.prog import takes_object_or_program_or_default
from kdive.helpers.linux._words import bitmap_value, set_bits
from kdive.helpers.linux.list import hlist_empty, hlist_for_each_entry, list_for_each_entry
from kdive.helpers.linux.rbtree import rbtree_inorder_for_each_entry
from kdive.helpers.linux.xarray import xarray_entries

__all__ = (
    "address_space_for_each_page",
    "d_path",
    "decode_file_type",
    "dentry_path",
    "fget",
    "for_each_file",
    "for_each_mount",
    "inode_for_each_page",
    "inode_path",
    "inode_paths",
    "mount_dst",
    "mount_fstype",
    "mount_src",
    "path_lookup",
    "print_files",
    "print_mounts",
    "super_block_for_each_mount",
)

# Longer than any path can become by the limits of the kernel, so that corrupted parents end.
_MAX_PATH_COMPONENTS = 4096
_MAX_OPEN_FILES = 1 << 24
_FILE_TYPES = {
    stat.S_IFSOCK: "SOCK",
    stat.S_IFLNK: "LNK",
    stat.S_IFREG: "REG",
    stat.S_IFBLK: "BLK",
    stat.S_IFDIR: "DIR",
    stat.S_IFCHR: "CHR",
    stat.S_IFIFO: "FIFO",
}


def dentry_name(dentry: Object) -> bytes:
    """Get the name of a dentry (``d_name``), without the directories above it.

    :param dentry: ``struct dentry *``
    """
    name: bytes = dentry.d_name.name.string_()
    return name


def dentry_path(dentry: Object) -> bytes:
    """Get the path of a dentry from the root of its file system.

    :param dentry: ``struct dentry *``
    :return: Path without a leading slash, e.g. ``b"usr/bin"``.
    """
    components: list[bytes] = []
    dentry = dentry.read_()
    for _ in range(_MAX_PATH_COMPONENTS):
        parent = dentry.d_parent.read_()
        if dentry == parent:
            return b"/".join(reversed(components))
        components.append(dentry_name(dentry))
        dentry = parent
    raise ValidationError(f"dentry {hex(dentry)} has more than {_MAX_PATH_COMPONENTS} parents")


def _dynamic_name(dentry: Object) -> bytes | None:
    """Get the path of an object without a place in the tree, like a pipe or a socket; None for other dentries.

    The kernel asks ``d_op.d_dname``; what its functions write is known here by their names.
    """
    operations = dentry.d_op.read_()
    if not operations or not operations.d_dname:
        return None
    try:
        function = dentry.prog_.symbol(operations.d_dname.value_()).name
    except LookupError:
        function = ""
    inode = dentry.d_inode.read_()
    name = dentry_name(dentry)
    if function == "pipefs_dname" or function == "sockfs_dname":
        kind = b"pipe" if function == "pipefs_dname" else b"socket"
        return b"%s:[%d]" % (kind, inode.i_ino.value_())
    if function == "ns_dname":
        prog = dentry.prog_
        operations_of_ns = Object(prog, "struct proc_ns_operations *", dentry.d_fsdata.value_())
        return b"%s:[%d]" % (operations_of_ns.name.string_(), inode.i_ino.value_())
    if function == "anon_inodefs_dname":
        return b"anon_inode:" + name
    if function == "dmabuffs_dname":
        return b"/dmabuf:" + name
    if function == "simple_dname":
        return b"/" + name + b" (deleted)"
    return b"[" + function.encode() + b"]"


def _path_of(vfsmount: Object, dentry: Object) -> bytes:
    vfsmount, dentry = vfsmount.read_(), dentry.read_()
    # What is mounted has a place in the tree even if it belongs to a kind of object that has none by itself.
    if dentry != dentry.d_parent or dentry != vfsmount.mnt_root:
        name = _dynamic_name(dentry)
        if name is not None:
            return name
    components: list[bytes] = []
    mount = container_of(vfsmount, "struct mount", "mnt")
    for _ in range(_MAX_PATH_COMPONENTS):
        if dentry == mount.mnt.mnt_root:
            parent_mount = mount.mnt_parent.read_()
            if parent_mount == mount:
                return b"/" + b"/".join(reversed(components))
            dentry, mount = mount.mnt_mountpoint.read_(), parent_mount
            continue
        parent = dentry.d_parent.read_()
        if dentry == parent:
            # The dentry is not below the root of its mount.
            return b"/" + b"/".join(reversed(components))
        components.append(dentry_name(dentry))
        dentry = parent
    raise ValidationError(
        f"path of dentry {hex(dentry)} has more than {_MAX_PATH_COMPONENTS} components"
    )


def d_path(arg1: Object, arg2: Object | None = None) -> bytes:
    """Get the full path of a file: through mount points up to the root of its mount namespace.

    >>> d_path(task.fs.pwd)
    b'/home'

    :param arg1: ``struct path`` or ``struct path *``; or ``struct dentry *``, for any mount of its file system;
        or ``struct vfsmount *``, with *arg2*.
    :param arg2: ``struct dentry *``
    :return: Absolute path. Objects that are in no directory have names like ``b"pipe:[1234]"``.
    :raises ValueError: if a dentry's file system is not mounted
    """
    if arg2 is not None:
        return _path_of(arg1, arg2)
    type = arg1.type_.unaliased()
    tag = (
        type.tag
        if not hasattr(type, "length") and type.kind.name == "STRUCT"
        else type.type.unaliased().tag
    )
    if tag == "dentry":
        for mount in super_block_for_each_mount(arg1.d_sb):
            return _path_of(mount.mnt.address_of_(), arg1)
        raise ValueError("dentry is not mounted")
    return _path_of(arg1.mnt, arg1.dentry)


def _inode_dentries(inode: Object) -> Iterator[Object]:
    # "vfs: dcache: move the d_alias list to a hash list" (Linux 3.7); the node is in a union, whose
    # name has gone and come back.
    return hlist_for_each_entry(
        "struct dentry", inode.i_dentry.address_of_(), _alias_member(inode.prog_)
    )


def _alias_member(prog: Program) -> str:
    dentry = prog.type("struct dentry")
    return "d_u.d_alias" if dentry.has_member("d_u") else "d_alias"


def inode_path(inode: Object) -> bytes | None:
    """Get a path of an inode from the root of its file system.

    :param inode: ``struct inode *``
    :return: Path without a leading slash, None if no dentry of the inode is in memory.
    """
    if hlist_empty(inode.i_dentry):
        return None
    return dentry_path(next(_inode_dentries(inode)))


def inode_paths(inode: Object) -> Iterator[bytes]:
    """Iterate over the paths of an inode, from the root of its file system, that are in memory.

    :param inode: ``struct inode *``
    """
    for dentry in _inode_dentries(inode):
        yield dentry_path(dentry)


def mount_src(mnt: Object) -> bytes:
    """Get the source of a mount, usually the name of a device: ``mnt_devname``.

    File systems may show another one in ``/proc/PID/mounts``: for btrfs this is ``b"none"`` since Linux 6.8.

    :param mnt: ``struct mount *``
    """
    source: bytes = mnt.mnt_devname.string_()
    return source


def mount_dst(mnt: Object) -> bytes:
    """Get the path of a mount point.

    :param mnt: ``struct mount *``
    """
    if not mnt:
        return b""
    return _path_of(mnt.mnt.address_of_(), mnt.mnt.mnt_root)


def mount_fstype(mnt: Object) -> bytes:
    """Get the type of a mounted file system, with its subtype if it has one (``b"fuse.sshfs"``).

    :param mnt: ``struct mount *``
    """
    sb = mnt.mnt.mnt_sb.read_()
    name: bytes = sb.s_type.name.string_()
    if sb.s_subtype:
        subtype = sb.s_subtype.string_()
        if subtype:
            name += b"." + subtype
    return name


def _namespace_mounts(ns: Object) -> Iterator[Object]:
    if ns.prog_.type("struct mnt_namespace").has_member("list"):
        return list_for_each_entry("struct mount", ns.list.address_of_(), "mnt_list")
    # "mounts: keep list of mounts in an rbtree" (Linux 6.8)
    return rbtree_inorder_for_each_entry("struct mount", ns.mounts.address_of_(), "mnt_node")


def _is_cursor(mount: Object) -> bool:
    # "proc/mounts: add cursor" (Linux 5.8) put entries without a file system on the list, one for each reader of
    # /proc/PID/mounts; they went with the list in Linux 6.8.
    return not mount.mnt.mnt_root


@takes_object_or_program_or_default
def for_each_mount(
    prog: Program,
    ns: Object | None,
    *,
    src: Path | None = None,
    dst: Path | None = None,
    fstype: str | bytes | None = None,
) -> Iterator[Object]:
    """Iterate over the mounts of a mount namespace.

    :param ns: ``struct mnt_namespace *``; the initial namespace if omitted.
    :param src: Only mounts with this source.
    :param dst: Only mounts at this path.
    :param fstype: Only mounts of this type of file system.
    :return: Iterator of ``struct mount *`` objects.
    """
    if ns is None:
        ns = prog["init_task"].nsproxy.mnt_ns.read_()
    source = None if src is None else fsencode(src)
    target = None if dst is None else fsencode(dst)
    kind = fstype.encode() if isinstance(fstype, str) else fstype
    for mount in _namespace_mounts(ns):
        if (
            not _is_cursor(mount)
            and (source is None or mount_src(mount) == source)
            and (target is None or mount_dst(mount) == target)
            and (kind is None or mount_fstype(mount) == kind)
        ):
            yield mount


@takes_object_or_program_or_default
def print_mounts(
    prog: Program,
    ns: Object | None,
    *,
    src: Path | None = None,
    dst: Path | None = None,
    fstype: str | bytes | None = None,
) -> None:
    """Print the mounts of a mount namespace, one per line: source, path, type and the ``struct mount *``.

    :param ns: See `for_each_mount()`, as for the other parameters.
    """
    first = prog if ns is None else ns
    for mount in for_each_mount(first, src=src, dst=dst, fstype=fstype):
        columns = (mount_src(mount), mount_dst(mount), mount_fstype(mount))
        text = " ".join(escape_ascii_string(column, escape_backslash=True) for column in columns)
        sys.stdout.write(f"{text} ({mount.type_.type_name()}){hex(mount)}\n")


def super_block_for_each_mount(sb: Object) -> Iterator[Object]:
    """Iterate over the mounts of a file system in all namespaces, detached ones (``mnt_ns`` is ``NULL``) included.

    :param sb: ``struct super_block *``
    :return: Iterator of ``struct mount *`` objects.
    """
    prog = sb.prog_
    if prog.type("struct mount").has_member("mnt_instance"):
        yield from list_for_each_entry("struct mount", sb.s_mounts.address_of_(), "mnt_instance")
        return
    # Since Linux 6.18 the mounts are chained by plain pointers.
    mount = sb.s_mounts.read_()
    seen: set[int] = set()
    while mount:
        if mount.value_() in seen:
            raise ValidationError(
                f"mounts of super block {hex(sb)} run into a cycle at {hex(mount)}"
            )
        seen.add(mount.value_())
        yield mount
        mount = mount.mnt_next_for_sb.read_()


def _fdtable(task: Object) -> Object | None:
    files = task.files.read_()
    return files.fdt.read_() if files else None


def fget(task: Object, fd: IntegerLike) -> Object:
    """Get the file behind a file descriptor of a task.

    :param task: ``struct task_struct *``
    :param fd: File descriptor.
    :return: ``struct file *``, ``NULL`` if the descriptor is not open.
    """
    table = _fdtable(task)
    number = to_index(fd)
    if table is None or not 0 <= number < table.max_fds.value_():
        return NULL(task.prog_, "struct file *")
    return table.fd[number].read_()


def for_each_file(task: Object) -> Iterator[tuple[int, Object]]:
    """Iterate over the open files of a task.

    Reads ``files.fdt``: the bitmap ``open_fds`` and the array ``fd``.

    :param task: ``struct task_struct *``
    :return: Iterator of (file descriptor, ``struct file *``) tuples.
    """
    table = _fdtable(task)
    if table is None:
        return
    size = table.max_fds.value_()
    if not 0 <= size <= _MAX_OPEN_FILES:
        raise ValidationError(f"file table {hex(table)} has an implausible size of {size}")
    files = table.fd.read_()
    for number in set_bits(bitmap_value(table.open_fds.read_(), size)):
        file = files[number].read_()
        # A descriptor that is reserved has no file yet.
        if file:
            yield number, file


def print_files(task: Object) -> None:
    """Print the open files of a task, one per line: descriptor, path and the ``struct file *``.

    :param task: ``struct task_struct *``
    """
    for number, file in for_each_file(task):
        path = escape_ascii_string(d_path(file.f_path), escape_backslash=True)
        sys.stdout.write(f"{number} {path} ({file.type_.type_name()}){hex(file)}\n")


def address_space_for_each_page(mapping: Object) -> Iterator[tuple[int, Object]]:
    """Iterate over the pages in the cache of an address space.

    :param mapping: ``struct address_space *``
    :return: Iterator of (index in pages, ``struct page *``) tuples. A large folio comes once, by its first page.
    """
    prog = mapping.prog_
    page_pointer = prog.type("struct page *")
    for position, entry in xarray_entries(mapping.i_pages.address_of_()):
        # Values stand for pages that were evicted or swapped out.
        if not entry & 1:
            yield position, Object(prog, page_pointer, entry)


def inode_for_each_page(inode: Object) -> Iterator[tuple[int, Object]]:
    """Iterate over the pages in the cache of an inode.

    :param inode: ``struct inode *``
    :return: Iterator of (index in pages, ``struct page *``) tuples.
    """
    return address_space_for_each_page(inode.i_mapping.read_())


def decode_file_type(mode: IntegerLike) -> str:
    """Name the type of a file.

    :param mode: File mode, e.g. ``i_mode`` of a ``struct inode`` or ``st_mode`` of `os.stat()`.
    :return: ``"REG"``, ``"DIR"``, ``"CHR"``, ``"BLK"``, ``"FIFO"``, ``"LNK"``, ``"SOCK"``, or the type in octal.
    """
    kind = stat.S_IFMT(to_index(mode))
    return _FILE_TYPES.get(kind, f"{kind:06o}")


def _children(dentry: Object) -> Iterator[Object]:
    if dentry.prog_.type("struct dentry").has_member("d_children"):
        # "centralize killing dentry from shrink list" and its neighbours; in full:
        # "switch the list of children to hlist" (Linux 6.8)
        return hlist_for_each_entry("struct dentry", dentry.d_children.address_of_(), "d_sib")
    return list_for_each_entry("struct dentry", dentry.d_subdirs.address_of_(), "d_child")


def _mounted_on(mount: Object, dentry: Object) -> Object | None:
    """Get the topmost mount on a dentry of a mount, None if there is none."""
    for child in list_for_each_entry("struct mount", mount.mnt_mounts.address_of_(), "mnt_child"):
        if child.mnt_mountpoint == dentry:
            return child
    return None


class _Walker:
    """A place in the tree of mounts and dentries."""

    def __init__(self, root: Object) -> None:
        self._root = root
        self.mount = container_of(root.mnt.read_(), "struct mount", "mnt")
        self.dentry = root.dentry.read_()
        self.enter_mounts()

    def enter_mounts(self) -> None:
        for _ in range(_MAX_PATH_COMPONENTS):
            child = _mounted_on(self.mount, self.dentry)
            if child is None:
                return
            self.mount, self.dentry = child, child.mnt.mnt_root.read_()

    def up(self) -> None:
        for _ in range(_MAX_PATH_COMPONENTS):
            if self.dentry == self._root.dentry and self.mount.mnt.address_of_() == self._root.mnt:
                return
            if self.dentry != self.mount.mnt.mnt_root:
                self.dentry = self.dentry.d_parent.read_()
                self.enter_mounts()
                return
            if self.mount == self.mount.mnt_parent:
                return
            self.dentry, self.mount = (
                self.mount.mnt_mountpoint.read_(),
                self.mount.mnt_parent.read_(),
            )

    def down(self, name: bytes) -> bool:
        for child in _children(self.dentry):
            if dentry_name(child) == name and child.d_parent == self.dentry:
                self.dentry = child
                self.enter_mounts()
                return True
        return False


@takes_object_or_program_or_default
def path_lookup(
    prog: Program, root: Object | None, path: Path, *, allow_negative: bool = False
) -> Object:
    """Find a path in the dentry cache.

    Only what the kernel has in memory can be found, and symbolic links are not followed.

    :param root: ``struct path *`` of the root directory; the root of the initial task if omitted.
    :param path: Path to find.
    :param allow_negative: Whether a dentry that records that the file does not exist may be returned.
    :return: ``struct path``
    :raises Exception: if the path is not in the cache, or is there as one that does not exist
    """
    if root is None:
        root = prog["init_task"].fs.root.address_of_()
    walker = _Walker(root)
    for name in fsencode(path).split(b"/"):
        if name in (b"", b"."):
            continue
        if name == b"..":
            walker.up()
        elif not walker.down(name):
            raise Exception(f"could not find {path!r} in dcache")
    if not allow_negative and not walker.dentry.d_inode:
        raise Exception(f"{path!r} dentry is negative")
    value = {"mnt": walker.mount.mnt.address_of_(), "dentry": walker.dentry}
    return Object(prog, "struct path", value)
