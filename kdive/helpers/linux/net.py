# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, devices, sockets, packets, addresses and neighbours."""

import ipaddress
from collections.abc import Iterator
from operator import index

from kdive import (
    NULL,
    Architecture,
    IntegerLike,
    Object,
    Program,
    Type,
    cast,
    container_of,
    offsetof,
    sizeof,
)
from kdive.helpers.common.prog import takes_object_or_program_or_default, takes_program_or_default
from kdive.helpers.linux._walk import follow, member_reader, pointers
from kdive.helpers.linux.fs import fget
from kdive.helpers.linux.list import hlist_for_each_entry, list_for_each_entry
from kdive.helpers.linux.list_nulls import hlist_nulls_for_each_entry

__all__ = (
    "SOCKET_I",
    "SOCK_INODE",
    "for_each_net",
    "for_each_netdev",
    "get_net_ns_by_fd",
    "get_net_ns_by_inode",
    "is_pp_page",
    "neigh_table_for_each_neighbor",
    "netdev_for_each_tx_queue",
    "netdev_get_by_index",
    "netdev_get_by_name",
    "netdev_ipv4_addrs",
    "netdev_ipv6_addrs",
    "netdev_name",
    "netdev_priv",
    "sk_fullsock",
    "sk_nulls_for_each",
    "skb_shinfo",
)

# States of sockets that are not full: time-wait and request (include/net/tcp_states.h)
_TCP_TIME_WAIT = 6
_TCP_NEW_SYN_RECV = 12
_S_IFMT = 0o170000
_S_IFSOCK = 0o140000
_NETDEV_ALIGN = 32
_MAX_TX_QUEUES = 1 << 16
_MAX_NEIGHBOUR_HASH_SHIFT = 28
# PP_SIGNATURE without POISON_POINTER_DELTA, and the bits of the word that are not part of the signature: the two
# lowest, and since "page_pool: Track DMA-mapped pages and unmap them when destroying the pool" (Linux 6.16) 32 above.
_PP_SIGNATURE = 0x40
_PP_NOT_MAGIC = 0xFFFFFFFF << 7 | 3
# CONFIG_ILLEGAL_POINTER_VALUE of the architectures that don't use 0
_POISON_POINTER_DELTA = {
    Architecture.X86_64: 0xDEAD000000000000,
    Architecture.AARCH64: 0xDEAD000000000000,
    Architecture.RISCV64: 0xDEAD000000000000,
    Architecture.PPC64: 0x5DEADBEEF0000000,
}


def SOCKET_I(inode: Object) -> Object:
    """Get the socket that an inode stands for.

    :param inode: ``struct inode *``
    :return: ``struct socket *``
    :raises ValueError: if the inode is not that of a socket
    """
    if inode.i_mode.value_() & _S_IFMT != _S_IFSOCK:
        raise ValueError("not a socket inode")
    return container_of(inode, "struct socket_alloc", "vfs_inode").socket.address_of_()


def SOCK_INODE(sock: Object) -> Object:
    """Get the inode that stands for a socket.

    :param sock: ``struct socket *``
    :return: ``struct inode *``
    """
    return container_of(sock, "struct socket_alloc", "socket").vfs_inode.address_of_()


@takes_program_or_default
def for_each_net(prog: Program) -> Iterator[Object]:
    """Iterate over the network namespaces: ``net_namespace_list``.

    :return: Iterator of ``struct net *`` objects.
    """
    return list_for_each_entry("struct net", prog["net_namespace_list"].address_of_(), "list")


def get_net_ns_by_inode(inode: Object) -> Object:
    """Get the network namespace that an inode like ``/proc/PID/ns/net`` stands for.

    :param inode: ``struct inode *``
    :return: ``struct net *``
    :raises ValueError: if the inode is not that of a network namespace
    """
    prog = inode.prog_
    # Inodes of nsfs keep the common part of the namespace, which knows the operations of its kind.
    if inode.i_fop != prog["ns_file_operations"].address_of_():
        raise ValueError("not a namespace inode")
    common = cast("struct ns_common *", inode.i_private.read_())
    if common.ops != prog["netns_operations"].address_of_():
        raise ValueError("not a network namespace inode")
    return container_of(common, "struct net", "ns")


def get_net_ns_by_fd(task: Object, fd: IntegerLike) -> Object:
    """Get the network namespace that a file descriptor of a task refers to.

    :param task: ``struct task_struct *``
    :param fd: File descriptor.
    :return: ``struct net *``
    :raises ValueError: if the descriptor is not open or not that of a network namespace
    """
    file = fget(task, fd)
    if not file:
        raise ValueError(f"file descriptor {index(fd)} is not open")
    return get_net_ns_by_inode(file.f_inode.read_())


def netdev_name(dev: Object) -> bytes:
    """Get the name of a network device.

    :param dev: ``struct net_device *``
    """
    name: bytes = dev.name.string_()
    return name


@takes_object_or_program_or_default
def for_each_netdev(prog: Program, net: Object | None) -> Iterator[Object]:
    """Iterate over the network devices of a namespace: ``dev_base_head``.

    :param net: ``struct net *``; the initial namespace if omitted.
    :return: Iterator of ``struct net_device *`` objects.
    """
    namespace = prog["init_net"] if net is None else net
    return list_for_each_entry(
        "struct net_device", namespace.dev_base_head.address_of_(), "dev_list"
    )


@takes_object_or_program_or_default
def netdev_get_by_index(prog: Program, net: Object | None, ifindex: IntegerLike) -> Object:
    """Find a network device by its interface index.

    :param net: ``struct net *``; the initial namespace if omitted.
    :param ifindex: Interface index.
    :return: ``struct net_device *``, ``NULL`` if there is none.
    """
    wanted = index(ifindex)
    for dev in for_each_netdev(prog) if net is None else for_each_netdev(net):
        if dev.ifindex.value_() == wanted:
            return dev
    return NULL(prog, "struct net_device *")


@takes_object_or_program_or_default
def netdev_get_by_name(prog: Program, net: Object | None, name: str | bytes) -> Object:
    """Find a network device by its name.

    :param net: ``struct net *``; the initial namespace if omitted.
    :param name: Name.
    :return: ``struct net_device *``, ``NULL`` if there is none.
    """
    wanted = name.encode() if isinstance(name, str) else name
    for dev in for_each_netdev(prog) if net is None else for_each_netdev(net):
        if netdev_name(dev) == wanted:
            return dev
    return NULL(prog, "struct net_device *")


def netdev_for_each_tx_queue(dev: Object) -> Iterator[Object]:
    """Iterate over the transmit queues of a network device.

    :param dev: ``struct net_device *``
    :return: Iterator of ``struct netdev_queue *`` objects.
    """
    queues = dev._tx.read_()
    for number in range(min(dev.num_tx_queues.value_(), _MAX_TX_QUEUES)):
        yield queues + number


def netdev_priv(dev: Object, type: str | Type = "void") -> Object:
    """Get the data that the driver keeps with a network device.

    :param dev: ``struct net_device *``
    :param type: Type of the data.
    :return: ``type *``
    """
    prog = dev.prog_
    net_device = prog.type("struct net_device")
    pointer_type = prog.pointer_type(prog.type(type))
    if net_device.has_member("priv"):
        # "netdevice: define and allocate &net_device _properly_" (Linux 6.11)
        return cast(pointer_type, dev.priv.address_of_())
    size = sizeof(net_device) + _NETDEV_ALIGN - 1 & -_NETDEV_ALIGN
    return Object(prog, pointer_type, dev.value_() + size)


def sk_fullsock(sk: Object) -> bool:
    """Return whether a socket is a full one, rather than a time-wait or request socket.

    :param sk: ``struct sock *``
    """
    return sk.__sk_common.skc_state.value_() not in (_TCP_TIME_WAIT, _TCP_NEW_SYN_RECV)


def sk_nulls_for_each(head: Object) -> Iterator[Object]:
    """Iterate over the sockets on a nulls hash list.

    :param head: ``struct hlist_nulls_head *``
    :return: Iterator of ``struct sock *`` objects.
    """
    return hlist_nulls_for_each_entry("struct sock", head, "__sk_common.skc_nulls_node")


def skb_shinfo(skb: Object) -> Object:
    """Get the part of a packet that its clones share; it comes after the data.

    :param skb: ``struct sk_buff *``
    :return: ``struct skb_shared_info *``
    """
    # With NET_SKBUFF_DATA_USES_OFFSET, that is, on 64-bit architectures, the end is an offset.
    end = skb.end
    address = (
        end.value_() if end.type_.unaliased_kind().name == "POINTER" else (skb.head + end).value_()
    )
    return Object(skb.prog_, "struct skb_shared_info *", address)


def is_pp_page(page: Object) -> bool:
    """Return whether a page belongs to a page pool.

    :param page: ``struct page *``
    :raises NotImplementedError: if this kernel does not mark such pages (before Linux 5.14)
    """
    try:
        # "mm: add a signature in struct page" (Linux 5.14)
        magic = page.pp_magic.value_()
    except AttributeError:
        raise NotImplementedError(
            "page_pool pages can't be told from others before Linux 5.14"
        ) from None
    platform = page.prog_.platform
    delta = _POISON_POINTER_DELTA.get(platform.arch, 0) if platform is not None else 0
    return bool(magic & ~_PP_NOT_MAGIC == _PP_SIGNATURE + delta)


def _chain(prog: Program, type: str, member: str, first: Object) -> Iterator[Object]:
    step = member_reader(prog, offsetof(prog.type(type), member))
    return pointers(prog, type, follow(step, first.value_(), 0, type))


def netdev_ipv4_addrs(dev: Object) -> list[ipaddress.IPv4Address]:
    """Get the IPv4 addresses of a network device.

    :param dev: ``struct net_device *``
    """
    in_dev = dev.ip_ptr.read_()
    if not in_dev:
        return []
    addresses = _chain(dev.prog_, "struct in_ifaddr", "ifa_next", in_dev.ifa_list)
    return [ipaddress.IPv4Address(address.ifa_local.to_bytes_()) for address in addresses]


def netdev_ipv6_addrs(dev: Object) -> list[ipaddress.IPv6Address]:
    """Get the IPv6 addresses of a network device.

    :param dev: ``struct net_device *``
    """
    in6_dev = dev.ip6_ptr.read_()
    if not in6_dev:
        return []
    addresses = list_for_each_entry(
        "struct inet6_ifaddr", in6_dev.addr_list.address_of_(), "if_list"
    )
    return [ipaddress.IPv6Address(address.addr.to_bytes_()) for address in addresses]


def neigh_table_for_each_neighbor(table: Object) -> Iterator[Object]:
    """Iterate over the entries of a neighbour table, like that of ARP.

    >>> for neighbour in neigh_table_for_each_neighbor(prog["arp_tbl"].address_of_()):
    ...     print(neighbour.dev.name.string_())

    :param table: ``struct neigh_table *`` or its ``struct neigh_hash_table *``
    :return: Iterator of ``struct neighbour *`` objects.
    """
    prog = table.prog_
    try:
        nht = table.nht.read_()
    except AttributeError:
        nht = table
    shift = nht.hash_shift.value_()
    if shift > _MAX_NEIGHBOUR_HASH_SHIFT:
        raise ValueError(f"neighbour hash table {hex(nht)} has an implausible size of 2^{shift}")
    linked = prog.type("struct neigh_hash_table").has_member("hash_heads")
    for bucket in range(1 << shift):
        if linked:
            # "neighbour: Convert seq_file functions to use hlist" and its neighbours (Linux 6.13)
            head = nht.hash_heads[bucket].address_of_()
            yield from hlist_for_each_entry("struct neighbour", head, "hash")
        else:
            yield from _chain(prog, "struct neighbour", "next", nht.hash_buckets[bucket])
