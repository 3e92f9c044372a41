#: sentence = "An InfiniBand device (software RoCE) that no longer completes management datagrams, while RDS connects to many peers."
#: programs = ["ip", "rdma", "modprobe", "tc"]
#: debug_modules = ["rds", "rds_rdma", "ib_core", "ib_cm", "rdma_cm", "rdma_rxe"]
#: memory_mib = 1024
. "$LAB/lib.sh"

modprobe -a veth sch_tbf crc32_generic crc32_pclmul rdma_rxe rds rds_rdma || fail "modules do not load"
ip link add v0 type veth peer name v1
ip address add 192.0.2.1/24 dev v0
ip link set v0 up
ip link set v1 up
rdma link add rxe0 type rxe netdev v0 || fail "no RoCE device"
active() { rdma link show rxe0/1 | grep -q 'state ACTIVE'; }
wait_until active

# What is sent stays in the queue of the network device, which lets a bit a second pass. Of a queue pair, software RoCE
# hands over 64 packets and then waits for one of them to be gone: nothing is completed any more.
tc qdisc add dev v0 root tbf rate 8bit burst 2000 limit 10mb || fail "no tbf"
peers=""
for number in $(seq 2 241); do
    ip neighbour add "192.0.2.$number" lladdr "02:00:00:00:01:$(printf %02x "$number")" nud permanent dev v0
    peers="$peers 192.0.2.$number"
done
cat >/run/sender.py <<'PYTHON'
import socket
import sys
import time

AF_RDS = 21
rds = socket.socket(AF_RDS, socket.SOCK_SEQPACKET)
rds.bind(("192.0.2.1", 4001))
rds.setblocking(False)
for address in sys.argv[1:]:
    rds.sendto(b"greetings", (address, 5000))
print("sent", flush=True)
time.sleep(100000)
PYTHON
"$LAB_PYTHON" -I -S /run/sender.py $peers >/run/sender 2>&1 &
fact_json sender "$!"
wait_until grep -q sent /run/sender || fail "$(cat /run/sender)"
requests() { rdma -j resource show cm_id | grep -o '"state":"CONNECT"' | wc -l; }
left=60
until [ "$(requests)" = 240 ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "$(requests) connection requests only"
    sleep 2
done
sleep 2

fact_json peers 240
fact_json cm_ids "$(rdma -j resource show cm_id)"
fact_json queue_pairs "$(rdma -j resource show qp)"
fact queue "$(tc -s qdisc show dev v0)"
ready
