"""The loaded kernel modules."""

from collections.abc import Iterator

from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.module import for_each_module, module_address_regions, module_taints
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Item, NoOptions, Row, column, diagnosis
from kdive.lens.needs import Needs
from kdive.lens.text import string


class Module(Row, title="Modules"):
    """A ``struct module``."""

    name: str = column("its name", "NAME")
    address: int = column("struct module", "MODULE", hexadecimal=True)
    size_bytes: int = column("memory that it takes, in bytes", "SIZE")
    references: int = column("how often it is in use", "REF")
    used_by: str = column("modules that need it", "DEPENDENT MODULES")
    start: int | None = column("where its code begins", "CODE", hexadecimal=True)
    taints: str = column("letters of how it taints the kernel", "TAINTS")


@diagnosis(
    "modules",
    "The loaded kernel modules, who needs them, and how they taint the kernel.",
    rows=(Module,),
    options=NoOptions,
    needs=Needs(variables={"modules": "struct list_head"}, members=("struct module.list",)),
)
def modules(context: Context[NoOptions]) -> Iterator[Item]:
    """Walk the list ``modules``."""
    count = 0
    for module in context.walk(for_each_module(context.prog), "the list of modules"):
        with context.tolerate(f"struct module {hex(module)}"):
            count += 1
            regions = [region for region in module_address_regions(module) if region[1]]
            users = list_for_each_entry(
                "struct module_use", module.source_list.address_of_(), "source_list"
            )
            yield Module(
                name=string(module.name),
                address=int(module),
                size_bytes=sum(size for _, size in regions),
                # The module itself holds one reference while it is loaded.
                references=module.refcnt.counter.value_() - 1,
                used_by=", ".join(string(use.source.name) for use in users),
                start=regions[0][0] if regions else None,
                taints=module_taints(module),
            )
    yield Checked(count, "module")
