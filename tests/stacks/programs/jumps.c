/* A function with many last calls, one of which leads on. */
#include <stdlib.h>

volatile long sink;

__attribute__((noipa)) static long stop(long code)
{
    sink = code;
    if (code)
        abort();
    return code + sink;
}

#define LEAF(n) \
    __attribute__((noipa)) static long leaf##n(long code) { sink = code + n; return sink * n; }
#define ALL(X) \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) \
    X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32) X(33) X(34) X(35) X(36) X(37) X(38)
ALL(LEAF)

__attribute__((noipa)) static long leads_on(long code)
{
    sink = code;
    return stop(code + 1);
}

__attribute__((noipa)) static long dispatch(long number, long code)
{
#define CASE(n) case n: return leaf##n(code);
    switch (number) {
        ALL(CASE)
    case 39: return leads_on(code);
    }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argv;
    long result = dispatch(argc + 38, 5);
    sink = result;
    return (int)result;
}
