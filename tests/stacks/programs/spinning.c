/* Asks the vDSO for the time without end, and counts. */
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

__attribute__((noinline)) static long now(long base)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec - base;
}

int main(void)
{
    volatile unsigned long count = 0;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    puts("ready");
    fflush(stdout);
    for (;;)
        count += now(40) != 0;
}
