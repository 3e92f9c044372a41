#: sentence = "A CPU whose interrupt vectors are all taken, most of them by the ports of virtio consoles."
#: programs = ["modprobe"]
#: debug_modules = ["nvme", "nvme_core"]
#: cpus = 1
#: command_line = "no_timer_check"
#: qemu_arguments = [
#:     "-device", "virtio-serial-pci,max_ports=31,vectors=64",
#:     "-device", "virtio-serial-pci,max_ports=31,vectors=64",
#:     "-device", "virtio-serial-pci,max_ports=19,vectors=40",
#:     "-drive", "if=none,id=flash0,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab0,drive=flash0",
#:     "-drive", "if=none,id=flash1,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab1,drive=flash1",
#:     "-drive", "if=none,id=flash2,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab2,drive=flash2",
#:     "-drive", "if=none,id=flash3,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab3,drive=flash3",
#:     "-drive", "if=none,id=flash4,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab4,drive=flash4",
#:     "-drive", "if=none,id=flash5,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab5,drive=flash5",
#:     "-drive", "if=none,id=flash6,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab6,drive=flash6",
#:     "-drive", "if=none,id=flash7,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab7,drive=flash7",
#:     "-drive", "if=none,id=flash8,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab8,drive=flash8",
#:     "-drive", "if=none,id=flash9,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab9,drive=flash9",
#:     "-drive", "if=none,id=flash10,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab10,drive=flash10",
#:     "-drive", "if=none,id=flash11,driver=null-co,size=1M,read-zeroes=on",
#:     "-device", "nvme,serial=lab11,drive=flash11",
#: ]
. "$LAB/lib.sh"

# The consoles take their vectors as soon as their driver is there, the disks what is left of them.
modprobe nvme || fail "modules do not load"
refused() { dmesg | grep -q 'nvme.*failed with error -28\|nvme.*probe failed\|Removing after probe failure'; }
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    refused && break
    sleep 1
done

fact_json interrupts "$(grep -c PCI-MSI /proc/interrupts)"
fact proc_interrupts "$(cat /proc/interrupts)"
fact log "$(dmesg | grep -i 'nvme\|vector\|reserv' | tail -40)"
ready
