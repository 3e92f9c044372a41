# SPDX-License-Identifier: Apache-2.0
"""Helpers for every kind of program, kernel or not.

The names of the submodules are offered here directly, each loaded when it is first used.
"""

from kdive.helpers._lazy import lazy_exports

_MODULES = {
    "format": (
        "CellFormat",
        "RowOptions",
        "decode_enum_type_flags",
        "decode_flags",
        "double_quote_ascii_string",
        "escape_ascii_character",
        "escape_ascii_string",
        "number_in_binary_units",
        "print_table",
    ),
    "memory": ("identify_address", "identify_address_all", "print_annotated_memory"),
    "prog": ("takes_object_or_program_or_default", "takes_program_or_default"),
    "stack": ("print_annotated_stack", "print_registers"),
    "type": ("enum_type_to_class", "member_at_offset", "typeof_member"),
}

__getattr__, __dir__, __all__ = lazy_exports(__name__, _MODULES)
