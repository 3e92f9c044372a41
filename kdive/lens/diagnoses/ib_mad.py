"""The management datagrams (MADs) of InfiniBand: what is queued to be sent (drivers/infiniband/core/mad.c)."""

from collections.abc import Iterator
from typing import Any

from kdive import Object, container_of
from kdive.helpers.linux.list import list_for_each_entry
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Finding, Item, Options, Row, Severity, column, diagnosis
from kdive.lens.needs import Needs
from kdive.lens.text import count_text, string

_QUEUE_PAIRS = ("SMI", "GSI")
_CLASS_CM = 0x07
_CLASSES = {
    0x01: "subnet (LID routed)",
    0x03: "subnet administration",
    0x04: "performance",
    0x06: "device management",
    _CLASS_CM: "communication management",
    0x81: "subnet (directed route)",
}
# Attribute IDs of the class of communication management (InfiniBand Architecture Specification, volume 1, 12.6)
_CM_MESSAGES = {
    0x10: "REQ",
    0x11: "MRA",
    0x12: "REJ",
    0x13: "REP",
    0x14: "RTU",
    0x15: "DREQ",
    0x16: "DREP",
    0x17: "SIDR_REQ",
    0x18: "SIDR_REP",
    0x19: "LAP",
    0x1A: "APR",
}
_EVIDENCE = 5


class QueuePair(Row, title="Queue pairs"):
    """A ``struct ib_mad_qp_info``: a queue pair for management datagrams."""

    device: str = column("the device")
    port: int = column("the port")
    name: str = column("SMI (queue pair 0) or GSI (queue pair 1)", "QP")
    address: int = column("struct ib_mad_qp_info", "qp_info", hexadecimal=True)
    sending: int = column("datagrams given to the device and not completed", "send_queue")
    limit: int = column("how many the device may be given", "max_active")
    overflow: int = column("datagrams that wait until the device has room", "overflow_list")
    receiving: int = column("buffers posted to receive", "recv_queue")
    oldest: int | None = column(
        "struct ib_mad_send_wr_private that has waited for the device longest", hexadecimal=True
    )


class Datagram(Row, title="Datagrams"):
    """A ``struct ib_mad_send_wr_private``: a datagram on its way out."""

    device: str = column("the device")
    port: int = column("the port")
    queue_pair: str = column("SMI or GSI", "QP")
    position: int = column("place in its list, the oldest first", "#")
    address: int = column("struct ib_mad_send_wr_private", hexadecimal=True)
    list: str = column("sq_list: given to the device; ovfl_list: waiting for room")
    management_class: str = column("the management class", "class")
    message: str = column("the message of the connection manager, or the number of the attribute")
    tid: int = column("transaction ID", "TID", hexadecimal=True)
    timeout_ms: int = column("how long it waits for an answer, in milliseconds")
    retries_left: int = column("how often it will be sent again")


class IbMadOptions(Options):
    """The diagnosis has no options."""


@diagnosis(
    "ib-mad",
    "Management datagrams of InfiniBand that wait to be sent, for each device, port and queue pair.",
    rows=(QueuePair, Datagram),
    options=IbMadOptions,
    needs=Needs(
        modules=("ib_core",),
        variables={"ib_mad_port_list": "struct list_head"},
        members=("struct ib_mad_port_private.qp_info", "struct ib_mad_send_wr_private.mad_list"),
    ),
)
def ib_mad(context: Context[IbMadOptions]) -> Iterator[Item]:
    """Walk ``ib_mad_port_list``."""
    count = 0
    head = context.variable("ib_mad_port_list").address_of_()
    for port in context.walk(
        list_for_each_entry("struct ib_mad_port_private", head, "port_list"),
        "the list ib_mad_port_list",
    ):
        with context.tolerate(f"struct ib_mad_port_private {hex(port)}"):
            device = string(port.device.name)
            for number, qp_info in enumerate(port.qp_info):
                with context.tolerate(f"struct ib_mad_qp_info {hex(qp_info.address_of_())}"):
                    if qp_info.qp:
                        count += 1
                        yield from _queue_pair(
                            context, device, port.port_num.value_(), number, qp_info
                        )
    yield Checked(count, "queue pair")


def _queue_pair(
    context: Context[Any], device: str, port: int, number: int, qp_info: Object
) -> Iterator[Item]:
    name = _QUEUE_PAIRS[number] if number < len(_QUEUE_PAIRS) else str(number)
    where = (device, port, name)
    sending = list(_datagrams(context, where, qp_info.send_queue.list, "sq_list"))
    waiting = list(_datagrams(context, where, qp_info.overflow_list, "ovfl_list"))
    row = QueuePair(
        device=device,
        port=port,
        name=name,
        address=int(qp_info.address_of_()),
        # send_queue.count counts those on overflow_list, too.
        sending=len(sending),
        limit=qp_info.send_queue.max_active.value_(),
        overflow=len(waiting),
        receiving=qp_info.recv_queue.count.value_(),
        oldest=sending[0].address if sending else None,
    )
    yield row
    yield from sending
    yield from waiting
    if waiting:
        yield _overflow(row, sending + waiting)


def _datagrams(
    context: Context[Any], where: tuple[str, int, str], head: Object, list_name: str
) -> Iterator[Datagram]:
    device, port, queue_pair = where
    walk = list_for_each_entry("struct ib_mad_list_head", head.address_of_(), "list")
    for position, node in enumerate(context.walk(walk, f"{list_name} of {device} port {port}"), 1):
        wr = container_of(node, "struct ib_mad_send_wr_private", "mad_list")
        with context.tolerate(f"struct ib_mad_send_wr_private {hex(wr)}"):
            yield Datagram(
                device,
                port,
                queue_pair,
                position,
                int(wr),
                list_name,
                *_message(wr.send_buf.mad),
                tid=int.from_bytes(wr.tid.to_bytes_(), "big"),
                timeout_ms=wr.send_buf.timeout_ms.value_(),
                retries_left=wr.retries_left.value_(),
            )


def _message(mad: Object) -> tuple[str, str]:
    """Name the class and the message of a datagram by its header, which is in network byte order."""
    header = Object(mad.prog_, "struct ib_mad_hdr *", mad.value_())
    management_class = header.mgmt_class.value_()
    attribute = int.from_bytes(header.attr_id.to_bytes_(), "big")
    name = _CLASSES.get(management_class, hex(management_class))
    if management_class == _CLASS_CM:
        return name, _CM_MESSAGES.get(attribute, hex(attribute))
    return name, hex(attribute)


def _overflow(row: QueuePair, datagrams: list[Datagram]) -> Finding:
    kinds: dict[str, int] = {}
    for datagram in datagrams:
        kind = f"{datagram.message} ({datagram.management_class})"
        kinds[kind] = kinds.get(kind, 0) + 1
    most = sorted(kinds.items(), key=lambda kind: -kind[1])[:_EVIDENCE]
    return Finding(
        Severity.CRITICAL,
        f"{count_text(row.overflow, 'management datagram')} of {row.device} port {row.port} "
        f"{'waits' if row.overflow == 1 else 'wait'} behind {row.sending} that the device has not completed",
        (
            f"send_queue {row.sending} of {row.limit}, overflow_list {row.overflow}, ib_mad_qp_info {row.address:#x}",
            *(f"{number} of {kind}" for kind, number in most),
        ),
        "ib-mad rds",
    )
