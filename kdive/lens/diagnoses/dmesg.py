"""The kernel's log."""

from collections.abc import Iterator

from kdive.helpers.linux.printk import get_printk_records
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Item, Options, Row, column, diagnosis, option
from kdive.lens.needs import Needs

_NS_PER_S = 1_000_000_000


class Message(Row, title="Kernel log", layout="table"):
    """A record of the log."""

    time_s: float = column("when it was logged, in seconds since the start", "TIME")
    level: int = column("how important it is: 0 emergency … 7 debugging", "LEVEL")
    text: str = column("the message", "MESSAGE")


class DmesgOptions(Options):
    """Options of the diagnosis."""

    level: int = option(
        7, "list only messages of this level or a lower one, which are more important"
    )


@diagnosis(
    "dmesg",
    "The kernel's log.",
    rows=(Message,),
    options=DmesgOptions,
    # "printk: use the lockless ringbuffer" (Linux 5.10)
    needs=Needs(types=("struct printk_ringbuffer|struct printk_log",)),
)
def dmesg(context: Context[DmesgOptions]) -> Iterator[Item]:
    """Read the records of the ring buffer."""
    records = get_printk_records(context.prog)
    for record in records:
        if record.level <= context.options.level:
            yield Message(
                record.timestamp / _NS_PER_S, record.level, record.text.decode(errors="replace")
            )
    yield Checked(len(records), "message")
