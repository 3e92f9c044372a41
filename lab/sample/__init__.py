"""The dump that kdive ships and shows itself on (``kdive demo``): its guest, what of the guest is kept, its file.

The guest sees nothing of the machine that it runs on, so that nothing of that machine is in what is shipped: it is not
a scenario of ``lab/scenarios``, whose guests share the machine's files.
"""

from lab.sample.make import make

__all__ = ["make"]
