"""Runs in a guest: RDS sockets that send and receive, and what the kernel says about RDS.

``rds.py receive ADDRESS PORT``, ``rds.py send ADDRESS PORT TO-ADDRESS TO-PORT``,
``rds.py connections``, ``rds.py sockets``.
"""

import json
import socket
import struct
import sys
import time
from typing import Any

AF_RDS, SOL_RDS = 21, 276
INFO_CONNECTIONS, INFO_SOCKETS = 10001, 10006
#: struct rds_info_connection: next_tx_seq, next_rx_seq, laddr, faddr, transport, flags, tos.
CONNECTION = struct.Struct("=QQ4s4s16sBB")
#: struct rds_info_socket: sndbuf, bound_addr, connected_addr, ports, rcvbuf, inum.
SOCKET = struct.Struct(">I4s4sHHIQ")
LARGEST_ANSWER = 1024


def bound(address: str, port: int) -> socket.socket:
    """A socket with an address of its own."""
    rds = socket.socket(AF_RDS, socket.SOCK_SEQPACKET)
    rds.bind((address, port))
    print("bound", flush=True)
    return rds


def information(number: int, row: struct.Struct) -> list[tuple[Any, ...]]:
    """The rows that the kernel returns for an information request."""
    with socket.socket(AF_RDS, socket.SOCK_SEQPACKET) as rds:
        content = rds.getsockopt(SOL_RDS, number, LARGEST_ANSWER)
    return list(row.iter_unpack(content[: len(content) // row.size * row.size]))


def connections() -> list[dict[str, Any]]:
    """The connections of this network namespace; one row for each, in the kernel's order."""
    return [
        {
            "local": socket.inet_ntoa(local),
            "remote": socket.inet_ntoa(remote),
            "transport": transport.rstrip(b"\0").decode(),
            "tos": tos,
            "next_tx": next_tx,
            "next_rx": next_rx,
            "sending": bool(flags & 1),
            "connecting": bool(flags & 2),
            "up": bool(flags & 4),
        }
        for next_tx, next_rx, local, remote, transport, flags, tos in information(
            INFO_CONNECTIONS, CONNECTION
        )
    ]


def sockets() -> list[dict[str, Any]]:
    """The sockets of all namespaces that have an address."""
    return [
        {
            "address": socket.inet_ntoa(address),
            "port": port,
            "inode": int.from_bytes(inode.to_bytes(8), sys.byteorder),
        }
        for _, address, _, port, _, _, inode in information(INFO_SOCKETS, SOCKET)
    ]


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["connections"]:
            print(json.dumps(connections()))
        case ["sockets"]:
            print(json.dumps(sockets()))
        case ["receive", address, port]:
            rds = bound(address, int(port))
            while True:
                message, sender = rds.recvfrom(100)
                print("received", message.decode(), "from", *sender, flush=True)
        case ["send", address, port, to_address, to_port]:
            rds = bound(address, int(port))
            rds.setblocking(False)
            rds.sendto(b"greetings", (to_address, int(to_port)))
            print("sent", flush=True)
            time.sleep(100000)


if __name__ == "__main__":
    main()
