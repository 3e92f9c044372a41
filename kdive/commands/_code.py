"""Writes the Python code that does what a command does."""

import re
import sys
from types import TracebackType

from kdive import Program, ProgramFlags

_INDENT = "    "


class DrgnCodeBlockContext:
    """A block of code that is being written; it ends with the `with` statement or by `end()`."""

    def __init__(self, builder: "DrgnCodeBuilder", indent: int, end: str) -> None:
        self._builder = builder
        self._indent = indent
        self._end = end

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the block."""
        self._builder._leave(self._indent, self._end)


class DrgnCodeBuilder:
    """Writes code line by line, with its imports in front.

    Args:
        prog: The program that the code is for.
    """

    def __init__(self, prog: Program) -> None:
        self._prog = prog
        self._imports: set[str] = set()
        self._from_imports: dict[str, set[str]] = {}
        self._code = ""
        self._depth = 0
        self._blocks: list[DrgnCodeBlockContext] = []

    def add_import(self, module: str) -> None:
        """Add `import MODULE`."""
        self._imports.add(module)

    def add_from_import(self, module: str, *names: str) -> None:
        """Add `from MODULE import NAMES`."""
        self._from_imports.setdefault(module, set()).update(names)

    def append(self, code: str) -> None:
        """Append code, indented as the block that it is in."""
        for line in code.splitlines(keepends=True):
            is_start = not self._code or self._code.endswith("\n")
            if is_start and line.strip():
                self._code += _INDENT * self._depth
            self._code += line

    def begin_block(self, code: str, end: str = "") -> DrgnCodeBlockContext:
        r"""Append the line that begins a block, and indent what follows.

        Args:
            code: The line, such as `"if task:\n"`.
            end: What is appended at the end of the block, indented as `code`.
        """
        self.append(code)
        return self._enter(1, end)

    def end_block(self) -> None:
        """End the innermost block."""
        self._blocks[-1].end()

    def begin_retry_loop_if_live(self, num_attempts: int) -> DrgnCodeBlockContext:
        """Begin a block that is tried again when the program changes under it.

        Args:
            num_attempts: How often; a program that does not run needs no block.
        """
        if not self._prog.flags & ProgramFlags.IS_LIVE:
            return self._enter(0, "")
        self.add_from_import("drgn", "FaultError")
        self.add_from_import("drgn.helpers", "ValidationError")
        self.append(
            "# What is read may change meanwhile: try again, but not for ever.\n"
            f"for attempts_remaining in range({num_attempts}, 0, -1):\n"
            f"{_INDENT}try:\n"
        )
        return self._enter(
            2,
            f"{_INDENT * 2}break\n"
            f"{_INDENT}except (FaultError, ValidationError):\n"
            f"{_INDENT * 2}if attempts_remaining == 1:\n"
            f"{_INDENT * 3}raise\n",
        )

    def has_declaration(self, variable: str) -> bool:
        """Return whether the code assigns to a variable."""
        return re.search(rf"^\s*{re.escape(variable)} = ", self._code, re.MULTILINE) is not None

    def get(self) -> str:
        """Return the code.

        Raises:
            ValueError: A block has not ended.
        """
        if self._blocks:
            raise ValueError("a block has not ended")
        imports = "".join(f"import {module}\n" for module in sorted(self._imports))
        from_imports = "".join(
            f"from {module} import {', '.join(sorted(names))}\n"
            for module, names in sorted(self._from_imports.items())
        )
        head = "\n".join(part for part in (imports, from_imports) if part)
        return f"{head}\n\n{self._code}" if head else self._code

    def print(self) -> None:
        """Print the code."""
        sys.stdout.write(self.get())

    def _enter(self, indent: int, end: str) -> DrgnCodeBlockContext:
        block = DrgnCodeBlockContext(self, indent, end)
        self._depth += indent
        self._blocks.append(block)
        return block

    def _leave(self, indent: int, end: str) -> None:
        self._blocks.pop()
        self._depth -= indent
        self.append(end)
