#: sentence = "RDS over InfiniBand (software RoCE): connections that hang, to absent peers and to silent ones."
#: programs = ["ip", "rdma", "modprobe"]
#: files = ["rds.py"]
#: debug_modules = ["rds", "rds_rdma", "ib_core", "ib_cm", "rdma_cm", "rdma_rxe"]
. "$LAB/lib.sh"

modprobe -a veth crc32_generic crc32_pclmul rdma_rxe rds rds_rdma || fail "modules do not load"
ip link add v0 type veth peer name v1
ip address add 192.0.2.1/24 dev v0
ip link set v0 up
ip link set v1 up
rdma link add rxe0 type rxe netdev v0 || fail "no RoCE device"
active() { rdma link show rxe0/1 | grep -q 'state ACTIVE'; }
wait_until active

# Silent peers have a link-layer address, so their connection requests are sent and never answered;
# the absent one has none.
for number in 11 12 13; do
    ip neighbour add "192.0.2.$number" lladdr "02:00:00:00:00:$number" nud permanent dev v0
done
port=4000
for peer in 192.0.2.11 192.0.2.12 192.0.2.13 192.0.2.99; do
    port=$((port + 1))
    "$LAB_PYTHON" -I -S "$LAB/rds.py" send 192.0.2.1 "$port" "$peer" 5000 >"/run/sender$port" 2>&1 &
    wait_until grep -q sent "/run/sender$port" || fail "$(cat "/run/sender$port")"
done
requests_sent() { [ "$(rdma -j resource show cm_id | grep -o '"state":"CONNECT"' | wc -l)" = 3 ]; }
wait_until requests_sent

record() {
    fact_json "connections_$1" "$("$LAB_PYTHON" -I -S "$LAB/rds.py" connections)"
    fact_json "cm_ids_$1" "$(rdma -j resource show cm_id)"
    fact_json "queue_pairs_$1" "$(rdma -j resource show qp)"
}
fact_json sockets "$("$LAB_PYTHON" -I -S "$LAB/rds.py" sockets)"
fact_json links "$(rdma -j link)"
record before
ready
record after
