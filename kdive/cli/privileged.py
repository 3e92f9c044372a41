"""Opens files that only root may read, with `sudo`."""

import shutil
import socket
import subprocess
import sys

# Runs as root. Its standard output is a socket, through which the open file goes.
_OPENER = """
import os, socket, sys
output = socket.socket(fileno=1)
socket.send_fds(output, [b"."], [os.open(sys.argv[1], os.O_RDONLY)])
"""


def open_as_root(path: str) -> int | None:
    """Open a file for reading with sudo, which may ask for a password on the terminal.

    The command itself goes on without privileges: it only gets the open file.

    Returns:
        An open file descriptor, or None if there is no sudo or it refuses.
    """
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            command = [sudo, sys.executable, "-I", "-c", _OPENER, path]
            status = subprocess.run(command, stdout=theirs.fileno(), check=False).returncode
        if status != 0:
            return None
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    return descriptors[0] if descriptors else None
