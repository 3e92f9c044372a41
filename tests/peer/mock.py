"""A program made by hand, the same one in kdive and in drgn: types by name, memory, and objects of every kind."""

from typing import Any

MEMORY = bytes((index * 7 + 3) & 255 for index in range(4096))
START = 0x1000


def program(tool: Any, *flags: str) -> Any:
    """A program with memory at START and types that a finder knows, on a platform with these flags."""
    platform_flags = tool.PlatformFlags(0)
    for flag in flags:
        platform_flags |= tool.PlatformFlags[flag]
    prog = tool.Program(tool.Platform(tool.Architecture.UNKNOWN, platform_flags))
    prog.add_memory_segment(
        START,
        len(MEMORY),
        lambda _address, count, offset, _physical: MEMORY[offset : offset + count],
    )
    known: dict[tuple[Any, str], Any] = {}

    def find(_prog: Any, kinds: Any, name: str, _filename: str | None) -> Any:
        return next((found for kind in kinds if (found := known.get((kind, name)))), None)

    def add(*types: Any) -> None:
        for made in types:
            name = made.tag if made.kind.name in ("STRUCT", "UNION", "ENUM") else made.name
            known[made.kind, name] = made

    prog.register_type_finder("mock", find, enable_index=0)
    word = 8 if "IS_64_BIT" in flags else 4
    for name, size, is_signed in (
        ("char", 1, True),
        ("signed char", 1, True),
        ("unsigned char", 1, False),
        ("short", 2, True),
        ("unsigned short", 2, False),
        ("int", 4, True),
        ("unsigned int", 4, False),
        ("long", word, True),
        ("unsigned long", word, False),
        ("long long", 8, True),
        ("unsigned long long", 8, False),
    ):
        add(prog.int_type(name, size, is_signed))
    add(prog.bool_type("_Bool", 1), prog.float_type("float", 4), prog.float_type("double", 8))
    member, bits = tool.TypeMember, tool.Object
    i, u = prog.type("int"), prog.type("unsigned int")
    add(prog.struct_type("point", 8, (member(i, "x"), member(i, "y", 32))))
    add(prog.union_type("option", 4, (member(i, "i"), member(prog.type("float"), "f"))))
    enumerator = tool.TypeEnumerator
    add(prog.enum_type("color", u, [enumerator("RED", 0), enumerator("GREEN", 1)]))
    add(prog.enum_type("sign", i, [enumerator("NEGATIVE", -1), enumerator("ZERO", 0)]))
    add(prog.enum_type("later"), prog.struct_type("later"), prog.union_type("later"))
    add(
        prog.struct_type(
            "bits",
            8,
            (
                member(bits(prog, i, bit_field_size=4), "a"),
                member(bits(prog, u, bit_field_size=3), "b", 4),
                member(bits(prog, "unsigned long long", bit_field_size=20), "c", 7),
                member(bits(prog, "_Bool", bit_field_size=1), "d", 27),
                member(bits(prog, "long long", bit_field_size=17), "g", 40),
            ),
        )
    )
    number = prog.union_type(None, 4, (member(i, "u1"), member(u, "u2")))
    inner = prog.struct_type(None, 8, (member(i, "m"), member(number, None, 32)))
    add(
        prog.struct_type(
            "nest",
            40,
            (
                member(prog.type("struct point"), "p"),
                member(inner, None, 64),
                member(prog.type("struct point [2]"), "arr", 128),
                member(prog.type("char [4]"), "s", 256),
                member(prog.type("enum color"), "e", 288),
            ),
        ),
        prog.struct_type("flex", 4, (member(i, "n"), member(prog.type("int []"), "v", 32))),
        prog.struct_type("empty", 0, ()),
        prog.struct_type("list", 8, (member(lambda: prog.type("struct list *"), "next"),)),
    )
    parameter = tool.TypeParameter
    call = prog.function_type(i, (parameter(i, "a"), parameter(prog.type("char *"), "b")), True)
    for name, target in (
        ("u8", "unsigned char"),
        ("u64", "unsigned long long"),
        ("pt", "struct point"),
        ("cpt", "const struct point"),
        ("nothing", "void"),
        ("hue", "enum color"),
        ("intp", "int *"),
        ("int4", "int [4]"),
    ):
        add(prog.typedef_type(name, prog.type(target)))
    add(prog.typedef_type("call", call))
    return prog


def objects(tool: Any, prog: Any) -> dict[str, Any]:
    """Objects of every kind by name."""
    long_min = -(2**40) if prog.platform.flags & tool.PlatformFlags.IS_64_BIT else -99
    values: dict[str, tuple[Any, Any]] = {
        "c": ("char", -5),
        "uc": ("unsigned char", 200),
        "s": ("short", -300),
        "us": ("unsigned short", 60000),
        "i": ("int", -7),
        "u": ("unsigned int", 4000000000),
        "l": ("long", long_min),
        "ul": ("unsigned long", 2**31 + 7),
        "ll": ("long long", -(2**63)),
        "ull": ("unsigned long long", 2**64 - 1),
        "b1": ("_Bool", True),
        "b0": ("_Bool", False),
        "f": ("float", 1.5),
        "d": ("double", -2.75),
        "e": ("enum color", 1),
        "se": ("enum sign", -1),
        "au": ("u8", 7),
        "ci": ("const int", 3),
        "z": ("int", 0),
        "i3": (prog.int_type("i3", 3, True), -5),
        "bei": (prog.int_type("int", 4, True, "big"), -7),
        "pi": ("int *", 0x1000),
        "pi2": ("int *", 0x1110),
        "pc": ("char *", 0x1FF0),
        "pv": ("void *", 0x1100),
        "ps": ("struct point *", 0x1108),
        "p0": ("int *", 0),
        "ap": ("intp", 0x1004),
        "cpi": ("const int *", 0x1004),
        "pp": ("int **", 0x1000),
        "parr": (prog.pointer_type(prog.type("int [4]")), 0x1100),
        "vs": ("struct point", {"x": 1, "y": 2}),
        "va": ("int [4]", [1, 2, 3, 4]),
        "vca": ("char [6]", b"hello"),
        "uni": ("union option", {"i": 3}),
        "vf": ("struct flex", {"n": 3}),
    }
    found = {name: tool.Object(prog, made, value) for name, (made, value) in values.items()}
    for name, bit_field_type, value, size in (
        ("bf", "int", -3, 4),
        ("ubf", "unsigned int", 5, 3),
        ("lbf", "unsigned long long", 5, 40),
        ("fbf", "unsigned int", 2**32 - 1, 32),
        ("llbf", "long long", -9, 33),
        ("bbf", "_Bool", 1, 1),
    ):
        found[name] = tool.Object(prog, bit_field_type, value, bit_field_size=size)
    for name, referenced, address in (
        ("ri", "int", 0x1000),
        ("rd", "double", 0x1020),
        ("rb", "_Bool", 0x1001),
        ("ra", "int [4]", 0x1030),
        ("rs", "struct point", 0x1040),
        ("rn", "struct nest", 0x1048),
        ("rcs", "const struct point", 0x1048),
        ("rf", "struct flex", 0x1040),
        ("rbits", "struct bits", 0x1010),
        ("rfa", "int []", 0x1030),
        ("rfn", "call", 0x1050),
        ("rv", "void", 0x1060),
        ("bad", "int", 0x10),
        ("rl", "struct later", 0x1060),
    ):
        found[name] = tool.Object(prog, referenced, address=address)
    found["rbf"] = found["rbits"].b
    for name, absent in (
        ("no", "int"),
        ("nop", "int *"),
        ("nos", "struct point"),
        ("noa", "int [4]"),
    ):
        found[name] = tool.Object(prog, absent)
    return found
