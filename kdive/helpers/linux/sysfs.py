# SPDX-License-Identifier: Apache-2.0
"""Objects behind paths in ``/sys`` (fs/sysfs/, include/linux/kobject.h)."""

from kdive import NULL, Object, Program, cast, container_of
from kdive.helpers import ValidationError
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.kernfs import (
    kernfs_children,
    kernfs_node_is_dir,
    kernfs_parent,
    kernfs_walk,
)

__all__ = (
    "kobject_path",
    "sysfs_listdir",
    "sysfs_lookup",
    "sysfs_lookup_kobject",
    "sysfs_lookup_node",
)

_MAX_DEPTH = 1024
# Types of kobjects by the variable that holds their kobj_type: where they are found, and what is returned.
_CONTAINERS = {
    "device_ktype": ("struct device", "kobj"),
    "class_ktype": ("struct subsys_private", "subsys.kobj"),
    "bus_ktype": ("struct subsys_private", "subsys.kobj"),
    "driver_ktype": ("struct driver_private", "kobj"),
    "module_ktype": ("struct module_kobject", "kobj"),
}
# Where the private data points to what the driver core's users know.
_PUBLIC_MEMBERS = {"class_ktype": "class", "bus_ktype": "bus", "driver_ktype": "driver"}


def _relative(path: str) -> str:
    stripped = path.removeprefix("/sys")
    if path.startswith("/sys") and stripped[:1] in ("", "/"):
        path = stripped
    return path.strip("/")


@takes_program_or_default
def sysfs_lookup_node(prog: Program, path: str) -> Object:
    """Find the node of a path in sysfs, following symbolic links.

    :param path: Path, absolute or from ``/sys``.
    :return: ``struct kernfs_node *``, ``NULL`` if there is none.
    """
    return kernfs_walk(prog["sysfs_root_kn"].read_(), _relative(path))


@takes_program_or_default
def sysfs_lookup_kobject(prog: Program, path: str) -> Object:
    """Find the kernel object of a path in sysfs: that of the directory itself, or of the directory that a file is in.

    :param path: Path, absolute or from ``/sys``.
    :return: ``struct kobject *``, ``NULL`` if there is none.
    """
    node = sysfs_lookup_node(prog, path)
    if node and not kernfs_node_is_dir(node):
        node = kernfs_parent(node)
    if not node:
        return NULL(prog, "struct kobject *")
    return cast("struct kobject *", node.priv.read_())


@takes_program_or_default
def sysfs_lookup(prog: Program, path: str) -> Object:
    """Find what a path in sysfs shows.

    :param path: Path, absolute or from ``/sys``.
    :return: ``struct device *``, ``struct class *``, ``struct bus_type *``, ``struct device_driver *`` or
        ``struct module_kobject *`` for kernel objects of these types, ``struct kobject *`` for others, ``NULL`` if
        there is none.
    """
    kobject = sysfs_lookup_kobject(prog, path)
    ktype = kobject.ktype.read_() if kobject else None
    if not ktype:
        return kobject
    for variable, (container, member) in _CONTAINERS.items():
        try:
            matches = prog[variable].address_of_() == ktype
        except KeyError:
            continue
        if matches:
            found = container_of(kobject, container, member)
            public = _PUBLIC_MEMBERS.get(variable)
            return found if public is None else getattr(found, public).read_()
    return kobject


@takes_program_or_default
def sysfs_listdir(prog: Program, path: str) -> list[bytes]:
    """List the names in a directory of sysfs.

    :param path: Path, absolute or from ``/sys``.
    :raises ValueError: if there is no such directory
    """
    node = sysfs_lookup_node(prog, path)
    if not node:
        raise ValueError(f"{path}: not found in sysfs")
    if not kernfs_node_is_dir(node):
        raise ValueError(f"{path}: not a directory")
    return [child.name.string_() for child in kernfs_children(node)]


def kobject_path(kobj: Object) -> bytes:
    """Get the path of a kernel object in sysfs.

    :param kobj: ``struct kobject *``
    :return: Absolute path.
    """
    names: list[bytes] = []
    kobj = kobj.read_()
    for _ in range(_MAX_DEPTH):
        if not kobj:
            return b"/sys/" + b"/".join(reversed(names))
        names.append(kobj.name.string_())
        kobj = kobj.parent.read_()
    raise ValidationError(f"kobjects are nested deeper than {_MAX_DEPTH} at {hex(kobj)}")
