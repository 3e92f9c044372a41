"""The lab's command line."""

import argparse
import sys
import time
from pathlib import Path

from lab import DEFAULT_KERNEL, LabError, cache, cleaning, kernels, run_in_guest, scenario, target

SOURCE = Path(__file__).parents[1]
#: Where a source tree has the sample, and what its guest said.
DUMP = Path("kdive/sample/debian-6.1.kdump")
TRUTH = Path("tests/sample/truth.json")


def main() -> int:
    """Run ``python -m lab``; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lab", description="Make real targets for kdive."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser(
        "target", help="make targets unless the cache has them, and print their files"
    )
    make.add_argument("names", nargs="+", metavar="NAME", help="a scenario; see 'list'")
    make.add_argument(
        "--kernel", default=DEFAULT_KERNEL, help="series and architecture (default: %(default)s)"
    )
    fetch = commands.add_parser(
        "kernel", help="download a kernel with its debug information, and print its files"
    )
    fetch.add_argument("kernel", nargs="?", default=DEFAULT_KERNEL)
    guest = commands.add_parser("run", help="run a shell script from stdin in a guest")
    guest.add_argument("scenario", nargs="?", default="bare", help="what the guest is like")
    guest.add_argument("--kernel", default=DEFAULT_KERNEL)
    guest.add_argument("--memory", type=int, metavar="MIB")
    commands.add_parser("list", help="list the scenarios")
    sample = commands.add_parser("sample", help="make the dump that kdive ships, and its truth")
    sample.add_argument(
        "directory", nargs="?", type=Path, default=SOURCE, help="a source tree (default: this one)"
    )
    clean = commands.add_parser("clean", help="remove outdated targets and logs of failures")
    clean.add_argument("--all", action="store_true", help="remove kernels and packages too")
    commands.add_parser("where", help="print the cache directory")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "target":
                for name in arguments.names:
                    _show_target(name, arguments.kernel)
            case "kernel":
                kernel = kernels.get(arguments.kernel)
                print(f"release {kernel.release}\nimage   {kernel.image}\nvmlinux {kernel.vmlinux}")
            case "run":
                done = run_in_guest(
                    sys.stdin.read(),
                    scenario_name=arguments.scenario,
                    kernel=arguments.kernel,
                    memory_mib=arguments.memory,
                )
                print(done.output, end="")
                return done.status
            case "sample":
                _make_sample(arguments.directory)
            case "list":
                for name in scenario.names():
                    print(f"{name:16} {scenario.load(name).sentence}")
            case "clean":
                print(f"{cleaning.clean(arguments.all) >> 20} MiB freed")
            case "where":
                print(cache.root())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


def _make_sample(directory: Path) -> None:
    # It is cut to size by kdive itself, which nothing else of the lab needs.
    from lab.sample import make

    dump, truth = directory / DUMP, directory / TRUTH
    make(dump, truth)
    print(f"{dump} ({dump.stat().st_size / 1e6:.1f} MB)\n{truth}")


def _show_target(name: str, kernel: str) -> None:
    start = time.monotonic()
    made = target(name, kernel)
    print(f"{name} on {made.kernel} ({time.monotonic() - start:.1f} s)")
    print(f"  vmlinux  {made.vmlinux}")
    for format, path in made.dumps.items():
        print(f"  dump     {path}  ({format}, {path.stat().st_size >> 20} MiB)")
    for module, path in made.modules.items():
        print(f"  module   {path}  ({module})")
    print(f"  truth    {made.directory / 'truth.json'}")


if __name__ == "__main__":
    sys.exit(main())
