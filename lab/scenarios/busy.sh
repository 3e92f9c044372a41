#: sentence = "A machine at work: compilers, disk and network traffic, processes that come and go; five-level page tables."
#: programs = ["mkfs.ext4", "modprobe", "gcc", "ip"]
#: cpu = "max"
#: memory_mib = 768
#: disks_mib = [512]
#: dumps = ["elf", "kdump-zlib"]
. "$LAB/lib.sh"

modprobe -a virtio_blk ext4 || fail "modules do not load"
mkdir -p /mnt/disk
wait_until test -b /dev/vda
mkfs.ext4 -q /dev/vda || fail "mkfs.ext4"
mount /dev/vda /mnt/disk || fail "no disk"

printf '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n' >/mnt/disk/hello.c
(while :; do gcc -O2 -g -o /mnt/disk/hello /mnt/disk/hello.c && /mnt/disk/hello; done >/dev/null) &
fact_json compiling "$!"
(while :; do dd if=/dev/urandom of=/mnt/disk/data bs=64k count=256 conv=fsync status=none; done) &
fact_json writing "$!"
wait_until test -s /mnt/disk/data
(while :; do cat /mnt/disk/data >/dev/null; sleep 0.05; done) &
fact_json reading "$!"
(while :; do bash -c 'for number in 1 2 3 4 5 6 7 8; do /bin/true & done; wait'; done) &
fact_json forking "$!"
"$LAB_PYTHON" -I -S -c '
import socket, threading, time
server = socket.create_server(("127.0.0.1", 7000))
def serve(connection):
    while content := connection.recv(65536):
        connection.sendall(content)
def listen():
    while True:
        threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
threading.Thread(target=listen, daemon=True).start()
clients = [socket.create_connection(("127.0.0.1", 7000)) for _ in range(8)]
print("talking", flush=True)
while True:
    for client in clients:
        client.sendall(b"x" * 4096)
        client.recv(65536)
' >/mnt/talking &
fact_json talking "$!"
wait_until grep -q talking /mnt/talking
wait_until test -x /mnt/disk/hello
ready
