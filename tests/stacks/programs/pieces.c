/* Structures that the compiler takes apart, and of which it keeps what is still needed. */
#include <stdlib.h>

struct inner {
    int low, high;
};
struct parts {
    long needed;
    long lost;
    struct inner inner;
    long constant;
};
volatile long sink;

__attribute__((noinline)) static void stop(long code)
{
    sink = code;
    if (code)
        abort();
}

__attribute__((noinline)) static long taken_apart(long first, long second)
{
    struct parts parts = {first * 3, second * 5, {first + 100, second + 200}, 4711};
    sink = parts.lost;
    stop(first);
    return parts.needed + parts.inner.high + parts.constant;
}

int main(int argc, char **argv)
{
    (void)argv;
    return (int)taken_apart(argc + 6, argc + 8);
}
