/* Every kind of type that CTF can write, and some that it can't. */
#include <stddef.h>

enum color { RED, GREEN = 5, BLUE = -3 };
struct declared;
union also_declared;
struct list {
	struct list *next;
	unsigned low : 3, high : 9;
	int whole : 32;
	enum color color : 4;
	_Bool flag : 1;
	unsigned long long wide : 40;
	const volatile struct list *const *others;
};
typedef int (*callback)(struct list *, ...);
typedef struct { int anonymous; } named_by_alias;
union number { long integer; double real; char bytes[8]; };
struct outer {
	int a;
	union { long x; double y; struct { short deep : 5; short : 0; short deeper : 7; }; };
	struct { char c; } inner;
	named_by_alias alias;
	struct declared *declared;
	union also_declared *also_declared;
	int matrix[2][3][4];
	int (*rows)[5][6];
	callback handlers[3];
	void *(*allocate)(size_t, void *restrict);
	float single;
	long double extended;
	__int128 huge;
	signed char small;
	short flexible[];
};
int global = 42;
struct list head = { &head, 1, 2 };
struct outer outers;
union number number;
static int counters[7] = { 1 };
_Thread_local int per_thread;
const char *const words[] = { "one", "two" };
int *unnamed_parts(struct outer *outer, enum color color) { return &counters[outer->a + color]; }
int main(int argc, char **argv) { return *unnamed_parts(&outers, RED) + argc + per_thread + **argv + *words[0]; }

/* What the linker makes too large, alone, within others and packed. */
struct grown { unsigned long long a : 46, b : 18; };
struct holds_grown { struct grown first[2]; int last; struct grown end; };
struct packed_grown { char c; unsigned long long a : 46, b : 18; } __attribute__((packed));
struct packed_and_right { struct packed_grown inner; char more[2]; } __attribute__((packed));
struct grown_word { unsigned a : 15, b : 17; };
union grown_union { struct grown_word word; struct { unsigned x : 14, y : 18; } parts; };
