#!/usr/bin/env drgn
"""Loaded kernel modules as lsmod(8) shows them, with their parameters, and what drgn knows of their files."""

import drgn
from drgn.helpers.linux.list import list_count_nodes, list_for_each_entry
from drgn.helpers.linux.module import for_each_module, module_address_regions, module_taints

for module in for_each_module(prog):
    users = [
        use.source.name.string_().decode()
        for use in list_for_each_entry(
            "struct module_use", module.source_list.address_of_(), "source_list"
        )
    ]
    size = sum(size for _, size in module_address_regions(module))
    print(
        module.name.string_().decode(),
        size,
        module.refcnt.counter.value_() - 1,
        ",".join(users),
        module.state.format_(type_name=False),
        module_taints(module),
        list_count_nodes(module.target_list.address_of_()),
    )
    for index in range(int(module.num_kp)):
        parameter = module.kp[index]
        print("   ", parameter.name.string_().decode(), oct(parameter.perm), parameter.ops)

for module in sorted(prog.modules(), key=lambda module: module.name):
    print(
        type(module).__name__,
        module.name,
        [hex(first) for first, _ in module.address_ranges or ()],
        module.build_id.hex() if module.build_id else None,
        module.debug_file_status,
        isinstance(module, drgn.RelocatableModule),
    )
