#!/usr/bin/env drgn
"""Slab caches: sizes, orders, flags, and how many objects of some caches are in use."""

import sys

from drgn.helpers.common import decode_flags
from drgn.helpers.linux.slab import (
    find_slab_cache,
    for_each_slab_cache,
    slab_cache_for_each_allocated_object,
    slab_cache_is_merged,
    slab_cache_objects_per_slab,
    slab_cache_pages_per_slab,
)

FLAGS = [("POISON", 11), ("HWCACHE_ALIGN", 13), ("PANIC", 18), ("TYPESAFE_BY_RCU", 19)]

caches = sorted(for_each_slab_cache(prog), key=lambda cache: cache.name.string_())
for cache in caches:
    name = cache.name.string_().decode()
    print(
        f"{name:32} {int(cache.object_size):6} {int(cache.size):6} {int(cache.align):5} "
        f"{slab_cache_objects_per_slab(cache):4} {slab_cache_pages_per_slab(cache):3} "
        f"{'merged' if slab_cache_is_merged(cache) else '-':6} "
        f"{decode_flags(cache.flags.value_(), FLAGS)}"
    )

for name, type_name in (("task_struct", "struct task_struct"), ("filp", "struct file")):
    cache = find_slab_cache(prog, name)
    if cache is None:
        print("no cache", name)
        continue
    objects = list(slab_cache_for_each_allocated_object(cache, type_name))
    print(name, len(objects), objects[0].type_, file=sys.stdout)
    print(sorted(hex(each) for each in objects)[:5])
