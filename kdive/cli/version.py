"""Which kdive this is."""

import sys

from kdive._native import __version__


def version_header() -> str:
    """Return one line with the versions of kdive and of Python."""
    return f"kdive {__version__} (using Python {sys.version.split()[0]})"
