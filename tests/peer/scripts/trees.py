#!/usr/bin/env drgn
"""Trees, hash tables and lists of the kernel, walked by their helpers and by hand."""

from drgn import NULL, FaultError, Object, cast, container_of, offsetof, reinterpret
from drgn.helpers.linux.idr import idr_for_each_entry
from drgn.helpers.linux.list import (
    list_empty,
    list_for_each_entry,
    list_is_singular,
)
from drgn.helpers.linux.mapletree import mt_for_each
from drgn.helpers.linux.mm import for_each_vma, vma_name
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.rbtree import rb_first, rb_next, rbtree_inorder_for_each_entry
from drgn.helpers.linux.user import for_each_user

init = find_task(prog, 1)
for vma in for_each_vma(init.mm):
    print(hex(vma.vm_start), hex(vma.vm_end), hex(vma.vm_flags), vma_name(vma))
print(len(list(mt_for_each(init.mm.mm_mt.address_of_()))))

for area in rbtree_inorder_for_each_entry(
    "struct vmap_area", prog["vmap_area_root"].address_of_(), "rb_node"
):
    print(hex(area.va_start), hex(area.va_end - area.va_start))
first = rb_first(prog["vmap_area_root"].address_of_())
print(container_of(first, "struct vmap_area", "rb_node").va_start, bool(rb_next(first)))

for user in for_each_user(prog):
    print(user.uid.val, user.__count.refs.counter)
for number, pid in idr_for_each_entry(prog["init_pid_ns"].idr.address_of_(), "struct pid"):
    print(number, pid.numbers[0].nr, pid.level)

parent = init
while parent.pid:
    parent = parent.real_parent
print(
    parent.comm,
    list_empty(parent.children.address_of_()),
    list_is_singular(parent.children.address_of_()),
)
print(
    [
        child.pid.value_()
        for child in list_for_each_entry(
            "struct task_struct", parent.children.address_of_(), "sibling"
        )
    ]
)
print(
    offsetof(prog.type("struct task_struct"), "se.run_node"),
    reinterpret("unsigned long [2]", parent.tasks),
)
print(cast("void *", parent.tasks.next) == parent.tasks.next, NULL(prog, "void *"))
try:
    print(cast("struct task_struct *", Object(prog, "unsigned long", value=1 << 63)).pid)
except FaultError as error:
    print("fault at", hex(error.address))
