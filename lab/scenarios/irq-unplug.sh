#: sentence = "NVMe and virtio devices and then a CPU are unplugged from outside; dumps before, between and after."
#: programs = ["modprobe", "ip"]
#: files = ["pci_interrupts.bash"]
#: debug_modules = ["nvme", "nvme_core", "virtio_blk", "virtio_net"]
#: dumps = ["elf"]
#: cpus = 3
#: qemu_arguments = [
#:     "-smp", "3,maxcpus=4,sockets=4,cores=1,threads=1",
#:     "-device", "max-x86_64-cpu,id=cpu3,socket-id=3,core-id=0,thread-id=0",
#:     "-drive", "if=none,id=flash,driver=null-co,size=64M,read-zeroes=on",
#:     "-device", "nvme,id=nvme0,serial=stays,drive=flash",
#:     "-drive", "if=none,id=flash1,driver=null-co,size=64M,read-zeroes=on",
#:     "-device", "nvme,id=nvme1,serial=goes,drive=flash1",
#:     "-drive", "if=none,id=disk,driver=null-co,size=64M,read-zeroes=on",
#:     "-device", "virtio-blk-pci,id=blk1,drive=disk,num-queues=4,vectors=5",
#:     "-netdev", "hubport,id=net,hubid=0",
#:     "-device", "virtio-net-pci,id=net1,netdev=net,mq=on,vectors=4",
#: ]
. "$LAB/lib.sh"
. "$LAB/pci_interrupts.bash"

modprobe -a nvme virtio_blk virtio_net || fail "modules do not load"
wait_until test -b /dev/nvme0n1
wait_until test -b /dev/nvme1n1
wait_until test -b /dev/vda
# Each queue has been used once, so that its interrupt has got its vector.
for interface in /sys/class/net/e*; do
    ip link set "${interface##*/}" up
done
[ "$(cat /sys/devices/system/cpu/online)" = 0-3 ] || fail "CPUs are missing"
for cpu in 0 1 2 3; do
    taskset -c "$cpu" dd if=/dev/nvme0n1 of=/dev/null bs=64k count=4 iflag=direct status=none
done
goes=$(for name in nvme0n1 nvme1n1; do
    [ "$(tr -d ' ' <"/sys/block/$name/device/serial")" != goes ] || echo "$name"
done)
net=$(readlink -f "$(ls -d /sys/class/net/e* | head -1)/device")
fact_json unplugged "[\"$(basename "$(pci_device_of "$goes")")\", \"$(basename "$(pci_device_of vda)")\",
    \"$(basename "${net%/*}")\"]"
fact_json devices_plugged "$(devices_with_interrupts)"
lab_say moment plugged

# unplug ID DIRECTORY: what goes has to give its consent, which is when its directory is gone.
unplug() {
    lab_say qmp "{\"execute\": \"device_del\", \"arguments\": {\"id\": \"$1\"}}"
    wait_until test ! -e "$2"
}
nvme=$(pci_device_of "$goes")
block=$(pci_device_of vda)
unplug nvme1 "$nvme"
unplug blk1 "$block"
unplug net1 "${net%/*}"
sleep 1
fact_json devices_unplugged "$(devices_with_interrupts)"
lab_say moment unplugged

unplug cpu3 /sys/devices/system/cpu/cpu3/cache
wait_until grep -qx 0-2 /sys/devices/system/cpu/online
wait_until grep -qx 0-2 /sys/devices/system/cpu/present
sleep 1
fact_json devices_after "$(devices_with_interrupts)"
ready
