#: sentence = "Tasks that sleep in functions with a return probe or a tracer, processes with known stacks of their own, and a BPF program."
#: programs = ["gcc"]
#: command_line = "log_buf_len=4M"
#: timeout_s = 1500
. "$LAB/lib.sh"

tracing=/sys/kernel/tracing
mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing" || fail "no tracefs"

# Processes whose frames and variables in user mode are known: innermost(21), middle(20), start and innermost(11),
# middle(10), start, main.
mkdir -p /mnt/stacks
cat >/mnt/stacks/sleeper.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

volatile long sink;
__thread volatile long per_thread = 5;

__attribute__((noinline)) static long innermost(long depth)
{
    per_thread += depth;
    for (;;)
        pause();
    return sink;
}

__attribute__((noinline)) static long middle(long depth, volatile long *where)
{
    *where = depth * 3;
    long below = innermost(depth + 1);
    return below + *where;
}

static void *start(void *argument)
{
    volatile long local = 1;
    sink = middle((long)argument, &local) + local;
    return NULL;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, start, (void *)20);
    usleep(300000);
    puts("started");
    fflush(stdout);
    start((void *)10);
    return 0;
}
C
for level in O0 O2; do
    gcc "-$level" -g -pthread -o "/mnt/stacks/sleeper-$level" /mnt/stacks/sleeper.c || fail "no compiler"
    "/mnt/stacks/sleeper-$level" >"/mnt/stacks/started-$level" &
    fact_json "process_$level" "$!"
    wait_until grep -q started "/mnt/stacks/started-$level"
    base64 -w0 "/mnt/stacks/sleeper-$level" >"/mnt/stacks/base64-$level"
    cp "/mnt/stacks/base64-$level" "$LAB/facts/program_$level.txt"
done

sleeps_in() { grep -q "$2" "/proc/$1/stack"; }

# The return address of a probed function is the probe's trampoline.
echo 'r:lab/slept do_nanosleep' >"$tracing/kprobe_events" || fail "no probe"
echo 1 >"$tracing/events/lab/slept/enable"
sleep 100010 &
probed=$!
fact_json return_probed "$probed"
# That of a traced one is the tracer's.
echo hrtimer_nanosleep >"$tracing/set_ftrace_filter"
echo function_graph >"$tracing/current_tracer" || fail "no tracer"
sleep 100011 &
traced=$!
fact_json graph_traced "$traced"
wait_until sleeps_in "$probed" hrtimer_nanosleep
wait_until sleeps_in "$traced" hrtimer_nanosleep
# A compiled BPF program that returns a constant, held by a process that sleeps.
echo 1 >/proc/sys/net/core/bpf_jit_enable
echo 1 >/proc/sys/net/core/bpf_jit_kallsyms
"$LAB_PYTHON" -I -S -c '
import ctypes, struct, time
BPF, PROG_LOAD, SOCKET_FILTER = 321, 5, 1
code = ctypes.create_string_buffer(struct.pack("=BBhi", 0xB7, 0, 0, 4711) + struct.pack("=BBhi", 0x95, 0, 0, 0))
licence = ctypes.create_string_buffer(b"Apache-2.0")
attributes = struct.pack("=IIQQIIQII16s", SOCKET_FILTER, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0, b"lab_named")
buffer = ctypes.create_string_buffer(attributes)
program = ctypes.CDLL(None, use_errno=True).syscall(BPF, PROG_LOAD, buffer, len(attributes))
if program < 0:
    raise OSError(ctypes.get_errno(), "the BPF program was refused")
print("loaded", flush=True)
time.sleep(100000)
' >/mnt/stacks/bpf &
wait_until grep -q loaded /mnt/stacks/bpf
fact bpf_symbol "$(grep lab_named /proc/kallsyms)"
fact probed_stack "$(cat "/proc/$probed/stack")"
fact traced_stack "$(cat "/proc/$traced/stack")"
# The kernel writes the stacks of all tasks into its log.
echo t >/proc/sysrq-trigger
ready
