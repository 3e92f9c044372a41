"""QEMU's machine protocol: JSON objects, one per line, over a socket."""

import json
import socket
import time
from typing import Any

from lab.errors import LabError


class Qmp:
    """A connection to a guest's monitor."""

    def __init__(self, connection: socket.socket, timeout_s: float = 30) -> None:
        self._connection = connection
        self._pending = b""
        greeting = self._receive(time.monotonic() + timeout_s)
        if "QMP" not in greeting:
            raise LabError(f"QEMU's monitor greets with {greeting}")
        self.execute("qmp_capabilities")

    def execute(self, command: str, timeout_s: float = 30, **arguments: Any) -> Any:
        """Run ``command`` and return its result.

        :raises LabError: QEMU refuses it, goes away, or does not answer within ``timeout_s``.
        """
        request = (
            {"execute": command, "arguments": arguments} if arguments else {"execute": command}
        )
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise LabError("QEMU closed its monitor") from None
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self._receive(deadline)
            if "error" in answer:
                raise LabError(f"QEMU: {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._pending:
            self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                received = self._connection.recv(65536)
            except TimeoutError:
                raise LabError("QEMU's monitor does not answer") from None
            if not received:
                raise LabError("QEMU closed its monitor")
            self._pending += received
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
