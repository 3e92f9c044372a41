#: sentence = "A call of a null pointer in a probe on a helper of a BPF program, in a softirq, on a machine with a CPU offline; dumped by the crash kernel."
#: cpus = 3
#: programs = ["kexec"]
#: command_line = "crashkernel=192M"
#: memory_mib = 704
#: test_modules = ["lab_nowhere"]
. "$LAB/lib.sh"

fact_json functions '["lab_call_nowhere", "lab_probe_handler", "bpf_user_rnd_u32", "__udp4_lib_rcv", "do_softirq", "udp_sendmsg"]'
fact_json cpu 2
fact_json offline 1
echo 0 >/sys/devices/system/cpu/cpu1/online || fail "CPU 1 stays online"
ip link set lo up
ready_to_crash
insmod "$LAB/modules/lab_nowhere.ko"
# A filter that loads a random number calls the helper, for each packet that arrives: in the softirq of the loopback device.
"$LAB_PYTHON" -I -S -c '
import ctypes, os, socket, struct
os.sched_setaffinity(0, {2})
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 7001))
SKF_AD_RANDOM = (-0x1000 + 56) & 0xFFFFFFFF
code = struct.pack("=HBBI", 0x20, 0, 0, SKF_AD_RANDOM) + struct.pack("=HBBI", 0x06, 0, 0, 0xFFFF)
program = ctypes.create_string_buffer(code)
filter = struct.pack("HL", 2, ctypes.addressof(program))
receiver.setsockopt(socket.SOL_SOCKET, 26, filter)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(b"crash", ("127.0.0.1", 7001))
'
sleep 60
fail "no crash"
