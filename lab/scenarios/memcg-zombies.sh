#: sentence = "Removed memory cgroups that live on because pages of several kinds are charged to them."
#: programs = ["mkfs.ext4", "modprobe", "gcc"]
#: debug_modules = ["ext4"]
#: disks_mib = [256]
. "$LAB/lib.sh"

modprobe -a virtio_blk ext4 || fail "modules do not load"
mkdir -p /mnt/disk /mnt/memory
wait_until test -b /dev/vda
mkfs.ext4 -q /dev/vda || fail "mkfs.ext4"
mount /dev/vda /mnt/disk || fail "no disk"
mount -t tmpfs memory /mnt/memory

top=/sys/fs/cgroup
echo +memory >$top/cgroup.subtree_control || fail "no memory controller"
mkdir $top/lab
echo +memory >$top/lab/cgroup.subtree_control
before=$(awk '/nr_dying_descendants/ { print $2 }' $top/cgroup.stat)

rows=""
# bury NAME KIND FILE COMMAND…: run the command in a cgroup of its own and remove the cgroup.
bury() {
    local name=$1 kind=$2 file=$3 directory=$top/lab/$1
    shift 3
    mkdir "$directory"
    bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$directory" "$@" || fail "$name: $*"
    sync
    grave "$name" "$kind" "$file"
}
# grave NAME KIND FILE: note what the cgroup NAME is charged for, and remove it.
grave() {
    local directory=$top/lab/$1
    rows="$rows${rows:+,}{\"name\": \"$1\", \"kind\": \"$2\", \"file\": \"$3\",
        \"id\": $(stat -c %i "$directory"), \"bytes\": $(cat "$directory/memory.current"),
        \"stat\": {$(awk '{ printf "%s\"%s\": %s", (NR > 1 ? ", " : ""), $1, $2 }' "$directory/memory.stat")}}"
    rmdir "$directory" || fail "$1 is not removed"
}

for number in 1 2 3 4 5; do
    bury "cache$number" page_cache "/mnt/disk/file$number" \
        dd if=/dev/urandom of="/mnt/disk/file$number" bs=64k count=$((number * 4)) status=none
done
bury shared shared_memory /mnt/memory/file \
    dd if=/dev/urandom of=/mnt/memory/file bs=64k count=8 status=none

# Two processes that have their memory charged in one cgroup and then leave it.
cat >/mnt/holder.c <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    size_t size = 512 << 10;
    int anonymous = argc < 3, file = anonymous ? -1 : open(argv[2], O_RDWR);
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        anonymous ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
    if (memory == MAP_FAILED || mlock(memory, size))
        return 1;
    memset(memory, 1, size);
    FILE *done = fopen(argv[1], "w");
    fclose(done);
    pause();
}
C
gcc -o /mnt/holder /mnt/holder.c || fail "no compiler"
truncate -s 512k /mnt/disk/locked
mkdir $top/lab/locked $top/lab/anonymous $top/lab/alive
bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' $top/lab/locked /mnt/holder /mnt/done1 /mnt/disk/locked &
locked=$!
bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' $top/lab/anonymous /mnt/holder /mnt/done2 &
anonymous=$!
bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' $top/lab/alive sleep 100000 &
wait_until test -e /mnt/done1 -a -e /mnt/done2
echo "$locked" >$top/cgroup.procs
echo "$anonymous" >$top/cgroup.procs
sync
grave locked locked_file /mnt/disk/locked
grave anonymous anonymous ""

# A process with sockets, some of them full of what nobody reads, that leaves as well.
cat >/mnt/talker.c <<'C'
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    static char content[4096];
    struct sockaddr_in address = { AF_INET, htons(7001), { htonl(INADDR_LOOPBACK) } };
    int pair[2], server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) || listen(server, 1) ||
        connect(client, (struct sockaddr *)&address, sizeof(address)) || accept(server, NULL, NULL) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        return 1;
    for (int i = 0; i < 64; i++)
        if (send(client, content, sizeof(content), MSG_DONTWAIT) < 0)
            break;
    FILE *done = fopen(argv[1], "w");
    fclose(done);
    pause();
}
C
gcc -o /mnt/talker /mnt/talker.c || fail "no compiler"
mkdir $top/lab/sockets
bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' $top/lab/sockets /mnt/talker /mnt/done3 &
talker=$!
wait_until test -e /mnt/done3
sleep 2
echo "$talker" >$top/cgroup.procs
grave sockets sockets ""

# Objects of the kernel do not keep their cgroup: when it is removed, its parent takes them over.
mkdir /mnt/memory/many $top/lab/directories
bash -c 'echo $$ >"$0/cgroup.procs"; cd /mnt/memory/many; mkdir {1..500}' $top/lab/directories
fact_json directories "{$(awk '{ printf "%s\"%s\": %s", (NR > 1 ? ", " : ""), $1, $2 }' $top/lab/directories/memory.stat)}"
rmdir $top/lab/directories || fail "directories is not removed"

dying() { awk '/nr_dying_descendants/ { print $2 }' $top/cgroup.stat; }
settled() { [ "$(dying)" = $((before + 9)) ]; }
wait_until settled
fact_json zombies "[$rows]"
fact_json dying_before "$before"
fact_json holders "{\"locked\": $locked, \"anonymous\": $anonymous, \"sockets\": $talker}"
fact_json dying "$(dying)"
fact_json descendants "$(awk '/nr_descendants/ { print $2 }' $top/cgroup.stat)"
ready
settled || fail "$(dying) cgroups are dying after the dump"
