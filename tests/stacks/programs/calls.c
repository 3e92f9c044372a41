/* Calls of many kinds; it ends with SIGABRT at the innermost one. */
#include <alloca.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    long low, high;
};
volatile long sink;
__thread int per_thread = 77;
__thread struct pair per_thread_pair = {5, 6};

__attribute__((noinline)) static void stop(long code)
{
    per_thread += 1;
    sink = code + per_thread;
    if (code)
        abort();
}

static inline __attribute__((always_inline)) long doubled(long value)
{
    long twice = value * 2;
    sink = twice;
    stop(twice);
    return twice + 1;
}

/* Its last call is a jump when optimized. */
__attribute__((noinline)) static long jumping(long first, long second)
{
    extern long reached_by_jump(long, long);
    sink = first;
    return reached_by_jump(second + 1, first);
}

__attribute__((noinline)) long reached_by_jump(long jumped, long kept)
{
    struct pair pair = {jumped, kept};
    struct pair *pointer = &pair;
    sink = pointer->low;
    long result = doubled(jumped) + kept;
    sink = pointer->high;
    return result + pair.high;
}

__attribute__((noinline)) static int aligned(int value)
{
    char big[64] __attribute__((aligned(64)));
    memset(big, value, sizeof big);
    return (int)jumping(value, big[3] + 7) + big[1] + value;
}

__attribute__((noinline)) static int variable(int count)
{
    char *space = alloca(count * 16);
    memset(space, count, count * 16);
    return aligned(count) + space[count];
}

__attribute__((noinline)) static int busy(int a, int b, int c, int d, int e, int f, int g, int h)
{
    int sum = variable(a + b + c + d + e + f + g + h);
    return sum + a * b - c * d + e * f - g * h;
}

static int compare(const void *left, const void *right)
{
    return busy(*(const int *)left, 1, 2, 3, 4, 5, 6, *(const int *)right);
}

int main(int argc, char **argv)
{
    int values[] = {3, 1, argc};
    qsort(values, 3, sizeof *values, compare);
    return values[0] + (argv == NULL);
}
