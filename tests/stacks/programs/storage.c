/* Thread-local variables of an executable, of a library that is loaded with it, and of one that is loaded later. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

__thread long in_executable = 100;
static __thread long same_name = 1;
long (*later)(long);
extern long in_library_wait(long number, long (*next)(long));

__attribute__((noinline)) static long wait_here(long number)
{
    same_name += number;
    for (;;)
        pause();
    return number;
}

static void *start(void *argument)
{
    long number = *(long *)argument;
    in_executable += number;
    /* Only every second thread uses the library that was loaded later. */
    if (number % 2)
        later(number);
    return (void *)in_library_wait(number, wait_here);
}

int main(int argc, char **argv)
{
    long numbers[] = {1, 2, 3};
    pthread_t threads[2];
    void *library = dlopen(argv[argc - 1], RTLD_NOW);
    if (!library)
        return puts(dlerror());
    later = (long (*)(long))dlsym(library, "in_later_library");
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, start, &numbers[i]);
    sleep(1);
    puts("ready");
    fflush(stdout);
    start(&numbers[2]);
    return 0;
}
