"""RDS connections (net/rds), over TCP, InfiniBand and the loopback."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kdive import Object, Program, cast, container_of
from kdive.helpers.linux.list import hlist_for_each_entry, list_count_nodes, list_for_each_entry
from kdive.helpers.linux.net import SOCK_INODE
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Finding,
    Item,
    Note,
    Options,
    Row,
    Severity,
    column,
    diagnosis,
    option,
)
from kdive.lens.needs import Needs, has_member
from kdive.lens.text import address_text, count_text, string

# enum { RDS_CONN_DOWN, … } of net/rds/rds.h has no name; these are its enumerators.
_STATES = (
    "RDS_CONN_DOWN",
    "RDS_CONN_CONNECTING",
    "RDS_CONN_DISCONNECTING",
    "RDS_CONN_UP",
    "RDS_CONN_RESETTING",
    "RDS_CONN_ERROR",
)
_UP, _CONNECTING = 3, 1
# Bits of rds_conn_path.cp_flags (macros)
_RDS_IN_XMIT = 2
_MAX_PATHS = 64
_EVIDENCE = 8


class Connection(Row, title="Connections"):
    """A path of a ``struct rds_connection``; only TCP has several to one connection."""

    transport: str = column("what carries it: infiniband, tcp or loopback")
    rds_conn: int = column("struct rds_connection", hexadecimal=True)
    ib_conn: int | None = column("struct rds_ib_connection", hexadecimal=True)
    conn_path: int = column("struct rds_conn_path", "Conn Path", hexadecimal=True)
    path: int = column("number of the path in its connection")
    tos: int = column("type of service", "ToS")
    local: str = column("local address", "Local Addr")
    remote: str = column("address of the peer", "Remote Addr")
    state: str = column("state of the path", "State")
    next_tx: int = column("sequence number of the next message to be sent", "NextTX")
    next_rx: int = column("sequence number of the next message to be received", "NextRX")
    flags: str = column(
        "s: sending, c: connecting, C: connected, E: a flush is pending (vendor kernels)", "Flags"
    )
    connected_s: int | None = column(
        "seconds since it is up, where the kernel records it", "Conn-Time"
    )
    cm_id: int | None = column("struct rdma_cm_id", "i_cm_id", hexadecimal=True)
    rdma_cm_state: str | None = column("state of the connection manager of RDMA", "RDMA CM State")
    ib_cm_id: int | None = column("struct ib_cm_id", hexadecimal=True)
    ib_cm_state: str | None = column("state of the connection manager of InfiniBand", "IB CM State")
    to_send: int = column("messages that wait to be sent", "Send Queue")
    to_acknowledge: int = column("messages sent that the peer has not acknowledged", "Retrans")
    net: int = column("struct net: the network namespace", hexadecimal=True)


class Socket(Row, title="Sockets"):
    """A ``struct rds_sock``."""

    address: int = column("struct rds_sock", "rds_sock", hexadecimal=True)
    bound: str = column("local address", "BoundAddr")
    bound_port: int = column("local port", "Bport")
    peer: str = column("address that it is connected to", "ConnAddr")
    peer_port: int = column("port that it is connected to", "CPort")
    send_buffer: int = column("bytes that it may have on their way out", "SndBuf")
    receive_buffer: int = column("bytes that it may have unread", "RcvBuf")
    inode: int | None = column("number of its inode, as in /proc/PID/fd", "Inode")
    congested: int = column("whether it is congested", "Cong")


class RdsOptions(Options):
    """Options of the diagnosis."""

    state: str = option("", "list only connections in a state whose name has this text in it")


@diagnosis(
    "rds",
    "RDS connections with their state in RDS, RDMA and InfiniBand, and RDS sockets.",
    rows=(Connection, Socket),
    options=RdsOptions,
    needs=Needs(
        modules=("rds",),
        variables={
            "rds_conn_hash": "struct hlist_head [4096]",
            "rds_sock_list": "struct list_head",
        },
        members=("struct rds_connection.c_hash_node", "struct rds_conn_path.cp_state"),
        # Those of the connection managers; RDS over TCP has none.
        optional_types=(
            "struct rds_ib_connection",
            "struct rdma_id_private",
            "struct ib_cm_id",
        ),
    ),
)
def rds(context: Context[RdsOptions]) -> Iterator[Item]:
    """Walk ``rds_conn_hash``, which holds the connections of all network namespaces."""
    rows = []
    connections = context.walk(_connections(context), "the hash of connections")
    for connection in connections:
        for row in _paths(context, connection):
            rows.append(row)
            if context.options.state.lower() in row.state.lower():
                yield row
    sockets = context.walk(
        list_for_each_entry(
            "struct rds_sock", context.variable("rds_sock_list").address_of_(), "rs_item"
        ),
        "the list of sockets",
    )
    count = 0
    for socket in sockets:
        with context.tolerate(f"struct rds_sock {hex(socket)}"):
            count += 1
            yield _socket(socket)
    if rows and not has_member(context.prog, "struct rds_conn_path.cp_reconnect_start"):
        yield Note("this kernel does not record since when a connection is up (Conn-Time)")
    yield from _stuck(rows)
    yield Checked(len({row.rds_conn for row in rows}), "connection")
    yield Checked(len(rows), "path of a connection", "paths of connections")
    yield Checked(count, "socket")


def _connections(context: Context[Any]) -> Iterator[Object]:
    for number, bucket in enumerate(context.variable("rds_conn_hash")):
        if bucket.first:
            yield from context.walk(
                hlist_for_each_entry("struct rds_connection", bucket.address_of_(), "c_hash_node"),
                f"rds_conn_hash[{number}]",
            )


def _paths(context: Context[Any], connection: Object) -> Iterator[Connection]:
    with context.tolerate(f"struct rds_connection {hex(connection)}"):
        paths = connection.c_path.read_()
        # "RDS: TCP: Enable multipath RDS for TCP" (Linux 4.9): before the peer has answered it is 0.
        count = min(max(connection.c_npaths.value_(), 1), _MAX_PATHS)
        for number in range(count):
            with context.tolerate(f"path {number} of struct rds_connection {hex(connection)}"):
                yield _row(context, connection, paths + number, number)


def _row(context: Context[Any], connection: Object, path: Object, number: int) -> Connection:
    prog = context.prog
    transport = string(connection.c_trans.t_name)
    state = path.cp_state.counter.value_()
    managers = _Managers()
    if transport == "infiniband":
        # A connection that is given up loses them before it is gone itself.
        with (
            context.tolerate(f"the managers of struct rds_connection {hex(connection)}"),
            contextlib.suppress(LookupError),
        ):
            managers.find(path.cp_transport_data.read_())
    return Connection(
        transport=transport,
        rds_conn=int(connection),
        ib_conn=managers.ib_conn,
        conn_path=int(path),
        path=number,
        tos=connection.c_tos.value_(),
        local=address_text(connection.c_laddr),
        remote=address_text(connection.c_faddr),
        state=_STATES[state] if 0 <= state < len(_STATES) else str(state),
        next_tx=path.cp_next_tx_seq.value_(),
        next_rx=path.cp_next_rx_seq.value_(),
        flags=_flags(path, state),
        connected_s=_connected_s(prog, path) if state == _UP else None,
        cm_id=managers.cm_id,
        rdma_cm_state=managers.rdma_cm_state,
        ib_cm_id=managers.ib_cm_id,
        ib_cm_state=managers.ib_cm_state,
        to_send=list_count_nodes(path.cp_send_queue.address_of_()),
        to_acknowledge=list_count_nodes(path.cp_retrans.address_of_()),
        net=int(connection.c_net.net),
    )


def _flags(path: Object, state: int) -> str:
    flush = getattr(path, "cp_pending_flush", None)  # kernels of Oracle only
    return "".join(
        letter if is_set else "-"
        for letter, is_set in (
            ("s", path.cp_flags.value_() >> _RDS_IN_XMIT & 1),
            ("c", state == _CONNECTING),
            ("C", state == _UP),
            ("E", flush is not None and bool(flush)),
        )
    )


def _connected_s(prog: Program, path: Object) -> int | None:
    from kdive.helpers.linux.timekeeping import ktime_get_real_seconds

    start = getattr(path, "cp_reconnect_start", None)  # kernels of Oracle only
    return None if start is None else ktime_get_real_seconds(prog).value_() - start.value_()


@dataclass
class _Managers:
    """The connection managers below RDS; None where one is not there or its types are not known."""

    ib_conn: int | None = None
    cm_id: int | None = None
    rdma_cm_state: str | None = None
    ib_cm_id: int | None = None
    ib_cm_state: str | None = None

    def find(self, transport_data: Object) -> None:
        """Follow the pointers from one to the next. What was found stays when one of them can't be followed."""
        if not transport_data:
            return
        self.ib_conn = int(transport_data)
        cm_id = cast("struct rds_ib_connection *", transport_data).i_cm_id.read_()
        if not cm_id:
            return
        self.cm_id = int(cm_id)
        private = container_of(cm_id, "struct rdma_id_private", "id")
        self.rdma_cm_state = _enumerator(private.state)
        ib_cm_id = cast("struct ib_cm_id *", private.cm_id.ib)
        if not ib_cm_id:
            return
        self.ib_cm_id = int(ib_cm_id)
        self.ib_cm_state = _enumerator(ib_cm_id.state)


def _enumerator(value: Object) -> str:
    """Name the value of an enumeration."""
    number = value.value_()
    for name, known, *_ in value.type_.unaliased().enumerators or ():
        if known == number:
            return str(name)
    return str(number)


def _socket(socket: Object) -> Socket:
    sock = socket.rs_sk
    bound = socket.rs_bound_sin6
    inode = sock.sk_socket.read_()
    return Socket(
        address=int(socket),
        bound=address_text(bound.sin6_addr),
        bound_port=_port(bound.sin6_port),
        peer=address_text(socket.rs_conn_addr),
        peer_port=_port(socket.rs_conn_port),
        # The kernel doubles what a program asks for, to have room for its own.
        send_buffer=sock.sk_sndbuf.value_() // 2,
        receive_buffer=sock.sk_rcvbuf.value_() // 2,
        inode=SOCK_INODE(inode).i_ino.value_() if inode else None,
        congested=socket.rs_congested.value_(),
    )


def _port(big_endian: Object) -> int:
    return int.from_bytes(big_endian.to_bytes_(), "big")


def _stuck(rows: list[Connection]) -> Iterator[Finding]:
    """Find paths that are not up although messages wait for them."""
    stuck = [row for row in rows if row.state != _STATES[_UP] and row.to_send + row.to_acknowledge]
    if not stuck:
        return
    hanging, total = (len({row.rds_conn for row in some}) for some in (stuck, rows))
    states = ", ".join(sorted({row.state for row in stuck}))
    messages = sum(row.to_send + row.to_acknowledge for row in stuck)
    evidence = []
    for row in stuck[:_EVIDENCE]:
        managers = " ".join(state for state in (row.rdma_cm_state, row.ib_cm_state) if state)
        evidence.append(
            f"{row.local} to {row.remote} over {row.transport}: {row.state}{' ' if managers else ''}{managers}, "
            f"{count_text(row.to_send + row.to_acknowledge, 'message')} waiting"
        )
    if len(stuck) > _EVIDENCE:
        evidence.append(f"{count_text(len(stuck) - _EVIDENCE, 'more connection')} below")
    yield Finding(
        Severity.CRITICAL,
        f"{hanging} of {count_text(total, 'RDS connection')} {'hangs' if hanging == 1 else 'hang'} in {states} "
        f"while {count_text(messages, 'message')} {'waits' if messages == 1 else 'wait'}",
        tuple(evidence),
        "rds ib-mad" if any(row.transport == "infiniband" for row in stuck) else "rds",
    )
