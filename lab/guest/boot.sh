# Process 1 of a guest once the shared root is in place: sets up what an init system would, runs the scenario, powers off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/home LANG=C.UTF-8 LAB=/run/lab
exec </dev/null >/dev/console 2>&1

mkdir -p /dev/pts /dev/shm /run/lock
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
ip link set lo up 2>/dev/null || ifconfig lo up

. "$LAB/environment"
release=$(uname -r)
mkdir -p "/lib/modules/$release"
mount --bind "/run/kernel/lib/modules/$release" "/lib/modules/$release"
hostname lab

mkdir "$LAB/facts" "$HOME"
cd /
bash -u "$LAB/scenario.sh" >"$LAB/output" 2>&1
echo $? >"$LAB/status"
sync
echo o >/proc/sysrq-trigger
sleep 60
