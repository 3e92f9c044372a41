#!/usr/bin/env drgn
"""The tree of control groups, with the programs of BPF attached to it."""

import os

from drgn import cast
from drgn.helpers.linux.bpf import bpf_map_for_each, bpf_prog_for_each
from drgn.helpers.linux.cgroup import (
    cgroup_get_from_path,
    cgroup_name,
    cgroup_path,
    css_for_each_child,
    css_for_each_descendant_pre,
)

root = cgroup_get_from_path(prog, "/") if "cgrp_dfl_root" in prog else None
if root:
    print(os.fsdecode(cgroup_path(root)), root.level.value_(), root.nr_descendants.value_())
    for css in css_for_each_descendant_pre(root.self.address_of_()):
        group = css.cgroup
        print(
            "  " * int(group.level),
            os.fsdecode(cgroup_name(group)),
            group.nr_populated_csets.value_(),
        )
        for child in css_for_each_child(css):
            print("  " * int(group.level), "->", os.fsdecode(cgroup_path(child.cgroup)))

for program in bpf_prog_for_each(prog):
    kind = program.type.format_(type_name=False)
    print("prog", program.aux.id.value_(), kind, program.len.value_(), program.aux.name.string_())
for map_ in bpf_map_for_each(prog):
    print("map", map_.id.value_(), map_.map_type, map_.name.string_())
print(cast("unsigned int", prog["cgrp_dfl_root"].flags))
