# SPDX-License-Identifier: Apache-2.0
"""Walks over the sockets of the system (``struct sock``, include/net/sock.h)."""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from kdive import Object, Program, cast, sizeof
from kdive.helpers import ValidationError
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._words import words_at
from kdive.helpers.linux.fs import for_each_file
from kdive.helpers.linux.net import for_each_net, sk_fullsock, sk_nulls_for_each
from kdive.helpers.linux.pid import for_each_task

__all__ = (
    "OpenSocket",
    "for_each_open_socket",
    "for_each_tcp_sock",
    "sock_memory_bytes",
    "task_for_each_open_socket",
)

# The kernel's own limit of thash_entries is far below.
_MAX_BUCKETS = 1 << 28
_BUCKETS_PER_READ = 1 << 15


class OpenSocket(NamedTuple):
    """A socket that a process has open."""

    task: Object
    """``struct task_struct *``"""
    fd: int
    """Its file descriptor."""
    file: Object
    """``struct file *``"""
    sk: Object
    """``struct sock *``"""


@takes_program_or_default
def for_each_open_socket(prog: Program) -> Iterator[OpenSocket]:
    """Iterate over the sockets among the open files of all processes; one that is open twice comes twice.

    Reads ``files`` of each task, once for threads that share it, and ``f_op``, which is ``socket_file_ops``.
    """
    seen = {0}
    for task in for_each_task(prog):
        files = task.files.value_()
        if files not in seen:
            seen.add(files)
            yield from task_for_each_open_socket(task)


def task_for_each_open_socket(task: Object) -> Iterator[OpenSocket]:
    """Iterate over the sockets among the open files of a task.

    :param task: ``struct task_struct *``
    """
    operations = task.prog_.symbol("socket_file_ops").address
    for fd, file in for_each_file(task):
        if file.f_op.value_() == operations:
            sk = cast("struct socket *", file.private_data).sk.read_()
            # A socket that is being closed has none any more.
            if sk:
                yield OpenSocket(task, fd, file, sk)


@takes_program_or_default
def for_each_tcp_sock(prog: Program) -> Iterator[Object]:
    """Iterate over the TCP sockets with a connection, in all network namespaces; no process needs to have them open.

    Reads the hash tables ``ehash``; sockets that listen are in another one.

    :return: Iterator of ``struct sock *`` objects.
    """
    return chain.from_iterable(tcp_sock_buckets(prog))


def tcp_sock_buckets(prog: Program) -> Iterator[Iterator[Object]]:
    """Iterate as `for_each_tcp_sock()` does, over each bucket apart: one of them may be damaged."""
    tables = {}
    for net in for_each_net(prog):
        table = net.ipv4.tcp_death_row.hashinfo.read_()
        tables[int(table)] = table
    for table in tables.values():
        buckets = table.ehash.read_()
        count = table.ehash_mask.value_() + 1
        if count > _MAX_BUCKETS:
            raise ValidationError(f"struct inet_hashinfo {hex(table)} has {count} buckets")
        words_each = sizeof(buckets[0]) // prog.address_size()
        for first in range(0, count, _BUCKETS_PER_READ):
            size = min(count - first, _BUCKETS_PER_READ)
            heads = words_at(prog, int(buckets) + first * sizeof(buckets[0]), size * words_each)
            for position, head in enumerate(heads[::words_each]):
                # An empty list is a number with its lowest bit set.
                if head & 1:
                    continue
                yield filter(
                    sk_fullsock, sk_nulls_for_each(buckets[first + position].chain.address_of_())
                )


def sock_memory_bytes(sk: Object) -> int:
    """Get how much memory a socket has taken for packets, in bytes: received, to be sent, and kept in reserve.

    :param sk: ``struct sock *``
    """
    received = sk.sk_backlog.rmem_alloc.counter.value_()
    return int(received + sk.sk_wmem_queued.value_() + sk.sk_forward_alloc.value_())
