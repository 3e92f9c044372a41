#: sentence = "A btrfs file system that can't be mounted: a detached mount of another device still has its UUID."
#: programs = ["mkfs.btrfs", "losetup", "modprobe"]
#: debug_modules = ["btrfs", "loop"]
. "$LAB/lib.sh"

modprobe -a loop btrfs || fail "modules do not load"
mkdir -p /mnt/first /mnt/second /mnt/healthy
truncate -s 120M /mnt/image /mnt/healthy-image
mkfs.btrfs -q -L broken /mnt/image || fail "mkfs.btrfs"
mkfs.btrfs -q -L healthy /mnt/healthy-image || fail "mkfs.btrfs"
losetup /dev/loop0 /mnt/image
losetup /dev/loop2 /mnt/healthy-image
mount /dev/loop0 /mnt/first || fail "the first mount fails"
mount /dev/loop2 /mnt/healthy || fail "the healthy mount fails"
mkdir /mnt/first/directory
echo "held" >/mnt/first/file

# The two processes that keep the detached mount alive: one by its directory, one by an open file.
(cd /mnt/first/directory && exec sleep 100000) &
holder_cwd=$!
sleep 100001 9</mnt/first/file &
holder_file=$!
in_directory() { [ "$(readlink "/proc/$holder_cwd/cwd")" = /mnt/first/directory ]; }
wait_until in_directory

umount -l /mnt/first
losetup -d /dev/loop0
losetup /dev/loop1 /mnt/image
message=$(mount /dev/loop1 /mnt/second 2>&1)
status=$?
[ "$status" = 32 ] || fail "mount ends with $status: $message"

fact mount_message "$message"
fact_json mount_status "$status"
fact_json holder_cwd "$holder_cwd"
fact_json holder_file "$holder_file"
fact uuid "$(blkid -o value -s UUID /mnt/image)"
fact healthy_uuid "$(blkid -o value -s UUID /mnt/healthy-image)"
fact losetup "$(losetup -l -n -O NAME,BACK-FILE,AUTOCLEAR)"
ready
