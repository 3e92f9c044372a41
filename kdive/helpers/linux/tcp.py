# SPDX-License-Identifier: Apache-2.0
"""TCP sockets (include/net/tcp_states.h)."""

from kdive import Object, cast

__all__ = ("sk_tcpstate",)


def sk_tcpstate(sk: Object) -> Object:
    """Get the TCP state of a socket.

    :param sk: ``struct sock *``
    :return: Enumerator of the states, e.g. ``TCP_ESTABLISHED``.
    """
    states = sk.prog_["TCP_ESTABLISHED"].type_
    return cast(states, sk.member_("__sk_common").skc_state)
