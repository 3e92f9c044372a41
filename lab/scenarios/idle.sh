#: sentence = "A quiet machine: processes in every usual state, open files, some loaded modules, a few mounts."
#: programs = ["mkfs.btrfs", "modprobe", "losetup", "ip"]
#: debug_modules = ["loop", "btrfs"]
#: dumps = ["elf", "kdump-zlib", "kdump-snappy", "kdump-lzo"]
. "$LAB/lib.sh"
. "$LAB/processes.sh"
echo "lab: idle scenario is established" >/dev/kmsg
ready
