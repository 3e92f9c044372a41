#: sentence = "What idle has, then a panic; dumped by the crash kernel, and converted to every form there is."
#: programs = ["mkfs.btrfs", "modprobe", "losetup", "ip", "kexec"]
#: debug_modules = ["loop", "btrfs"]
#: command_line = "crashkernel=192M"
#: memory_mib = 704
#: conversions = true
. "$LAB/lib.sh"
. "$LAB/processes.sh"
ready_to_crash
fact_json crasher "$$"
echo "lab: crashing on purpose" >/dev/kmsg
echo c >/proc/sysrq-trigger
