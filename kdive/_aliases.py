"""Types for annotations, under the names of the public API; `kdive` exports them."""

import os
from typing import SupportsIndex, TypeAlias

IntegerLike: TypeAlias = SupportsIndex
"""What can stand for an integer: an `int`, an `Object` that is one, anything with `__index__`."""

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""What can stand for the path of a file."""
