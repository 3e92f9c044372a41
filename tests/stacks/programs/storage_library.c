/* A library with thread-local variables; compiled as two. */
__thread long padding[5] = {1, 2, 3, 4, 5};
#ifdef LATER
__thread long in_later = 7000;
static __thread long same_name = 3;

__attribute__((noinline)) long in_later_library(long number)
{
    same_name += number * 3;
    return in_later += number;
}
#else
__thread long in_library = 500;
static __thread long same_name = 2;

__attribute__((noinline)) long in_library_wait(long number, long (*next)(long))
{
    in_library += number;
    same_name += number * 2;
    long result = next(number);
    return result + in_library;
}
#endif
