"""List the files that a process has open: descriptor, reference count of the open file, path.

kdive -c vmcore -s vmlinux examples/open_files.py PID
"""

import sys

from drgn import get_default_prog
from drgn.helpers.linux import d_path, find_task, for_each_file

if len(sys.argv) != 2 or not sys.argv[1].isdigit():
    sys.exit("usage: open_files.py PID")
task = find_task(get_default_prog(), int(sys.argv[1]))
if not task:
    sys.exit(f"open_files.py: no process {sys.argv[1]}")
print(f"{'FD':>4} {'USES':>5} PATH")
for descriptor, file in for_each_file(task):
    path = d_path(file.f_path).decode(errors="replace")
    print(f"{descriptor:4} {file.f_count.counter.value_():5} {path}")
