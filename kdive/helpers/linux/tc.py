# SPDX-License-Identifier: Apache-2.0
"""Traffic control (include/net/sch_generic.h)."""

from operator import index

from kdive import NULL, IntegerLike, Object
from kdive.helpers.linux.list import hlist_for_each_entry

__all__ = ("qdisc_lookup",)

_MAJOR_SHIFT = 16


def qdisc_lookup(dev: Object, major: IntegerLike) -> Object:
    """Find a queueing discipline of a network device by the major number of its handle.

    The tc(8) command shows these numbers in hexadecimal: ``10:`` is 0x10.

    :param dev: ``struct net_device *``
    :param major: Major number.
    :return: ``struct Qdisc *``, ``NULL`` if there is none.
    """
    handle = index(major) << _MAJOR_SHIFT
    roots = [dev.qdisc.read_()]
    try:
        ingress = dev.ingress_queue.read_()
    except AttributeError:
        # Without CONFIG_NET_INGRESS there is none.
        ingress = None
    if ingress:
        roots.append(ingress.qdisc_sleeping.read_())
    for root in roots:
        if root and root.handle.value_() == handle:
            return root
    for bucket in dev.qdisc_hash:
        for qdisc in hlist_for_each_entry("struct Qdisc", bucket.address_of_(), "hash"):
            if qdisc.handle.value_() == handle:
                return qdisc
    return NULL(dev.prog_, "struct Qdisc *")
