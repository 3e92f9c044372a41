#: sentence = "Delayed works queued on a CPU that is offline, one of them overdue."
#: programs = ["modprobe"]
#: cpus = 4
#: test_modules = ["lab_delayed"]
. "$LAB/lib.sh"

echo 0 >/sys/devices/system/cpu/cpu1/online || fail "CPU 1 stays online"
insmod "$LAB/modules/lab_delayed.ko" cpu=1 || fail "lab_delayed does not load"
for name in overdue_address later_address online_address queue_address \
    overdue_expires later_expires online_expires; do
    fact_json "$name" "$(cat "/sys/module/lab_delayed/parameters/$name")"
done
fact_json cpu 1
sleep 3
dmesg | grep -q "lab_delayed: the" && fail "a work ran"
ready
dmesg | grep -q "lab_delayed: the" && fail "a work ran"
exit 0
