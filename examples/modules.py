"""List the loaded modules of a kernel, as `lsmod` does, with the address of each.

kdive -c vmcore -s vmlinux examples/modules.py
"""

from drgn import get_default_prog
from drgn.helpers.linux import for_each_module, list_for_each_entry, module_address_regions

print(f"{'MODULE':24} {'ADDRESS':18} {'BYTES':>9} USED BY")
for module in for_each_module(get_default_prog()):
    regions = module_address_regions(module)
    users = [
        use.source.name.string_().decode()
        for use in list_for_each_entry(
            "struct module_use", module.source_list.address_of_(), "source_list"
        )
    ]
    name = module.name.string_().decode()
    size = sum(length for _, length in regions)
    print(f"{name:24} {regions[0][0]:#18x} {size:9} {','.join(users) or '-'}")
