"""Types and variables of a kernel against drgn: names, sizes, alignment, source, constructor calls, values, text."""

from collections import defaultdict

import pytest

import lab
from benches.agreement import compare, variables_of
from tests.peer.peer import peer_python

pytestmark = pytest.mark.lab

# Structures that are aligned more strictly than their members; drgn does not know (docs/differences.md).
STRICTLY_ALIGNED = "alignment: 8 / 64", "alignment: 1 / 4", "alignment: 8 / 16", "alignment: 4 / 64"


def test_types_and_variables_agree(idle: lab.Target) -> None:
    names = ["init_task", "init_net", *variables_of(idle.vmlinux, 1200)]
    dump = idle.dumps["kdump-zlib"]
    asked, different = compare(peer_python(), dump, idle.vmlinux, "X86_64", names)
    for kind in ("object str", "object repr", "object value"):
        assert asked[kind] > 300
    for kind in ("type str", "type repr", "type name", "type size", "type alignment"):
        assert asked[kind] > 1000
    unexpected = defaultdict(list)
    for kind, examples in different.items():
        for example in examples:
            if not (kind == "type alignment" and example.endswith(STRICTLY_ALIGNED)):
                unexpected[kind].append(example)
    assert not unexpected
