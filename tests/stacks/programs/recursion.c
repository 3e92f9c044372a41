/* A hundred thousand frames. */
#include <stdlib.h>

volatile long sink;

__attribute__((noinline)) static long deeper(long depth)
{
    if (depth == 100000)
        abort();
    sink = depth;
    long below = deeper(depth + 1);
    sink = depth;
    return below + depth;
}

int main(void)
{
    return (int)deeper(1);
}
