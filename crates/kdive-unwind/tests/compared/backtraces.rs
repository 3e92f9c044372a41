//! Stacks of compiled programs, compared with gdb frame by frame.

use crate::programs::{Core, Frame, architecture, compile, run_under_gdb};
use kdive_unwind::{End, How, Stack, UnwindOptions, Unwinder};

fn unwind(core: &Core) -> Stack {
    let architecture = architecture();
    let registers = architecture
        .from_user_regs(&core.target.threads[0].registers)
        .unwrap();
    let memory = &*core.target.memory;
    Unwinder::new(architecture, memory, core, UnwindOptions::default()).unwind(&registers, true)
}

/// What kdive knows of a frame must be what gdb says, and it must know the registers that every
/// frame has.
fn assert_same(stack: &Stack, expected: &[Frame]) {
    for (number, (frame, expected)) in stack.frames.iter().zip(expected).enumerate() {
        let known: Frame = frame
            .registers
            .named(architecture())
            .map(|(name, value)| (name.to_owned(), value))
            .filter(|(name, _)| expected.contains_key(name))
            .collect();
        for name in ["rip", "rsp"] {
            assert!(known.contains_key(name), "frame {number} lacks {name}");
        }
        for (name, value) in &known {
            assert_eq!(
                expected[name], *value,
                "{name} of frame {number}: {frame:#x?}"
            );
        }
    }
    assert_eq!(stack.frames.len(), expected.len(), "{:?}", stack.end);
}

fn check(compiler: &str, source: &str, flags: &[&str]) -> Stack {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), compiler, "program", source, flags);
    let (core, expected) = run_under_gdb(&program, 1000);
    let stack = unwind(&Core::open(&core));
    assert_same(&stack, &expected);
    assert_eq!(stack.end, End::Bottom);
    assert!(stack.frames.iter().all(|frame| !frame.is_guess));
    stack
}

const CALLS: &str = r"
#include <stdlib.h>
#include <string.h>
#include <alloca.h>
__attribute__((noinline)) int innermost(int value) { if (value) abort(); return value; }
__attribute__((noinline)) int aligned(int value) {
    char big[64] __attribute__((aligned(64)));
    memset(big, value, sizeof big);
    int result = innermost(value + big[3]) + big[1];
    return result;
}
__attribute__((noinline)) int variable(int value) {
    char *space = alloca(value * 16);
    memset(space, value, value * 16);
    return aligned(value) + space[value];
}
__attribute__((noinline)) int busy(int a, int b, int c, int d, int e, int f, int g, int h) {
    int sum = variable(a + b + c + d + e + f + g + h);
    return sum + a * b - c * d + e * f - g * h;
}
static int compare(const void *a, const void *b) {
    return busy(*(const int *)a, 1, 2, 3, 4, 5, 6, *(const int *)b);
}
int main(int argc, char **argv) {
    int values[] = {3, 1, argc};
    qsort(values, 3, sizeof *values, compare);
    return values[0];
}
";

#[test]
fn calls_at_every_optimization() {
    for level in ["-O0", "-O2", "-O3", "-Os"] {
        for pointer in ["-fomit-frame-pointer", "-fno-omit-frame-pointer"] {
            let stack = check("gcc", CALLS, &[level, pointer]);
            assert!(stack.frames.len() >= 10, "{level} {pointer}");
            assert!(stack.frames[1..].iter().all(|frame| frame.how == How::Cfi));
        }
    }
}

#[test]
fn static_programs_and_debug_frame() {
    check("gcc", CALLS, &["-O2", "-static"]);
    check(
        "gcc",
        CALLS,
        &[
            "-O2",
            "-fno-asynchronous-unwind-tables",
            "-fno-unwind-tables",
        ],
    );
}

#[test]
fn deep_recursion() {
    let source = r"
        #include <stdlib.h>
        __attribute__((noinline)) int descend(int depth) {
            if (depth == 0) abort();
            return descend(depth - 1) + 1;
        }
        int main(void) { return descend(100000); }
    ";
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), "gcc", "program", source, &["-O0"]);
    // gdb takes minutes for all of them.
    let (core, innermost) = run_under_gdb(&program, 100);
    let stack = unwind(&Core::open(&core));
    assert_same(
        &Stack {
            frames: stack.frames[..innermost.len()].to_vec(),
            end: stack.end,
        },
        &innermost,
    );
    assert_eq!(stack.end, End::Bottom);
    let call_in_descend = stack.frames[50].pc;
    let recursive = stack
        .frames
        .iter()
        .filter(|frame| frame.pc == call_in_descend)
        .count();
    assert_eq!(recursive, 100_000);
}

#[test]
fn signal_handlers_on_another_stack() {
    let source = r"
        #include <signal.h>
        #include <stdlib.h>
        #include <string.h>
        static void handler(int number) { abort(); }
        __attribute__((noinline)) int fail(volatile int *where) { return *where + 1; }
        int main(void) {
            stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
            struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
            sigaltstack(&stack, NULL);
            sigaction(SIGUSR1, &action, NULL);
            raise(SIGUSR1);
            return fail((int *)&stack);
        }
    ";
    let stack = check("gcc", source, &["-O2"]);
    let interrupted: Vec<_> = stack.frames[1..]
        .iter()
        .filter(|frame| frame.is_interrupted)
        .collect();
    assert_eq!(interrupted.len(), 1);
}

#[test]
fn exceptions_that_nobody_catches() {
    let source = r#"
        #include <string>
        #include <stdexcept>
        #include <vector>
        struct Guard { std::string name; ~Guard() { name.clear(); } };
        __attribute__((noinline)) int thrower(int depth) {
            Guard guard{std::string(depth, 'x')};
            if (depth == 3) throw std::runtime_error("boom");
            return thrower(depth + 1) + (int)guard.name.size();
        }
        int main() { return thrower(0); }
    "#;
    for level in ["-O0", "-O2"] {
        check("g++", source, &[level]);
    }
}

#[test]
fn calls_of_null_pointers_are_guessed() {
    let source = r"
        __attribute__((noinline)) int call(int (*function)(void)) { return function() + 1; }
        int main(int argc, char **argv) { return call((void *)(long)(argc - 1)) + 1; }
    ";
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), "gcc", "program", source, &["-O2"]);
    let (core, expected) = run_under_gdb(&program, 100);
    let stack = unwind(&Core::open(&core));
    assert_same(&stack, &expected);
    assert_eq!(stack.frames[0].pc, 0);
    assert!(!stack.frames[0].is_guess);
    assert_eq!(stack.frames[1].how, How::BadCall);
    assert!(stack.frames[1..].iter().all(|frame| frame.is_guess));
}

#[test]
fn frame_pointers_lead_through_code_without_information() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(
        directory.path(),
        "gcc",
        "program",
        CALLS,
        &["-O1", "-fno-omit-frame-pointer"],
    );
    let (core, expected) = run_under_gdb(&program, 100);
    let stripped = std::process::Command::new("objcopy")
        .args([
            "--remove-section=.eh_frame",
            "--remove-section=.debug_frame",
        ])
        .arg(&program)
        .status()
        .unwrap();
    assert!(stripped.success());
    let stack = unwind(&Core::open(&core));
    assert_same(&stack, &expected[..stack.frames.len()]);
    let by_frame_pointer: Vec<_> = stack
        .frames
        .iter()
        .filter(|frame| frame.how == How::FramePointer)
        .collect();
    assert!(by_frame_pointer.len() >= 4, "{:#x?}", stack.frames);
    assert!(by_frame_pointer.iter().all(|frame| frame.is_guess));
}
