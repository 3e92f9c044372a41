// An exception that nobody catches, thrown through destructors, templates and virtual functions.
#include <stdexcept>
#include <string>
#include <vector>

volatile long sink;

struct Guard {
    long number;
    explicit Guard(long number) : number(number) {}
    ~Guard() { sink = number; }
};

struct Base {
    virtual ~Base() = default;
    virtual long work(long value) = 0;
};

template <typename T> struct Worker : Base {
    T factor;
    explicit Worker(T factor) : factor(factor) {}
    __attribute__((noinline)) long work(long value) override
    {
        Guard guard(value);
        long product = value * factor;
        sink = product;
        if (product > 20)
            throw std::runtime_error("too large");
        return product;
    }
};

__attribute__((noinline)) static long caught(Base &base, long value)
{
    try {
        return base.work(value);
    } catch (const std::logic_error &) {
        return -1;
    }
}

__attribute__((noinline)) static long in_lambda(Base &base)
{
    auto each = [&base](long value) __attribute__((noinline)) { return caught(base, value) + 1; };
    long sum = 0;
    for (long value : std::vector<long>{1, 2, 30})
        sum += each(value);
    return sum;
}

int main()
{
    Worker<int> worker(7);
    Guard guard(1);
    return static_cast<int>(in_lambda(worker));
}
