# SPDX-License-Identifier: Apache-2.0
"""Ranges of I/O ports and memory (``struct resource``, include/linux/ioport.h)."""

from collections.abc import Iterator

from kdive import Object
from kdive.helpers import ValidationError

__all__ = ("for_each_resource",)


def for_each_resource(root: Object) -> Iterator[Object]:
    """Iterate over a range and those below it, each before what it contains.

    >>> for resource in for_each_resource(prog["iomem_resource"].address_of_()):
    ...     print(hex(resource.start), resource.name.string_())

    :param root: ``struct resource *``
    :return: Iterator of ``struct resource *`` objects.
    :raises ValidationError: if the links run into a cycle
    """
    seen: set[int] = set()
    pending = [root.read_()]
    while pending:
        resource = pending.pop()
        if resource.value_() in seen:
            raise ValidationError(
                f"resources below {hex(root)} run into a cycle at {hex(resource)}"
            )
        seen.add(resource.value_())
        yield resource
        # Beside the root there may be others, which are not below it.
        if len(seen) > 1:
            sibling = resource.sibling.read_()
            if sibling:
                pending.append(sibling)
        child = resource.child.read_()
        if child:
            pending.append(child)
