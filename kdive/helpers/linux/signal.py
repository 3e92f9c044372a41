# SPDX-License-Identifier: Apache-2.0
"""Signals (include/linux/signal.h). The numbers are those of x86 and Arm, which most architectures use."""

from collections.abc import Iterator, Mapping, Sequence
from operator import index

from kdive import Architecture, IntegerLike, Object, Program, TypeKind, sizeof
from kdive.helpers.common.format import decode_flags
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._words import set_bits
from kdive.helpers.linux.list import list_for_each_entry

__all__ = (
    "decode_sigaction_flags",
    "decode_sigaction_flags_value",
    "decode_sigset",
    "sigaction_flags",
    "signal_names",
    "signal_numbers",
    "sigpending_for_each",
    "sigset_to_hex",
)

# The names of each signal from 1 on, the preferred one first (include/uapi/asm-generic/signal.h).
_STANDARD_SIGNALS = (
    ("SIGHUP",),
    ("SIGINT",),
    ("SIGQUIT",),
    ("SIGILL",),
    ("SIGTRAP",),
    ("SIGABRT", "SIGIOT"),
    ("SIGBUS",),
    ("SIGFPE",),
    ("SIGKILL",),
    ("SIGUSR1",),
    ("SIGSEGV",),
    ("SIGUSR2",),
    ("SIGPIPE",),
    ("SIGALRM",),
    ("SIGTERM",),
    ("SIGSTKFLT",),
    ("SIGCHLD", "SIGCLD"),
    ("SIGCONT",),
    ("SIGSTOP",),
    ("SIGTSTP",),
    ("SIGTTIN",),
    ("SIGTTOU",),
    ("SIGURG",),
    ("SIGXCPU",),
    ("SIGXFSZ",),
    ("SIGVTALRM",),
    ("SIGPROF",),
    ("SIGWINCH",),
    ("SIGIO", "SIGPOLL"),
    ("SIGPWR",),
    ("SIGSYS", "SIGUNUSED"),
)
_SIGRTMIN = 32
_SIGRTMAX = 64
# Real-time signals are named by their distance to the nearer end.
_LAST_NAMED_FROM_RTMIN = 48
_COMMON_SIGACTION_FLAGS = {
    "SA_NOCLDSTOP": 0x1,
    "SA_NOCLDWAIT": 0x2,
    "SA_SIGINFO": 0x4,
    "SA_UNSUPPORTED": 0x400,
    "SA_EXPOSE_TAGBITS": 0x800,
    # "signal: Replace force_sigsegv with force_fatal_sig" and its neighbours (Linux 5.16); never seen by user space.
    "SA_IMMUTABLE": 0x00800000,
}
_X86_SIGACTION_FLAGS = {"SA_X32_ABI": 0x01000000, "SA_IA32_ABI": 0x02000000}
_HIGH_SIGACTION_FLAGS = {
    "SA_RESTORER": 0x04000000,
    "SA_ONSTACK": 0x08000000,
    "SA_STACK": 0x08000000,
    "SA_RESTART": 0x10000000,
    "SA_NODEFER": 0x40000000,
    "SA_NOMASK": 0x40000000,
    "SA_RESETHAND": 0x80000000,
    "SA_ONESHOT": 0x80000000,
}


def _real_time_name(number: int) -> str:
    if number == _SIGRTMIN:
        return "SIGRTMIN"
    if number == _SIGRTMAX:
        return "SIGRTMAX"
    if number <= _LAST_NAMED_FROM_RTMIN:
        return f"SIGRTMIN+{number - _SIGRTMIN}"
    return f"SIGRTMAX-{_SIGRTMAX - number}"


@takes_program_or_default
def signal_numbers(prog: Program) -> Mapping[int, Sequence[str]]:  # noqa: ARG001 - numbers may depend on the program
    """Get the names of the signals by their numbers; the preferred name comes first.

    ``SIGRTMIN`` and ``SIGRTMAX`` are the kernel's; user space may reserve some and count from another number.
    """
    numbers: dict[int, Sequence[str]] = {
        i + 1: [*names] for i, names in enumerate(_STANDARD_SIGNALS)
    }
    numbers.update(
        (number, [_real_time_name(number)]) for number in range(_SIGRTMIN, _SIGRTMAX + 1)
    )
    return numbers


@takes_program_or_default
def signal_names(prog: Program) -> Mapping[str, int]:  # noqa: ARG001 - numbers may depend on the program
    """Get the numbers of the signals by their names; of several names for one number the preferred one comes first."""
    names = {name: i + 1 for i, aliases in enumerate(_STANDARD_SIGNALS) for name in aliases}
    return {**names, "SIGRTMIN": _SIGRTMIN, "SIGRTMAX": _SIGRTMAX}


def _sigset_value(sigset: Object | IntegerLike) -> int:
    if isinstance(sigset, Object) and sigset.type_.unaliased_kind() in (
        TypeKind.STRUCT,
        TypeKind.POINTER,
    ):
        words = sigset.sig.value_()
        bits = 8 * sizeof(sigset.sig[0])
        return sum(word << i * bits for i, word in enumerate(words))
    return index(sigset)


@takes_program_or_default
def decode_sigset(prog: Program, sigset: Object | IntegerLike) -> str:
    """Name the signals in a set, e.g. ``"{SIGINT,SIGTERM}"``.

    :param sigset: ``sigset_t``, ``sigset_t *`` or an integer
    """
    names = signal_numbers(prog)
    numbers = (bit + 1 for bit in set_bits(_sigset_value(sigset)))
    return "{" + ",".join(names[n][0] if n in names else str(n) for n in numbers) + "}"


def sigset_to_hex(sigset: Object) -> str:
    """Format a set of signals in hexadecimal, like ``/proc/PID/status``.

    :param sigset: ``sigset_t`` or ``sigset_t *``
    """
    return f"{_sigset_value(sigset):0{2 * sizeof(sigset.sig)}x}"


def sigpending_for_each(pending: Object) -> Iterator[Object]:
    """Iterate over a queue of pending signals.

    :param pending: ``struct sigpending *``
    :return: Iterator of ``struct sigqueue *`` objects.
    """
    return list_for_each_entry("struct sigqueue", pending.list.address_of_(), "list")


@takes_program_or_default
def sigaction_flags(prog: Program) -> Mapping[str, int]:
    """Get the flags of sigaction(2) by their names; of several names for one flag the preferred one comes first."""
    platform = prog.platform
    x86 = platform is not None and platform.arch in (Architecture.X86_64, Architecture.I386)
    return {
        **_COMMON_SIGACTION_FLAGS,
        **(_X86_SIGACTION_FLAGS if x86 else {}),
        **_HIGH_SIGACTION_FLAGS,
    }


@takes_program_or_default
def decode_sigaction_flags_value(prog: Program, value: IntegerLike) -> str:
    """Name the flags of sigaction(2) that are set.

    :param value: ``sa_flags``
    :return: Names joined by ``|``.
    """
    return decode_flags(value, sigaction_flags(prog).items(), bit_numbers=False, aliases=False)


def decode_sigaction_flags(sigaction: Object) -> str:
    """Name the flags of an action that are set.

    :param sigaction: ``struct sigaction``
    :return: Names joined by ``|``.
    """
    return decode_sigaction_flags_value(sigaction.prog_, sigaction.sa_flags)
