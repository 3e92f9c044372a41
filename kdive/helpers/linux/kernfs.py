# SPDX-License-Identifier: Apache-2.0
"""The pseudo file system core of sysfs and cgroups (include/linux/kernfs.h)."""

from collections.abc import Iterator
from os import fsencode

from kdive import NULL, Object, Path
from kdive.helpers import ValidationError
from kdive.helpers.linux.rbtree import rbtree_inorder_for_each_entry

__all__ = (
    "kernfs_children",
    "kernfs_name",
    "kernfs_parent",
    "kernfs_path",
    "kernfs_root",
    "kernfs_walk",
)

# enum kernfs_node_type, in the lowest bits of kernfs_node.flags
_TYPE_MASK = 0xF
_DIR = 0x1
_LINK = 0x4
_MAX_DEPTH = 1024
# As many as the kernel follows while it looks up one path (MAXSYMLINKS).
_MAX_SYMLINKS = 40


def kernfs_node_is_dir(kn: Object) -> bool:
    """Return whether a node is a directory (``KERNFS_DIR`` in its ``flags``).

    :param kn: ``struct kernfs_node *``
    """
    return bool(kn.flags.value_() & _TYPE_MASK == _DIR)


def kernfs_parent(kn: Object) -> Object:
    """Get the parent of a node.

    :param kn: ``struct kernfs_node *``
    :return: ``struct kernfs_node *``, ``NULL`` for a root.
    """
    try:
        # "kernfs: Use RCU to access kernfs_node::parent." (Linux 6.15)
        return kn.__parent.read_()
    except AttributeError:
        return kn.parent.read_()


def kernfs_name(kn: Object) -> bytes:
    """Get the name of a node.

    :param kn: ``struct kernfs_node *``
    :return: Name, ``b"/"`` for a root.
    """
    if not kernfs_parent(kn):
        return b"/"
    name: bytes = kn.name.string_()
    return name


def _lineage(kn: Object) -> Iterator[Object]:
    """Yield a node and its ancestors, the root last."""
    for _ in range(_MAX_DEPTH):
        yield kn
        kn = kernfs_parent(kn)
        if not kn:
            return
    raise ValidationError(f"kernfs nodes are nested deeper than {_MAX_DEPTH} at {hex(kn)}")


def kernfs_path(kn: Object) -> bytes:
    """Get the path of a node from its root.

    It can be told even after the node was removed, because a node keeps its parent.

    :param kn: ``struct kernfs_node *``
    :return: Absolute path, ``b"(null)"`` for a null pointer.
    """
    if not kn:
        return b"(null)"
    names = [node.name.string_() for node in _lineage(kn) if kernfs_parent(node)]
    return b"/" + b"/".join(reversed(names))


def kernfs_root(kn: Object) -> Object:
    """Get the root that a node belongs to.

    Only directories point to it, so for others the parent is asked.

    :param kn: ``struct kernfs_node *``
    :return: ``struct kernfs_root *``
    """
    parent = kernfs_parent(kn)
    return (parent or kn).dir.root.read_()


def kernfs_children(kn: Object) -> Iterator[Object]:
    """Iterate over the children of a directory.

    :param kn: ``struct kernfs_node *``
    :return: Iterator of ``struct kernfs_node *`` objects, in the order of the hashes of their names.
    :raises ValueError: if the node is not a directory
    """
    if not kernfs_node_is_dir(kn):
        raise ValueError("not a directory")
    return rbtree_inorder_for_each_entry("struct kernfs_node", kn.dir.children.address_of_(), "rb")


def _child(directory: Object, name: bytes) -> Object:
    """Find a child by its name, ``NULL`` if there is none.

    A directory may have children of the same name for several network namespaces (``ns``), like ``/sys/class/net``: the
    one of the initial namespace is preferred.
    """
    prog = directory.prog_
    named = [kn for kn in kernfs_children(directory) if kn.name.string_() == name]
    if len(named) > 1:
        initial = prog["init_net"].address_of_().value_()
        named.sort(key=lambda kn: bool(kn.ns.value_() != initial))
    return named[0] if named else NULL(prog, "struct kernfs_node *")


def kernfs_walk(parent: Object, path: Path, follow_symlinks: bool = True) -> Object:
    """Find a node by its path.

    :param parent: ``struct kernfs_node *`` to start from.
    :param path: Path from *parent*.
    :param follow_symlinks: Whether to follow a symbolic link that is the last component. Others are always followed.
    :return: ``struct kernfs_node *``, ``NULL`` if there is none or if there are too many symbolic links.
    """
    prog = parent.prog_
    missing = NULL(prog, "struct kernfs_node *")
    pending = fsencode(path).split(b"/")[::-1]
    node = parent.read_()
    links = 0
    while pending:
        name = pending.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            node = kernfs_parent(node) or node
            continue
        if not kernfs_node_is_dir(node):
            return missing
        child = _child(node, name)
        if not child:
            return missing
        node = child
        while node.flags.value_() & _TYPE_MASK == _LINK and (follow_symlinks or any(pending)):
            links += 1
            if links > _MAX_SYMLINKS:
                return missing
            # The target is a node, not a path.
            node = node.symlink.target_kn.read_()
    return node
