"""Mounts of all mount namespaces, and those that belong to none any more."""

from collections.abc import Iterator

from kdive import Object
from kdive.helpers.linux.fs import mount_dst, mount_fstype, mount_src, super_block_for_each_mount
from kdive.helpers.linux.list import list_for_each_entry
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Item, NoOptions, Row, column, diagnosis
from kdive.lens.needs import Needs

# mount.mnt_ns of what the kernel mounts for itself is NULL or an error number (MNT_NS_INTERNAL).
_FIRST_ERROR = -4095
# A flag in vfsmount.mnt_flags (MNT_UMOUNT, a macro): it was unmounted, though it may still be in use.
_MNT_UMOUNT = 0x8000000


class Mount(Row, title="Mounts"):
    """A ``struct mount``."""

    id: int = column("its number", "ID")
    device: str = column("what is mounted", "DEVNAME")
    type: str = column("type of the file system", "TYPE")
    directory: str = column("where it is mounted", "DIRNAME")
    state: str = column(
        "mounted; DETACHED: in use, but in no namespace any more (umount -l); internal to the kernel"
    )
    namespace: int | None = column("struct mnt_namespace", hexadecimal=True)
    address: int = column("struct mount", hexadecimal=True)
    super_block: int = column("struct super_block", hexadecimal=True)


@diagnosis(
    "mounts",
    "The mounts of all namespaces, detached ones too.",
    rows=(Mount,),
    options=NoOptions,
    needs=Needs(
        variables={"super_blocks": "struct list_head"},
        members=("struct super_block.s_mounts", "struct mount.mnt_ns"),
    ),
)
def mounts(context: Context[NoOptions]) -> Iterator[Item]:
    """Walk the super blocks, whose mounts include those that no path leads to."""
    count = 0
    super_blocks = list_for_each_entry(
        "struct super_block", context.variable("super_blocks").address_of_(), "s_list"
    )
    for sb in context.walk(super_blocks, "the list of super blocks"):
        for mount in context.walk(
            super_block_for_each_mount(sb), f"the mounts of super block {hex(sb)}"
        ):
            with context.tolerate(f"struct mount {hex(mount)}"):
                count += 1
                state, namespace = _namespace(mount)
                yield Mount(
                    id=mount.mnt_id.value_(),
                    device=mount_src(mount).decode(errors="replace"),
                    type=mount_fstype(mount).decode(errors="replace"),
                    directory=mount_dst(mount).decode(errors="replace"),
                    state=state,
                    namespace=namespace,
                    address=int(mount),
                    super_block=int(sb),
                )
    yield Checked(count, "mount")


def _namespace(mount: Object) -> tuple[str, int | None]:
    word = mount.mnt_ns.value_()
    if mount.mnt.mnt_flags.value_() & _MNT_UMOUNT:
        return "DETACHED", None
    if not word or word - (1 << 8 * mount.prog_.address_size()) >= _FIRST_ERROR:
        return "internal", None
    return "mounted", word
