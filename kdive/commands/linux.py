"""Commands that are there only where the program is a Linux kernel."""

from collections.abc import Callable
from typing import Any

from kdive import Program, ProgramFlags
from kdive.commands import command, custom_command, raw_command

__all__ = ("linux_kernel_command", "linux_kernel_custom_command", "linux_kernel_raw_command")


def linux_kernel_command(*args: Any, **kwargs: Any) -> Any:
    """Make a command; like `kdive.commands.command`."""
    return command(*args, **_of_kernels(kwargs))


def linux_kernel_custom_command(*args: Any, **kwargs: Any) -> Any:
    """Make a command; like `kdive.commands.custom_command`."""
    return custom_command(*args, **_of_kernels(kwargs))


def linux_kernel_raw_command(*args: Any, **kwargs: Any) -> Any:
    """Make a command; like `kdive.commands.raw_command`."""
    return raw_command(*args, **_of_kernels(kwargs))


def _of_kernels(keywords: dict[str, Any]) -> dict[str, Any]:
    wanted: Callable[[Program], bool] | None = keywords.get("enabled")

    def enabled(prog: Program) -> bool:
        is_kernel = bool(prog.flags & ProgramFlags.IS_LINUX_KERNEL)
        return is_kernel and (wanted is None or wanted(prog))

    return keywords | {"enabled": enabled}
