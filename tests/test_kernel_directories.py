"""Where the files of a kernel are found: as each distribution installs them, as they are built, compressed."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

import kdive
import lab
from kdive import DebugInfoOptions

pytestmark = pytest.mark.lab

DEBUG = "usr/lib/debug"
MODULES = "lib/modules/RELEASE"

# Where vmlinux and a module are below a directory.
LAYOUTS = {
    "Debian": (f"{DEBUG}/boot/vmlinux-RELEASE", f"{DEBUG}/{MODULES}/kernel/drivers/block/loop.ko"),
    "Ubuntu": (f"{DEBUG}/boot/vmlinux-RELEASE", f"{MODULES}/kernel/drivers/block/loop.ko.zst"),
    "Fedora": (
        f"{DEBUG}/{MODULES}/vmlinux",
        f"{DEBUG}/{MODULES}/kernel/drivers/block/loop.ko.debug",
    ),
    "SUSE": (
        f"{DEBUG}/boot/vmlinux-RELEASE.debug",
        f"{DEBUG}/{MODULES}/kernel/drivers/block/loop.ko.debug",
    ),
    "SUSE with a merged /usr": (
        f"{DEBUG}/usr/{MODULES}/vmlinux.debug",
        f"{DEBUG}/usr/{MODULES}/kernel/drivers/block/loop.ko.debug",
    ),
    "make install": (f"{MODULES}/build/vmlinux", f"{MODULES}/updates/loop.ko.xz"),
    "modules alone": ("boot/vmlinux-RELEASE", f"{MODULES}/kernel/drivers/block/loop.ko.gz"),
    "a build's directory": ("vmlinux", "drivers/block/loop.ko"),
    "a release's directory": ("build/vmlinux", "extra/loop.ko.xz"),
}

COMPRESSORS = {".xz": "xz", ".gz": "gzip", ".zst": "zstd"}


def place(target: lab.Target, root: Path, vmlinux: str, module: str) -> tuple[Path, Path]:
    """Puts the files below `root`."""
    paths = [root / path.replace("RELEASE", target.kernel) for path in (vmlinux, module)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    paths[0].symlink_to(target.vmlinux)
    compressor = COMPRESSORS.get(paths[1].suffix)
    if compressor is None:
        shutil.copy(target.modules["loop"], paths[1])
    else:
        with paths[1].open("wb") as compressed:
            command = [compressor, "-1", "-c", str(target.modules["loop"])]
            subprocess.run(command, stdout=compressed, check=True)
    return paths[0], paths[1]


def found(target: lab.Target, options: DebugInfoOptions) -> tuple[kdive.Module, kdive.Module]:
    """The kernel and the module, after a search."""
    prog = kdive.Program()
    prog.set_core_dump(target.dumps["elf"])
    prog.set_enabled_debug_info_finders(["standard"])
    prog.debug_info_options = options
    with contextlib.suppress(kdive.MissingDebugInfoError):
        prog.load_default_debug_info()
    [loop] = [module for module in prog.modules() if module.name == "loop"]
    return prog.main_module(), loop


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_listed", [False, True], ids=["walked", "listed"])
def test_files_are_found_in_a_given_directory(tmp_path: Path, layout: str, is_listed: bool) -> None:
    target = lab.target("idle")
    vmlinux, module = place(target, tmp_path, *LAYOUTS[layout])
    modules = tmp_path / MODULES.replace("RELEASE", target.kernel)
    if is_listed:
        modules = modules if modules.exists() else tmp_path
        listed = "kernel/drivers/block/loop.ko.xz"
        if module.is_relative_to(modules) and DEBUG not in str(module.relative_to(modules)):
            listed = str(module.relative_to(modules))
        (modules / "modules.dep").write_text(f"kernel/lib/crc16.ko:\n{listed}: \n")
    options = DebugInfoOptions(directories=(), kernel_directories=[str(tmp_path)])
    kernel, loop = found(target, options)
    assert kernel.debug_file_path == str(vmlinux)
    assert loop.debug_file_path == str(module)
    prog = kernel.prog
    assert prog["jiffies"].type_.type_name() == "volatile unsigned long"
    assert prog.type("struct loop_device").has_member("lo_number")
    # CONFIG_BLK_DEV_LOOP_MIN_COUNT
    assert prog["max_loop"] == 8


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if LAYOUTS[name][1].startswith(DEBUG)])
def test_debug_files_are_found_without_the_kernels_own(tmp_path: Path, layout: str) -> None:
    """Somebody who looks at another machine's dump has installed no more than its debug files."""
    target = lab.target("idle")
    vmlinux, module = place(target, tmp_path, *LAYOUTS[layout])
    kernel, loop = found(target, DebugInfoOptions(directories=[str(tmp_path / DEBUG)]))
    assert kernel.debug_file_path == str(vmlinux)
    assert loop.debug_file_path == str(module)


def test_files_are_found_by_build_id_alone(tmp_path: Path) -> None:
    target = lab.target("idle")
    notes = subprocess.run(
        ["readelf", "-n", target.modules["loop"]], capture_output=True, text=True, check=True
    )
    identity = notes.stdout.split("Build ID: ")[1].split()[0]
    path = tmp_path / ".build-id" / identity[:2] / f"{identity[2:]}.debug"
    path.parent.mkdir(parents=True)
    path.symlink_to(target.modules["loop"])
    _, loop = found(target, DebugInfoOptions(directories=[str(tmp_path)]))
    assert loop.debug_file_path == str(path)


def test_of_several_files_with_the_name_of_a_module_the_right_one_is_taken(tmp_path: Path) -> None:
    target = lab.target("idle")
    _, module = place(target, tmp_path, "vmlinux", "b/loop.ko")
    for other in ["a/loop.ko", "c/loop.ko"]:
        path = tmp_path / other
        path.parent.mkdir()
        shutil.copy(target.modules["btrfs"], path)
    options = DebugInfoOptions(directories=(), kernel_directories=[str(tmp_path)])
    _, loop = found(target, options)
    assert loop.debug_file_path == str(module)
