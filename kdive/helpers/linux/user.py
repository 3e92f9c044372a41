# SPDX-License-Identifier: Apache-2.0
"""Users (include/linux/sched/user.h, include/linux/uidgid.h)."""

from collections.abc import Iterator
from operator import index

from kdive import NULL, IntegerLike, Object, Program
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.list import hlist_for_each_entry

__all__ = ("find_user", "for_each_user", "kuid_val")


def kuid_val(uid: Object | IntegerLike) -> int:
    """Get the number of a user ID.

    :param uid: ``kuid_t``, or an integer, which is returned as it is
    """
    if isinstance(uid, Object) and uid.type_.type_name() == "kuid_t":
        uid = uid.val
    return index(uid)


@takes_program_or_default
def for_each_user(prog: Program) -> Iterator[Object]:
    """Iterate over the users that the kernel keeps account of: ``uidhash_table[]``.

    :return: Iterator of ``struct user_struct *`` objects.
    """
    for bucket in prog["uidhash_table"]:
        yield from hlist_for_each_entry("struct user_struct", bucket.address_of_(), "uidhash_node")


@takes_program_or_default
def find_user(prog: Program, uid: Object | IntegerLike) -> Object:
    """Find a user by ID.

    :param uid: ``kuid_t`` or an integer
    :return: ``struct user_struct *``, ``NULL`` if there is none.
    """
    wanted = kuid_val(uid)
    buckets = prog["uidhash_table"]
    # The hash folds the part of the ID above the size of the table onto the lower part.
    bits = (len(buckets) - 1).bit_length()
    bucket = buckets[(wanted >> bits) + wanted & len(buckets) - 1]
    for user in hlist_for_each_entry("struct user_struct", bucket.address_of_(), "uidhash_node"):
        if kuid_val(user.uid) == wanted:
            return user
    return NULL(prog, "struct user_struct *")
