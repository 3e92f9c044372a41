"""The slab caches (mm/slub.c): how much memory each takes, and those whose lists of free objects are damaged."""

from collections.abc import Iterator

from kdive import Object, ProgramFlags
from kdive.helpers.linux.slab import (
    SlabCorruptionError,
    for_each_slab_cache,
    slab_cache_errors,
    slab_cache_pages_per_slab,
    slab_cache_usage,
)
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Finding, Item, NoOptions, Row, Severity, column, diagnosis
from kdive.lens.needs import Needs
from kdive.lens.text import count_text, string

# How often the lists of a running kernel are looked at again before something is said to be wrong with them.
_LOOKS = 3
_EVIDENCE = 5


class SlabCache(Row, title="Slab caches"):
    """A ``struct kmem_cache``."""

    name: str = column("its name", "NAME")
    address: int = column("struct kmem_cache", "CACHE", hexadecimal=True)
    object_bytes: int = column("size of an object in bytes, as it was asked for", "OBJSIZE")
    allocated: int | None = column("objects that are allocated", "ALLOCATED")
    total: int | None = column("objects in all slabs", "TOTAL")
    slabs: int | None = column("how many slabs", "SLABS")
    slab_bytes: int = column("size of a slab in bytes", "SSIZE")
    size_bytes: int | None = column("memory of all slabs in bytes", "bytes")


@diagnosis(
    "slabs",
    "The slab caches, how much memory each takes, and those with damaged lists of free objects.",
    rows=(SlabCache,),
    options=NoOptions,
    needs=Needs(
        variables={"slab_caches": "struct list_head"},
        members=("struct kmem_cache.oo", "struct kmem_cache_node.nr_slabs"),
    ),
)
def slabs(context: Context[NoOptions]) -> Iterator[Item]:
    """Walk the slab caches, and for each the slabs that have free objects, and these."""
    rows = []
    for cache in context.walk(for_each_slab_cache(context.prog), "the slab caches"):
        with context.tolerate(f"struct kmem_cache {hex(cache)}"):
            errors = _errors(cache)
            if errors:
                yield _damaged(cache, errors)
            try:
                usage = slab_cache_usage(cache)
            except SlabCorruptionError:
                usage = None
            slab_bytes = slab_cache_pages_per_slab(cache) * context.prog["PAGE_SIZE"].value_()
            rows.append(
                SlabCache(
                    name=string(cache.name),
                    address=int(cache),
                    object_bytes=cache.object_size.value_(),
                    allocated=usage and usage.active_objs,
                    total=usage and usage.num_objs,
                    slabs=usage and usage.num_slabs,
                    slab_bytes=slab_bytes,
                    size_bytes=usage and usage.num_slabs * slab_bytes,
                )
            )
    yield from sorted(rows, key=lambda row: (-(row.size_bytes or 0), row.name))
    yield Checked(len(rows), "slab cache")


def _errors(cache: Object) -> list[str]:
    """Check the lists of a cache. Those of a running kernel change meanwhile: what is wrong stays wrong."""
    errors = [str(error) for error in slab_cache_errors(cache)]
    if cache.prog_.flags & ProgramFlags.IS_LIVE:
        for _ in range(_LOOKS):
            if errors:
                again = {str(error) for error in slab_cache_errors(cache)}
                errors = [error for error in errors if error in again]
    return errors


def _damaged(cache: Object, errors: list[str]) -> Finding:
    more = len(errors) - _EVIDENCE
    return Finding(
        Severity.CRITICAL,
        f"the free objects of the slab cache {string(cache.name)} make no sense: "
        "an object was used after it was freed, or freed twice",
        (*errors[:_EVIDENCE], *([f"{count_text(more, 'more error')}"] if more > 0 else [])),
        "slabs",
    )
