/* Threads that wait, each in functions of its own. */
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

__attribute__((noinline)) static long wait_here(long number)
{
    static __thread volatile long own = 1;
    own = number * 10;
    for (;;)
        pause();
    return number + own;
}

__attribute__((noinline)) static long middle(long number)
{
    return wait_here(number + 1) + 1;
}

static void *start(void *argument)
{
    return (void *)(middle(*(long *)argument) + 1);
}

int main(void)
{
    long numbers[] = {1, 2, 3};
    pthread_t threads[3];
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, start, &numbers[i]);
    puts("ready");
    fflush(stdout);
    return (int)wait_here(9);
}
