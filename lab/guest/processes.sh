# Processes in every usual state, open files, mounts, modules. For scenarios: . "$LAB/processes.sh"
modprobe -a qemu_fw_cfg loop btrfs veth || fail "modules do not load"
mkdir -p /mnt/tmpfs /mnt/btrfs
mount -t tmpfs -o size=16m lab-tmpfs /mnt/tmpfs
truncate -s 120M /mnt/image
mkfs.btrfs -q /mnt/image || fail "mkfs.btrfs"
losetup /dev/loop0 /mnt/image || fail "no loop device"
mount /dev/loop0 /mnt/btrfs || fail "btrfs is not mounted"

# A process that sleeps with files of several kinds open.
echo "some text" >/mnt/tmpfs/file
echo "other text" >/mnt/btrfs/file
mkdir /mnt/btrfs/directory
mkfifo /mnt/tmpfs/fifo
(
    cd /mnt/btrfs/directory || exit
    exec 3</mnt/tmpfs/file 4>>/mnt/btrfs/file 5<>/mnt/tmpfs/fifo 6</etc/passwd 7</dev/zero
    exec -a sleeper sleep 100000
) &
sleeper=$!
fact_json sleeper "$sleeper"

sleep 100001 &
stopped=$!
kill -STOP "$stopped"
fact_json stopped "$stopped"

# A child that nobody waits for: its parent replaced itself after starting it.
sh -c 'true & exec sleep 100002' &
zombie_parent=$!
zombies() { grep -l '^State:.Z' /proc/[0-9]*/status; }
wait_until zombies
zombie=$(zombies | cut -d/ -f3)
fact_json zombie "$zombie"
fact_json zombie_parent "$zombie_parent"

# A process with threads and a name of its own, one that is nice, one bound to CPU 1 in a cgroup of its own.
"$LAB_PYTHON" -I -S -c '
import threading, time
for number in range(3):
    threading.Thread(target=time.sleep, args=(100000,), daemon=True).start()
print("started", flush=True)
time.sleep(100000)
' >/mnt/tmpfs/threads &
threads=$!
wait_until grep -q started /mnt/tmpfs/threads
fact_json threads "$threads"

nice -n 7 sleep 100003 &
fact_json nice "$!"

mkdir /sys/fs/cgroup/lab
taskset -c 1 sleep 100004 &
bound=$!
echo "$bound" >/sys/fs/cgroup/lab/cgroup.procs
fact_json bound "$bound"

ip link add lab0 type veth peer name lab1
ip address add 192.0.2.1/24 dev lab0
ip link set lab0 up

in_state() { grep -q "^State:.$2" "/proc/$1/status"; }
wait_until in_state "$sleeper" S
wait_until in_state "$stopped" T
