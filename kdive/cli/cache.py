"""`kdive cache`: the indexes of debug files that are kept on disk."""

import argparse
import time
from collections.abc import Callable, Sequence

from kdive import BadDataError
from kdive._native import (
    _cache_add,
    _cache_directory,
    _cache_items,
    _cache_prune,
    _cache_verify,
    _indexing_progress,
)
from kdive.cli.errors import UserError
from kdive.cli.progress import Watched
from kdive.cli.size import parse_size, show_size

_DAY_S = 24 * 3600

# How the names of the files end, and what they are indexes of.
_KINDS = {"index": "types", "symbols": "symbols", "unwind": "stacks", "orc": "stacks"}


class _Options(argparse.Namespace):
    action: Callable[["_Options"], int]
    files: list[str]
    limit: int


def run(arguments: Sequence[str]) -> int:
    """Run one of the actions and return the exit status."""
    options = _parser().parse_args(arguments, namespace=_Options())
    if _cache_directory() is None:
        raise UserError(
            "there is no cache: KDIVE_CACHE=off, or there is no home; set KDIVE_CACHE to a folder"
        )
    try:
        return options.action(options)
    except (PermissionError, NotADirectoryError) as error:
        raise UserError(
            f"cannot use the cache: {error.filename}: {error.strerror}; "
            "set KDIVE_CACHE to a folder of your own"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdive cache",
        description="The indexes of debug files that kdive keeps on disk, so that a file is indexed once.",
        epilog="The cache is in $KDIVE_CACHE, else in $XDG_CACHE_HOME/kdive or ~/.cache/kdive. "
        "It may be removed at any time.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    shown = actions.add_parser("list", help="what is kept, the one used longest ago first")
    shown.set_defaults(action=_list)
    verified = actions.add_parser("verify", help="whether all of it is whole; status 1 if not")
    verified.set_defaults(action=_verify)
    pruned = actions.add_parser("prune", help="remove what was used longest ago")
    pruned.add_argument(
        "limit",
        metavar="SIZE",
        type=_size,
        help="how much may be left, such as 500M; 0 removes everything",
    )
    pruned.set_defaults(action=_prune)
    added = actions.add_parser("add", help="index files ahead of their use")
    added.add_argument("files", metavar="FILE", nargs="+", help="a file with debugging symbols")
    added.set_defaults(action=_add)
    return parser


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _list(_options: _Options) -> int:
    items = _cache_items()
    now = time.time()
    print(f"{'BUILD ID':40} {'OF':8} {'SIZE':>10} {'USED':>12}")
    for path, build_id, size, used_s in items:
        days = int((now - used_s) // _DAY_S)
        used = "today" if days < 1 else f"{days} days ago"
        kind = _KINDS.get(str(path).rpartition(".")[2], "")
        print(f"{build_id.hex():40} {kind:8} {show_size(size):>10} {used:>12}")
    total = sum(size for _, _, size, _ in items)
    print(f"{len(items)} indexes, {show_size(total)}, in {_cache_directory()}")
    return 0


def _verify(_options: _Options) -> int:
    damaged = _cache_verify()
    for path, why in damaged:
        print(f"damaged: {why.removeprefix(f'{path}: ')}: {path}")
    print(f"{len(_cache_items()) - len(damaged)} indexes are whole, {len(damaged)} damaged")
    return 1 if damaged else 0


def _prune(options: _Options) -> int:
    removed = _cache_prune(options.limit)
    print(f"removed {len(removed)} indexes, {show_size(sum(size for _, _, size, _ in removed))}")
    return 0


def _add(options: _Options) -> int:
    for path in options.files:
        try:
            with Watched(f"indexing {path}", _indexing_progress):
                outcome = _cache_add(path)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
        except BadDataError as error:
            raise UserError(
                f"cannot index {path}: {error}; give a file with debugging symbols"
            ) from error
        if outcome not in ("found", "saved"):
            raise UserError(f"cannot keep an index of {path}: {outcome}; kdive works without")
        print(f"{path}: {'it was there' if outcome == 'found' else 'added'}")
    return 0
