/* Calls whose return addresses are signed (pointer authentication), with SIGABRT at the innermost one. */
#include <stdlib.h>

volatile long sink;

__attribute__((noinline)) static void stop(long code)
{
    sink = code;
    if (code)
        abort();
}

__attribute__((noinline)) static long middle(long value)
{
    long twice = value * 2;
    stop(twice);
    return twice + sink;
}

__attribute__((noinline)) static long outer(long value)
{
    long result = middle(value + 1);
    return result + value;
}

int main(int argc, char **argv)
{
    (void)argv;
    return (int)outer(argc + 5);
}
