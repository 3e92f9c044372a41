#: sentence = "One process with 10,000 threads."
#: programs = ["gcc"]
#: memory_mib = 1280
#: dumps = ["elf", "kdump-zlib"]
. "$LAB/lib.sh"

count=10000
cat >/mnt/threads.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *wait_for_ever(void *number)
{
    char name[16];
    snprintf(name, sizeof name, "thread-%ld", (long)number);
    prctl(PR_SET_NAME, name);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 32 << 10);
    for (long number = 1; number <= atol(argv[1]); number++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, wait_for_ever, (void *)number)) {
            perror("pthread_create");
            return 1;
        }
    }
    puts("started");
    fflush(stdout);
    pause();
}
C
gcc -pthread -o /mnt/threads /mnt/threads.c || fail "no compiler"
echo 60000 >/proc/sys/kernel/pid_max
echo 30000 >/proc/sys/kernel/threads-max
echo 200000 >/proc/sys/vm/max_map_count
/mnt/threads "$count" >/mnt/started 2>&1 &
process=$!
fact_json process "$process"
fact_json count "$count"
started() { grep -q . /mnt/started; }
wait_until started
grep -q started /mnt/started || fail "$(cat /mnt/started)"
last_named() { grep -qx "thread-$count" /proc/"$process"/task/*/comm; }
wait_until last_named
ready
