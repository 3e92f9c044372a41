# SPDX-License-Identifier: Apache-2.0
"""Control groups (include/linux/cgroup-defs.h) and the states that controllers keep for them."""

from collections.abc import Iterator

from kdive import NULL, Object, Path, Program, cast, container_of
from kdive.helpers import ValidationError
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.kernfs import kernfs_name, kernfs_path, kernfs_walk
from kdive.helpers.linux.list import list_for_each_entry

__all__ = (
    "cgroup_get_from_path",
    "cgroup_name",
    "cgroup_parent",
    "cgroup_path",
    "css_for_each_child",
    "css_for_each_descendant_pre",
    "css_next_child",
    "css_next_descendant_pre",
    "sock_cgroup_ptr",
)

_MAX_DEPTH = 1024


def sock_cgroup_ptr(skcd: Object) -> Object:
    """Get the cgroup that a socket belongs to.

    :param skcd: ``struct sock_cgroup_data *``, usually ``sk_cgrp_data`` of a ``struct sock``.
    :return: ``struct cgroup *``
    """
    try:
        # "bpf, cgroups: Fix cgroup v2 fallback on v1/v2 mixed mode" (Linux 5.15)
        return skcd.cgroup.read_()
    except AttributeError:
        pass
    # Before, the word was a pointer or, with bit 0 set, the class and priority of the socket.
    value = skcd.val.value_()
    prog = skcd.prog_
    if value & 1 or not value:
        return prog["cgrp_dfl_root"].cgrp.address_of_()
    return Object(prog, "struct cgroup *", value & ~3)


def cgroup_parent(cgrp: Object) -> Object:
    """Get the parent of a cgroup.

    :param cgrp: ``struct cgroup *``
    :return: ``struct cgroup *``, ``NULL`` for a root.
    """
    css = cgrp.self.parent.read_()
    if not css:
        return NULL(cgrp.prog_, "struct cgroup *")
    return container_of(css, "struct cgroup", "self")


def cgroup_name(cgrp: Object) -> bytes:
    """Get the name of a cgroup.

    :param cgrp: ``struct cgroup *``
    """
    return kernfs_name(cgrp.kn.read_())


def cgroup_path(cgrp: Object) -> bytes:
    """Get the path of a cgroup in its hierarchy.

    :param cgrp: ``struct cgroup *``
    """
    return kernfs_path(cgrp.kn.read_())


@takes_program_or_default
def cgroup_get_from_path(prog: Program, path: Path) -> Object:
    """Find a cgroup of the default (version 2) hierarchy by its path.

    :param path: Path from the root of the hierarchy.
    :return: ``struct cgroup *``, ``NULL`` if there is none.
    """
    node = kernfs_walk(prog["cgrp_dfl_root"].cgrp.kn.read_(), path)
    if not node:
        return NULL(prog, "struct cgroup *")
    return cast("struct cgroup *", node.priv.read_())


def css_next_child(pos: Object, parent: Object) -> Object:
    """Get the child after a position, those that are offline included.

    :param pos: ``struct cgroup_subsys_state *``, ``NULL`` to get the first child.
    :param parent: ``struct cgroup_subsys_state *``
    :return: ``struct cgroup_subsys_state *``, ``NULL`` if there are no more.
    """
    prog = parent.prog_
    head = parent.children.address_of_()
    node = (pos.sibling.next if pos else parent.children.next).read_()
    if node == head:
        return NULL(prog, "struct cgroup_subsys_state *")
    return container_of(node, "struct cgroup_subsys_state", "sibling")


def css_next_descendant_pre(pos: Object, root: Object) -> Object:
    """Get the descendant after a position, parents before children, those that are offline included.

    :param pos: ``struct cgroup_subsys_state *``, ``NULL`` to get the first one, which is *root* itself.
    :param root: ``struct cgroup_subsys_state *``
    :return: ``struct cgroup_subsys_state *``, ``NULL`` if there are no more.
    """
    if not pos:
        return root
    child = css_next_child(NULL(root.prog_, "struct cgroup_subsys_state *"), pos)
    if child:
        return child
    for _ in range(_MAX_DEPTH):
        if pos == root:
            return NULL(root.prog_, "struct cgroup_subsys_state *")
        parent = pos.parent.read_()
        sibling = css_next_child(pos, parent)
        if sibling:
            return sibling
        pos = parent
    raise ValidationError(f"cgroups are nested deeper than {_MAX_DEPTH} at {hex(pos)}")


def css_for_each_child(css: Object) -> Iterator[Object]:
    """Iterate over the children of a controller's state, those that are offline included.

    :param css: ``struct cgroup_subsys_state *``
    :return: Iterator of ``struct cgroup_subsys_state *`` objects.
    """
    return list_for_each_entry("struct cgroup_subsys_state", css.children.address_of_(), "sibling")


def css_for_each_descendant_pre(css: Object) -> Iterator[Object]:
    """Iterate over a controller's state and everything below it, parents before children.

    States that are offline are included: they stay in the tree until their last reference is gone.

    :param css: ``struct cgroup_subsys_state *``
    :return: Iterator of ``struct cgroup_subsys_state *`` objects.
    :raises ValidationError: if a list of children runs into a cycle or the tree is too deep
    """
    lineage = [iter([css])]
    while lineage:
        if len(lineage) > _MAX_DEPTH:
            raise ValidationError(f"cgroups are nested deeper than {_MAX_DEPTH} below {hex(css)}")
        for descendant in lineage[-1]:
            yield descendant
            lineage.append(css_for_each_child(descendant))
            break
        else:
            lineage.pop()
