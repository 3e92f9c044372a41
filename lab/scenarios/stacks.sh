#: sentence = "Tasks that sleep in functions with a return probe or a tracer, and processes with known stacks of their own."
#: programs = ["gcc"]
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
fact probed_stack "$(cat "/proc/$probed/stack")"
fact traced_stack "$(cat "/proc/$traced/stack")"
ready
