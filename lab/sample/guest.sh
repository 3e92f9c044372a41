#!/bin/busybox sh
# Process 1 of the sample's guest, which has no other file system than its initramfs and two disks: makes a machine
# that is at work and has three things wrong with it, and says on a virtio-serial port what is true of it.
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
exec </dev/null >/dev/console 2>&1

fail() {
    echo "sample: $*"
    poweroff -f
}

# Wait at most 20 s for a condition.
wait_until() {
    local left=200
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || fail "never true: $*"
        sleep 0.1
    done
}

while read -r module; do
    insmod "/modules/$module" || fail "$module does not load"
done </modules/order

port() {
    local name
    for name in /sys/class/virtio-ports/*; do
        [ "$(cat "$name/name")" = lab.control ] && echo "/dev/${name##*/}" && return
    done
    fail "no virtio-serial port"
}
say() {
    local answer
    {
        echo "$*" >&9
        read -r answer <&9
    } 9<>"$(port)"
    [ "$answer" = done ] || fail "the lab answers: $answer"
}
fact() { say fact "$1" "$(base64 | tr -d '\n')"; }

# What the kernel says of tasks: the lines of stat, the open files, and where the process is.
tasks() {
    local task
    for task in /proc/[0-9]*/task/[0-9]*; do
        [ -e "$task/stat" ] && cat "$task/stat"
    done
}
files() {
    local process name
    for process in /proc/[0-9]*; do
        for name in "$process/cwd" "$process/root" "$process"/fd/*; do
            [ -L "$name" ] && echo "$name $(readlink "$name")"
        done
    done
}

hostname sample
mkdir -p /run /tmp /srv/data /srv/archive /sys/fs/cgroup
mount -t tmpfs -o size=8m tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
wait_until test -b /dev/vda -a -b /dev/vdb
mount /dev/vdb /srv/data || fail "no data"

# A service with threads, connections and files; a job that is stopped; one that computes on CPU 1; a child that nobody
# waits for; a process in name spaces of its own.
echo "settings" >/srv/data/indexer.conf
mkfifo /run/indexer.fifo
indexer /srv/data/indexer.conf /srv/data/index.db /run/indexer.fifo /run/indexer.ready &
echo $! | fact indexer
wait_until test -e /run/indexer.ready
sleep 86400 &
stopped=$!
echo $stopped | fact stopped
kill -STOP $stopped
taskset 2 dd if=/dev/urandom of=/dev/null bs=64k &
echo $! | fact busy
sh -c 'true & exec sleep 86401' &
echo $! | fact zombie_parent
unshare --mount --pid --uts --ipc --fork sh -c 'hostname inner; mount -t tmpfs tmpfs /tmp; exec sleep 86402' &
zombies() { grep -l "^State:.Z" /proc/[0-9]*/status; }
wait_until zombies
zombies | cut -d/ -f3 | fact zombie
wait_until grep -q "^State:.T" "/proc/$stopped/status"

# Wrong: an archive is unmounted lazily while it is in use, comes back as another device, and can't be mounted.
losetup /dev/loop0 /dev/vda
mount /dev/loop0 /srv/archive || fail "no archive"
mkdir /srv/archive/2026
echo "one line" >/srv/archive/2026/report
sync
(cd /srv/archive/2026 && exec sleep 86403) &
holder=$!
echo $holder | fact holder_of_directory
in_archive() { [ "$(readlink "/proc/$holder/cwd")" = /srv/archive/2026 ]; }
wait_until in_archive
sleep 86404 </srv/archive/2026/report &
echo $! | fact holder_of_file
umount -l /srv/archive
losetup -d /dev/loop0
losetup /dev/loop1 /dev/vda
mount /dev/loop1 /srv/archive 2>/run/message && fail "the archive is mounted"
fact mount_message </run/message

# Wrong: memory cgroups of jobs that have ended live on, for what the jobs wrote is charged to them.
echo 3 >/proc/sys/vm/drop_caches
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/batch
echo +memory >/sys/fs/cgroup/batch/cgroup.subtree_control
for job in 1 2 3 4; do
    cgroup=/sys/fs/cgroup/batch/job-$job
    file=/srv/data/job-$job.out
    [ $job -lt 4 ] || file=/run/job-4.out
    mkdir $cgroup
    sh -c 'echo $$ >"$0/cgroup.procs"; exec dd if=/dev/urandom of="$1" bs=64k count="$2"' $cgroup $file $((job * 4))
    sync
    rmdir $cgroup || fail "$cgroup is in use"
done

# Wrong: a delayed work waits for a CPU that is offline.
echo 0 >/sys/devices/system/cpu/cpu2/online || fail "CPU 2 stays online"
insmod /modules/late/lab_delayed.ko cpu=2 || fail "lab_delayed does not load"
sleep 3
cd /sys/module/lab_delayed/parameters
grep . overdue_address later_address online_address overdue_expires later_expires | fact delayed
cd /

for answer in before after; do
    tasks | fact "tasks_$answer"
    files | fact "files_$answer"
    cat /proc/self/mountinfo | fact "mounts_$answer"
    [ $answer = after ] || say ready
done
cat /proc/modules | fact modules
cat /sys/fs/cgroup/cgroup.stat | fact cgroup
uname -r | fact release
cat /proc/cmdline | fact command_line
grep -E ' (_text|_stext|init_task|schedule|jiffies_64|modules)$' /proc/kallsyms | fact symbols
grep -E '\[btrfs\]$' /proc/kallsyms | head -n 20 | fact module_symbols
say end
poweroff -f
