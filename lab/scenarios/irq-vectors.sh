#: sentence = "Interrupt vectors of NVMe and virtio devices over several CPUs, some unplugged, one CPU offline."
#: programs = ["modprobe", "ip"]
#: files = ["pci_interrupts.bash"]
#: debug_modules = ["nvme", "nvme_core", "virtio_blk", "virtio_net"]
#: cpus = 4
#: command_line = "trace_event=irq_vectors:vector_config,irq_vectors:vector_activate,irq_vectors:vector_alloc,irq_vectors:vector_alloc_managed,irq_vectors:vector_reserve,irq_vectors:vector_reserve_managed,irq_vectors:vector_update,irq_vectors:vector_clear,irq_vectors:vector_free_moved"
#: qemu_arguments = [
#:     "-drive", "if=none,id=flash,driver=null-co,size=64M,read-zeroes=on",
#:     "-device", "nvme,serial=lab,drive=flash",
#:     "-drive", "if=none,id=disk,driver=null-co,size=64M,read-zeroes=on",
#:     "-device", "virtio-blk-pci,drive=disk,num-queues=4,vectors=5",
#:     "-netdev", "hubport,id=net,hubid=0",
#:     "-device", "virtio-net-pci,netdev=net,mq=on,vectors=4",
#:     "-drive", "if=none,id=flash2,driver=null-co,size=64M,read-zeroes=on",
#:     "-device", "nvme,serial=unplugged,drive=flash2",
#:     "-drive", "if=none,id=disk2,driver=null-co,size=64M,read-zeroes=on",
#:     "-device", "virtio-blk-pci,drive=disk2,num-queues=4,vectors=5",
#: ]
. "$LAB/lib.sh"
. "$LAB/pci_interrupts.bash"

modprobe -a nvme virtio_blk virtio_net || fail "modules do not load"
wait_until test -b /dev/nvme0n1
wait_until test -b /dev/vda
for interface in /sys/class/net/e*; do
    ip link set "${interface##*/}" up
done
wait_until test -b /dev/nvme1n1
wait_until test -b /dev/vdb

# Two of the devices are unplugged, as far as the kernel can tell.
rows=""
for block in nvme1n1 vdb; do
    device=$(pci_device_of "$block")
    rows="$rows${rows:+,}{\"device\": \"${device##*/}\", \"irqs\": $(irqs_of "$device")}"
    echo 1 >"$device/remove" || fail "$block stays plugged"
done
fact_json unplugged "[$rows]"
dd if=/dev/nvme0n1 of=/dev/null bs=64k count=16 status=none
dd if=/dev/vda of=/dev/null bs=64k count=16 status=none
echo 0 >/sys/devices/system/cpu/cpu3/online || fail "CPU 3 stays online"
sleep 1

rows=""
for directory in /sys/kernel/irq/*; do
    irq=${directory##*/}
    value() { cat "$directory/$1" 2>/dev/null; }
    rows="$rows${rows:+,}{\"irq\": $irq, \"actions\": \"$(value actions)\", \"chip\": \"$(value chip_name)\",
        \"counts\": [$(value per_cpu_count)],
        \"affinity\": \"$(cat "/proc/irq/$irq/smp_affinity_list")\",
        \"effective\": \"$(cat "/proc/irq/$irq/effective_affinity_list")\"}"
done
fact_json interrupts "[$rows]"

# What the trace says last of an interrupt is its vector and CPU. A CPU that goes offline traces nothing any more:
# where it moved its interrupts is unknown, only that they were "displaced".
cat /sys/kernel/tracing/per_cpu/cpu*/trace | sed -n 's/.* \([0-9]*\.[0-9]*\): \(vector_.*\)/\1 \2/p' | sort -n >/mnt/trace
fact trace "$(cat /mnt/trace)"
last_vectors() {
    sed -n 's/.*vector_config: irq=\([0-9]*\) vector=\([0-9]*\) cpu=\([0-9]*\).*/\1 \2 \3/p' /mnt/trace |
        awk '{ last[$1] = $2 " " $3 } END { for (irq in last) print irq, last[irq] }' | sort -n |
        while read -r irq place; do [ ! -d "/sys/kernel/irq/$irq" ] || echo "$irq $place"; done
}
as_json() { awk '{ printf "%s\"%s\": [%s, %s]", (NR > 1 ? ", " : ""), $1, $2, $3 }'; }
fact_json vectors "{$(last_vectors | awk '$3 != 3' | as_json)}"
fact_json displaced "{$(last_vectors | awk '$3 == 3' | as_json)}"

fact_json devices "$(devices_with_interrupts)"
fact_json offline 3
ready
