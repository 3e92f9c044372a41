/* A signal handler on a stack of its own, entered from a fault, that aborts. */
#include <signal.h>
#include <stdlib.h>

static char handler_stack[1 << 16];
volatile int sink;

static void handler(int number)
{
    sink = number;
    abort();
}

__attribute__((noinline)) static int fault(int *where, int value)
{
    *where = value;
    return sink + value;
}

int main(void)
{
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    return fault((int *)8, 21) + 1;
}
