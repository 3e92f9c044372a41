# SPDX-License-Identifier: Apache-2.0
"""Sets of NUMA nodes (``nodemask_t``, include/linux/nodemask.h)."""

from collections.abc import Iterator
from operator import index

from kdive import IntegerLike, Object, Program, sizeof
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._words import bitmap_value, set_bits
from kdive.helpers.linux.bitops import test_bit

__all__ = (
    "for_each_node",
    "for_each_node_mask",
    "for_each_node_state",
    "for_each_online_node",
    "node_state",
    "nr_node_ids",
)


def for_each_node_mask(mask: Object) -> Iterator[int]:
    """Iterate over the NUMA nodes in a mask.

    :param mask: ``nodemask_t``
    """
    return set_bits(bitmap_value(mask.bits, 8 * sizeof(mask.bits)))


@takes_program_or_default
def for_each_node_state(prog: Program, state: IntegerLike) -> Iterator[int]:
    """Iterate over the NUMA nodes in a state.

    :param state: ``enum node_states`` (e.g. ``N_NORMAL_MEMORY``)
    """
    return for_each_node_mask(prog["node_states"][index(state)])


@takes_program_or_default
def for_each_node(prog: Program) -> Iterator[int]:
    """Iterate over the NUMA nodes that may ever be online."""
    return for_each_node_state(prog, prog["N_POSSIBLE"])


@takes_program_or_default
def for_each_online_node(prog: Program) -> Iterator[int]:
    """Iterate over the NUMA nodes that are online."""
    return for_each_node_state(prog, prog["N_ONLINE"])


def node_state(node: IntegerLike, state: Object) -> bool:
    """Return whether a NUMA node is in a state.

    :param node: NUMA node number.
    :param state: ``enum node_states`` (e.g. ``N_NORMAL_MEMORY``)
    """
    return test_bit(node, state.prog_["node_states"][state].bits)


@takes_program_or_default
def nr_node_ids(prog: Program) -> int:
    """Get the number of NUMA node IDs: one more than the highest that is possible.

    It is 1 on kernels without CONFIG_NUMA, which have no such variable.
    """
    try:
        return int(prog["nr_node_ids"])
    except KeyError:
        return 1
