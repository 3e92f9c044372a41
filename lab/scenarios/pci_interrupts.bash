# Read by scenarios as: . "$LAB/pci_interrupts.bash"

# The interrupts of a PCI device, given its directory in sysfs, as a list of JSON.
irqs_of() { echo "[$(ls "$1/msi_irqs" | sort -n | paste -sd,)]"; }

# Every PCI device that has message signaled interrupts, as JSON.
devices_with_interrupts() {
    local directory device rows=""
    for directory in /sys/bus/pci/devices/*/msi_irqs; do
        device=${directory%/msi_irqs}
        rows="$rows${rows:+,}{\"device\": \"${device##*/}\", \"irqs\": $(irqs_of "$device"),
            \"driver\": \"$(basename "$(readlink "$device/driver")")\"}"
    done
    echo "[$rows]"
}

# The PCI device, as its directory in sysfs, that a block device belongs to.
pci_device_of() {
    local device
    device=$(readlink -f "/sys/block/$1/device")
    while [ ! -d "$device/msi_irqs" ]; do device=${device%/*}; done
    echo "$device"
}
