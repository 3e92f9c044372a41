"""A debuginfod server on this machine, for tests."""

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK_SIZE = 1 << 16


class Server(http.server.ThreadingHTTPServer):
    """A debuginfod server with the files in `files`, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.announced_more = 0
        self.silence_s = 0.0
        """For how long nothing is answered."""
        self.pause_s = 0.0
        """How long it waits after each part of a file."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may go whenever they want."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        time.sleep(self.server.silence_s)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + self.server.announced_more))
        self.end_headers()
        for start in range(0, len(content), _CHUNK_SIZE):
            self.wfile.write(content[start : start + _CHUNK_SIZE])
            time.sleep(self.server.pause_s)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is printed."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
