/* Variables that compilers take out of memory though there are pointers to them, and static ones of inlined functions. */
#include <stdlib.h>

volatile long sink;

struct inner {
    long count;
    const char *text;
};

struct outer {
    int number;
    struct inner *inner;
};

__attribute__((noinline)) static void stop(long code)
{
    sink = code;
    if (code)
        abort();
}

static inline __attribute__((always_inline)) long through(long *pointer, struct outer *outer)
{
    static long calls = 40;
    static const char name[] = "through";
    calls += *pointer;
    sink = name[calls & 3];
    stop(*pointer + outer->inner->count);
    return *pointer + outer->number;
}

__attribute__((noinline)) static long implicit(long start)
{
    long value = start * 2;
    struct inner inner = {start + 5, "text"};
    struct outer outer = {17, &inner};
    long result = through(&value, &outer);
    sink = result;
    return result + value + inner.count;
}

int main(int argc, char **argv)
{
    (void)argv;
    return (int)implicit(argc + 10);
}
