//! Stacks of compiled programs, dumped and running: functions, lines, variables, threads.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use kdive_engine::{Error, Program, StackFrame, StackTrace};
use kdive_target::{OpenOptions, open, open_process};

fn compile(directory: &Path, source: &str, flags: &[&str]) -> PathBuf {
    std::fs::write(directory.join("program.c"), source).unwrap();
    let output = Command::new("gcc")
        .current_dir(directory)
        .args(["-g", "-o", "program", "program.c"])
        .args(flags)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    directory.join("program")
}

/// The program as it is when a signal ends it.
fn dumped(directory: &Path, source: &str, flags: &[&str]) -> Arc<Program> {
    let path = compile(directory, source, flags);
    let core = directory.join("core");
    let output = Command::new("gdb")
        .args([
            "-nx",
            "-batch",
            "-iex",
            "set debuginfod enabled off",
            "-ex",
            "run",
        ])
        .arg("-ex")
        .arg(format!("generate-core-file {}", core.display()))
        .arg(&path)
        .output()
        .unwrap();
    assert!(core.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    let program = Program::new(None);
    program
        .set_target(open(&core, &OpenOptions::default()).unwrap())
        .unwrap();
    program.load_debug_info(&[path], true, false).unwrap();
    program
}

fn functions(trace: &StackTrace) -> Vec<String> {
    trace.frames().map(|frame| frame.name().unwrap()).collect()
}

fn named(trace: &StackTrace, name: &str) -> StackFrame {
    trace
        .frames()
        .find(|frame| frame.function_name() == Some(name))
        .unwrap_or_else(|| panic!("no {name} in\n{trace}"))
}

fn number(frame: &StackFrame, name: &str) -> i64 {
    let object = frame.object(name).unwrap();
    if let Some(reason) = frame.why_absent(name).unwrap() {
        panic!("{name} of {frame}: {reason}");
    }
    object.number().unwrap().to_bits() as i64
}

const NESTED: &str = r"
static inline __attribute__((always_inline)) int fail(int code) {
    int doubled = code * 2;
    volatile int kept = doubled;
    return *(volatile int *)(long)(kept - 42);
}
__attribute__((noinline)) int inner(int first, int second) {
    int sum = first + second;
    {
        int sum = 21;
        return fail(sum) + first;
    }
}
int global = 99;
int main(int argc, char **argv) { int local = 30; return inner(argc, local) + local; }
";

#[test]
fn inlined_frames_blocks_lines_and_variables() {
    let directory = tempfile::tempdir().unwrap();
    let program = dumped(directory.path(), NESTED, &["-O0"]);
    let trace = program.crashed_thread().unwrap().stack_trace().unwrap();
    assert_eq!(functions(&trace)[..3], ["fail", "inner", "main"]);
    let frames: Vec<StackFrame> = trace.frames().take(3).collect();

    assert!(frames[0].is_inline() && frames[0].is_interrupted());
    assert_eq!(frames[0].locals().unwrap(), ["code", "doubled", "kept"]);
    assert_eq!(number(&frames[0], "doubled"), 42);
    assert_eq!(frames[0].source().unwrap().unwrap().line, 5);

    assert!(!frames[1].is_inline());
    assert_eq!(frames[1].pc(), frames[0].pc());
    assert_eq!(frames[1].source().unwrap().unwrap().line, 11);
    assert_eq!(
        frames[1].locals().unwrap(),
        ["first", "second", "sum", "sum"]
    );
    // The innermost block's variable is the one that is seen.
    assert_eq!(number(&frames[1], "sum"), 21);
    assert_eq!(number(&frames[1], "second"), 30);
    assert_eq!(
        frames[1].symbol().unwrap().unwrap().name.to_string(),
        "inner"
    );

    assert_eq!(number(&frames[2], "global"), 99);
    assert!(frames[2].contains("global").unwrap() && !frames[2].contains("nothing").unwrap());
    assert!(matches!(
        frames[2].object("nothing"),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(frames[2].register("r99"), Err(Error::Value(_))));
    assert!(frames[2].register("rsp").unwrap().unwrap() > frames[1].sp().unwrap());

    let lines: Vec<String> = trace.to_string().lines().map(str::to_owned).collect();
    let file = directory.path().join("program.c");
    assert_eq!(lines[2], format!("#2  main ({}:15:58)", file.display()));
    let text = frames[0].to_string();
    assert!(
        text.starts_with("#0 at 0x") && text.ends_with("program.c:5:12 (inlined)"),
        "{text}"
    );
    assert!(
        text.contains(" (inner+0x") && text.contains(") in fail at "),
        "{text}"
    );
}

#[test]
fn values_at_the_entry_come_from_the_call() {
    let source = r"
        struct pair { long low, high; };
        volatile long sink;
        __attribute__((noipa)) long last(long value, struct pair pair) {
            sink = *(volatile long *)value;
            sink = pair.low;
            return sink = pair.high;
        }
        __attribute__((noipa)) long middle(long kept, long lost) {
            struct pair pair = {kept + 3, lost};
            sink = lost;
            return last(kept, pair) + 1;
        }
        int main(void) { return middle(2, 77) > 3; }
    ";
    let directory = tempfile::tempdir().unwrap();
    let program = dumped(directory.path(), source, &["-O2"]);
    let trace = program.crashed_thread().unwrap().stack_trace().unwrap();
    assert_eq!(functions(&trace)[..3], ["last", "middle", "main"]);
    let last = trace.frame(0).unwrap();
    assert_eq!(number(&last, "value"), 2);
    // One part is in each of two registers.
    let pair = last.object("pair").unwrap();
    let member = |name| pair.member(name).unwrap().number().unwrap().to_bits();
    assert_eq!((member("low"), member("high")), (5, 77));
    // The registers that these came in have other values now.
    let middle = trace.frame(1).unwrap();
    assert_eq!(number(&middle, "kept"), 2);
    assert_eq!(number(&middle, "lost"), 77);
}

#[test]
fn absent_variables_say_why() {
    let source = r"
        #include <stdlib.h>
        volatile int sink;
        __attribute__((noinline)) void stop(void) { abort(); }
        __attribute__((noinline)) int work(int gone) {
            int square = gone * gone;
            sink = square;
            stop();
            return 1;
        }
        int (*volatile indirect)(int) = work;
        int main(int argc, char **argv) { return indirect(sink + 3); }
    ";
    let directory = tempfile::tempdir().unwrap();
    let program = dumped(directory.path(), source, &["-O2"]);
    let trace = program.crashed_thread().unwrap().stack_trace().unwrap();
    let work = named(&trace, "work");
    assert!(work.object("gone").unwrap().absence_reason().is_some());
    assert_eq!(
        work.why_absent("gone").unwrap().unwrap(),
        "its value at the function's entry is not known"
    );
    assert_eq!(work.why_absent("nothing").unwrap(), None);
}

#[test]
fn threads_of_a_dump() {
    let directory = tempfile::tempdir().unwrap();
    let program = dumped(directory.path(), NESTED, &["-O0"]);
    let threads = program.threads().unwrap();
    assert_eq!(threads.len(), 1);
    let main = program.main_thread().unwrap();
    assert_eq!(main.tid(), threads[0].tid());
    assert_eq!(main.name().unwrap().as_deref(), Some("program"));
    assert!(matches!(main.object(), Err(Error::Value(_))));
    assert_eq!(
        program.stack_trace_of_thread(main.tid()).unwrap().len(),
        main.stack_trace().unwrap().len()
    );
    let missing = program.thread(main.tid() + 1).map(|_| ()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!("thread with ID {} not found", main.tid() + 1)
    );
}

#[test]
fn program_counters_alone() {
    let directory = tempfile::tempdir().unwrap();
    let program = dumped(directory.path(), NESTED, &["-O0"]);
    let trace = program.crashed_thread().unwrap().stack_trace().unwrap();
    let main = named(&trace, "main");
    let trace = program.stack_trace_from_pcs(&[main.pc(), 0x1234]).unwrap();
    assert_eq!(functions(&trace), ["main", "0x1234"]);
    let frame = trace.frame(0).unwrap();
    assert!(!frame.is_interrupted());
    assert_eq!((frame.sp(), frame.registers().len()), (None, 0));
    assert!(frame.object("local").unwrap().absence_reason().is_some());
}

#[test]
fn stacks_in_a_log() {
    let directory = tempfile::tempdir().unwrap();
    let program = dumped(directory.path(), NESTED, &["-O0"]);
    let trace = program.crashed_thread().unwrap().stack_trace().unwrap();
    let line = |name| {
        let frame = named(&trace, name);
        let symbol = frame.symbol().unwrap().unwrap();
        let offset = frame.pc() - symbol.address;
        format!("{}+{offset:#x}/{:#x}", symbol.name, symbol.size)
    };
    let log = format!(
        "[1.0] RIP: 0010:{}\n[1.0] Call Trace:\n[1.0]  ? {}\n[1.0]  {}\n[1.0]  gone+0x1/0x2 [m]\n",
        line("inner"),
        line("inner"),
        line("main")
    );
    let stacks = program.stack_traces_in_log(&log).unwrap();
    assert_eq!(stacks.len(), 1);
    assert_eq!(stacks[0].line, 0);
    assert_eq!(functions(&stacks[0].trace), ["fail", "inner", "main"]);
    assert_eq!(stacks[0].unresolved, ["gone+0x1"]);
    let frame = stacks[0].trace.frame(0).unwrap();
    assert!(frame.is_interrupted());
    assert_eq!(frame.source().unwrap().unwrap().line, 5);
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn threads_of_a_running_process() {
    let source = r#"
        #include <pthread.h>
        #include <stdio.h>
        #include <unistd.h>
        volatile int go_on;
        __attribute__((noinline)) int wait_here(int number) { for (;;) pause(); return number; }
        static void *start(void *argument) { return (void *)(long)wait_here(*(int *)argument); }
        int main(void) {
            int numbers[] = {11, 22};
            pthread_t threads[2];
            for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, start, &numbers[i]);
            puts("ready");
            fflush(stdout);
            return wait_here(33);
        }
    "#;
    let directory = tempfile::tempdir().unwrap();
    let path = compile(directory.path(), source, &["-O0", "-pthread"]);
    let mut child = Running(Command::new(&path).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let program = Program::new(None);
    program
        .set_target(open_process(child.0.id(), &OpenOptions::default()).unwrap())
        .unwrap();
    program.load_debug_info(&[path], true, false).unwrap();
    let threads = program.threads().unwrap();
    assert_eq!(threads.len(), 3);
    assert_eq!(threads[0].name().unwrap().as_deref(), Some("program"));
    let mut numbers: Vec<i64> = threads
        .iter()
        .map(|thread| {
            // A thread may not have reached its place yet.
            for _ in 0..100 {
                let trace = thread.stack_trace().unwrap();
                let there = trace
                    .frames()
                    .find(|frame| frame.function_name() == Some("wait_here"));
                if let Some(frame) = there {
                    return number(&frame, "number");
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            panic!("thread {} does not wait", thread.tid());
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [11, 22, 33]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.0.id())).unwrap();
    assert!(
        status.contains("State:\tS") && status.contains("TracerPid:\t0"),
        "{status}"
    );
}
