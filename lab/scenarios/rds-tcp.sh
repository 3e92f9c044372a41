#: sentence = "RDS over TCP: one connection that is up, to another network namespace, and one whose peer is absent."
#: programs = ["ip", "modprobe"]
#: files = ["rds.py"]
#: debug_modules = ["rds", "rds_tcp"]
. "$LAB/lib.sh"

modprobe -a veth rds rds_tcp || fail "modules do not load"
ip netns add peer
ip link add v0 type veth peer name v1
ip link set v1 netns peer
ip address add 192.0.2.1/24 dev v0
ip link set v0 up
ip -n peer address add 192.0.2.2/24 dev v1
ip -n peer link set v1 up
ip -n peer link set lo up

# Two sockets that talk to each other, and a third that sends to an address that nobody has.
ip netns exec peer "$LAB_PYTHON" -I -S "$LAB/rds.py" receive 192.0.2.2 4000 >/run/receiver 2>&1 &
fact_json receiver "$!"
wait_until grep -q bound /run/receiver
"$LAB_PYTHON" -I -S "$LAB/rds.py" send 192.0.2.1 4001 192.0.2.2 4000 >/run/sender 2>&1 &
fact_json sender "$!"
wait_until grep -q received /run/receiver || fail "$(cat /run/receiver /run/sender)"
"$LAB_PYTHON" -I -S "$LAB/rds.py" send 192.0.2.1 4002 192.0.2.99 4000 >/run/lost 2>&1 &
fact_json lost "$!"
wait_until grep -q sent /run/lost || fail "$(cat /run/lost)"
connecting() { "$LAB_PYTHON" -I -S "$LAB/rds.py" connections | grep -q '192.0.2.99.*"connecting": true'; }
wait_until connecting

connections() { fact_json "connections_$1" "$("$LAB_PYTHON" -I -S "$LAB/rds.py" connections)"; }
connections before
fact_json peer_connections "$(ip netns exec peer "$LAB_PYTHON" -I -S "$LAB/rds.py" connections)"
fact_json sockets "$("$LAB_PYTHON" -I -S "$LAB/rds.py" sockets)"
ready
connections after
