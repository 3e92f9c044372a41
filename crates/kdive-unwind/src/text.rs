//! Stacks that are only text: oopses, warnings and hung-task reports of the kernel's log, and
//! `/proc/PID/stack`.
//!
//! Here lines become [`TextFrame`]s; resolving their symbols to addresses is the engine's.

/// One frame that a line of the kernel's log names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFrame<'a> {
    /// The function's symbol.
    pub symbol: &'a str,
    /// The offset of the program counter in the function.
    pub offset: u64,
    /// The size of the function, which tells functions of the same name apart.
    pub size: Option<u64>,
    /// The module that the function is in, unless it is the kernel itself.
    pub module: Option<&'a str>,
    /// The module's build ID, which Linux 5.15 and later can print (`CONFIG_STACKTRACE_BUILD_ID`).
    pub build_id: Option<&'a str>,
    /// Whether the kernel's unwinder vouches for the frame. Frames marked `?` were only found on
    /// the stack.
    pub is_reliable: bool,
    /// Whether the line gives the program counter (`RIP:`, `pc :`), which is exact, rather than
    /// where a call returns to.
    pub is_program_counter: bool,
    /// The stack that the frame is on, if the trace says so: `IRQ`, `NMI`, `TASK` and the like.
    pub stack: Option<&'a str>,
}

/// The frames of one call trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextStack<'a> {
    /// The number of the line where it begins, from 0.
    pub line: usize,
    /// The frames, innermost first. The line of the program counter comes first.
    pub frames: Vec<TextFrame<'a>>,
}

/// Finds the stacks in a kernel log, with or without time stamps, levels or callers in front of
/// each line.
///
/// ```
/// let log = "\
/// [   12.3] RIP: 0010:sysrq_handle_crash+0x16/0x20
/// [   12.3] Call Trace:
/// [   12.3]  <TASK>
/// [   12.3]  ? die+0x36/0x90
/// [   12.3]  btrfs_sync_file+0x9a/0x4f0 [btrfs]
/// [   12.3]  </TASK>
/// ";
/// let stacks = kdive_unwind::text::stacks(log);
/// let frames = &stacks[0].frames;
/// assert_eq!((frames[0].symbol, frames[0].offset), ("sysrq_handle_crash", 0x16));
/// assert!(frames[0].is_program_counter);
/// assert!(!frames[1].is_reliable);
/// assert_eq!(frames[2].module, Some("btrfs"));
/// ```
pub fn stacks(log: &str) -> Vec<TextStack<'_>> {
    let mut stacks = Vec::new();
    let mut collector = Collector::default();
    for (number, line) in log.lines().enumerate() {
        collector.line(number, without_prefix(line), &mut stacks);
    }
    collector.finish(&mut stacks);
    stacks
}

/// Reads one line of a call trace: `func+0xoff/0xsize [module]`, behind `?`, an address in
/// brackets, or `RIP: 0010:`.
pub fn frame(line: &str) -> Option<TextFrame<'_>> {
    let line = without_prefix(line);
    let (line, is_program_counter) =
        program_counter(line).map_or((line, false), |rest| (rest, true));
    let (line, is_reliable) = match line.strip_prefix("? ") {
        Some(rest) => (rest.trim_start(), false),
        None => (line, true),
    };
    let mut words = line.split_whitespace().peekable();
    // Kernels before Linux 4.10 print `[<ffffffff81000000>] ? func+0x1/0x2`.
    words.next_if(|word| word.starts_with("[<") && word.ends_with(">]"));
    let is_reliable = words.next_if_eq(&"?").is_none() && is_reliable;
    let (symbol, place) = words.next()?.rsplit_once("+0x")?;
    let (offset, size) = match place.split_once("/0x") {
        Some((offset, size)) => (offset, Some(u64::from_str_radix(size, 16).ok()?)),
        None => (place, None),
    };
    let offset = u64::from_str_radix(offset, 16).ok()?;
    let is_symbol = symbol
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.$@:<>".contains(&byte));
    if symbol.is_empty() || !is_symbol {
        return None;
    }
    let (module, build_id) = module(words);
    Some(TextFrame {
        symbol,
        offset,
        size,
        module,
        build_id,
        is_reliable,
        is_program_counter,
        stack: None,
    })
}

/// `[module]`, `[module build-id]` or `[module(OE) build-id]`; taints of the module may follow
/// its name.
fn module<'a>(mut words: impl Iterator<Item = &'a str>) -> (Option<&'a str>, Option<&'a str>) {
    let Some(first) = words.next().and_then(|word| word.strip_prefix('[')) else {
        return (None, None);
    };
    let name = |word: &'a str| word.split('(').next().filter(|name| !name.is_empty());
    if let Some(word) = first.strip_suffix(']') {
        return (name(word), None);
    }
    let build_id = words
        .next()
        .and_then(|word| word.strip_suffix(']'))
        .filter(|id| id.len() >= 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    (name(first), build_id)
}

/// What follows `RIP: 0010:` (x86) or `pc : ` (`AArch64`).
fn program_counter(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("pc : ") {
        return Some(rest.trim_start());
    }
    let rest = line.strip_prefix("RIP: ")?;
    let (segment, rest) = rest.split_once(':')?;
    segment
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| rest.trim_start())
}

/// A line without what `dmesg`, the console and syslog put in front: `<4>`, `[ 12.345678]`,
/// `[ T123]`, or a date, a host and `kernel:`.
fn without_prefix(line: &str) -> &str {
    let mut rest = line.trim();
    if let Some((_, after)) = rest.split_once(" kernel: ") {
        rest = after.trim_start();
    }
    loop {
        let bracketed = |open: char, close: char| {
            let (inside, after) = rest.strip_prefix(open)?.split_once(close)?;
            let is_prefix = !inside.is_empty()
                && inside
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b" .TC".contains(&byte));
            is_prefix.then(|| after.trim_start())
        };
        match bracketed('[', ']').or_else(|| bracketed('<', '>')) {
            Some(after) => rest = after,
            None => return rest,
        }
    }
}

/// Puts lines together: the program counter comes some lines before its trace.
#[derive(Default)]
struct Collector<'a> {
    program_counter: Option<(usize, TextFrame<'a>)>,
    current: Option<TextStack<'a>>,
    stack: Option<&'a str>,
    entered: Vec<&'a str>,
}

impl<'a> Collector<'a> {
    fn line(&mut self, number: usize, line: &'a str, stacks: &mut Vec<TextStack<'a>>) {
        let heading = line.trim_end_matches(':');
        if heading.eq_ignore_ascii_case("call trace") || heading == "Backtrace" {
            self.finish(stacks);
            let mut stack = TextStack {
                line: number,
                frames: Vec::new(),
            };
            if let Some((first, frame)) = self.program_counter.take() {
                stack.line = first;
                stack.frames.push(frame);
            }
            self.current = Some(stack);
            return;
        }
        if let Some(name) = marker(line) {
            match name.strip_prefix('/') {
                Some(_) => {
                    self.entered.pop();
                }
                None => self.entered.push(name),
            }
            self.stack = self.entered.last().copied();
            return;
        }
        match frame(line) {
            Some(frame) => match &mut self.current {
                Some(current) => current.frames.push(TextFrame {
                    stack: self.stack,
                    ..frame
                }),
                None if frame.is_program_counter => self.program_counter = Some((number, frame)),
                // `/proc/PID/stack` has no heading.
                None if line.starts_with("[<") => {
                    self.current = Some(TextStack {
                        line: number,
                        frames: vec![frame],
                    });
                }
                None => {}
            },
            None => {
                // Registers and code of an interrupted frame come within a trace.
                if !is_within_trace(line) {
                    self.finish(stacks);
                }
            }
        }
    }

    fn finish(&mut self, stacks: &mut Vec<TextStack<'a>>) {
        self.stack = None;
        self.entered.clear();
        if let Some(stack) = self.current.take().filter(|stack| !stack.frames.is_empty()) {
            stacks.push(stack);
        }
    }
}

/// `<IRQ>` and `</IRQ>`.
fn marker(line: &str) -> Option<&str> {
    let name = line.strip_prefix('<')?.strip_suffix('>')?;
    let letters = name.strip_prefix('/').unwrap_or(name);
    (!letters.is_empty()
        && letters
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'#'))
    .then_some(name)
}

/// Lines that the kernel prints inside of a call trace, where an interrupt's registers are shown.
fn is_within_trace(line: &str) -> bool {
    const REGISTERS: [&str; 12] = [
        "RIP: ",
        "RSP: ",
        "RAX: ",
        "RDX: ",
        "RBP: ",
        "R10: ",
        "R13: ",
        "Code: ",
        "FS: ",
        "CS: ",
        "CR2: ",
        "ORIG_RAX: ",
    ];
    REGISTERS.iter().any(|register| line.starts_with(register))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols<'a>(stack: &TextStack<'a>) -> Vec<&'a str> {
        stack.frames.iter().map(|frame| frame.symbol).collect()
    }

    #[test]
    fn the_stack_of_a_process_in_proc() {
        let text =
            "$ cat /proc/7/stack\n[<0>] lab_want+0x1d/0x30 [lab]\n[<0>] kthread+0xda/0x100\n$\n";
        let stacks = stacks(text);
        assert_eq!(stacks.len(), 1);
        assert_eq!(stacks[0].line, 1);
        assert_eq!(symbols(&stacks[0]), ["lab_want", "kthread"]);
        assert_eq!(stacks[0].frames[0].module, Some("lab"));
    }

    #[test]
    fn lines_of_all_ages() {
        let new = frame(
            "[  123.456789] [ T4242]  ext4_sync_file+0x1bf/0x2d0 [ext4 0123456789abcdef0123]",
        )
        .unwrap();
        assert_eq!(
            new,
            TextFrame {
                symbol: "ext4_sync_file",
                offset: 0x1bf,
                size: Some(0x2d0),
                module: Some("ext4"),
                build_id: Some("0123456789abcdef0123"),
                is_reliable: true,
                is_program_counter: false,
                stack: None,
            }
        );
        let old = frame("<4>[   12.3]  [<ffffffff8108b2c4>] ? kthread+0xd4/0xe0").unwrap();
        assert_eq!((old.symbol, old.is_reliable), ("kthread", false));
        let syslog = frame("Nov 22 03:00:01 host kernel: [99.1]  do_syscall_64+0x5d/0x90").unwrap();
        assert_eq!(syslog.symbol, "do_syscall_64");
        let tainted = frame(" evil_ioctl.constprop.0+0x10/0x20 [evil(OE)]").unwrap();
        assert_eq!(
            (tainted.symbol, tainted.module),
            ("evil_ioctl.constprop.0", Some("evil"))
        );
        let arm = frame("pc : el1_abort+0x24/0x60").unwrap();
        assert!(arm.is_program_counter);
        for other in [
            "Hardware name: QEMU Standard PC",
            "RIP: 0033:0x7f0000001234",
            "RAX: ffffffffffffffda RBX: 0000000000000001",
            "a+0xzz/0x10",
            "+0x1/0x2",
            "Kernel Offset: 0x1a000000 from 0xffffffff81000000",
            "",
        ] {
            assert_eq!(frame(other), None, "{other}");
        }
    }

    #[test]
    fn an_oops_with_an_interrupt() {
        let log = "\
[    9.1] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    9.1] RIP: 0010:timer_callback+0x5/0x10 [lab]
[    9.1] Code: 0f 1f 44 00 00
[    9.1] RSP: 0018:ffffc90000003f10 EFLAGS: 00010246
[    9.1] Call Trace:
[    9.1]  <IRQ>
[    9.1]  ? __die+0x1f/0x70
[    9.1]  call_timer_fn+0x27/0x130
[    9.1]  </IRQ>
[    9.1]  <TASK>
[    9.1]  asm_sysvec_apic_timer_interrupt+0x16/0x20
[    9.1] RIP: 0010:default_idle+0xb/0x20
[    9.1] RSP: 0018:ffffffff82603e90 EFLAGS: 00000246
[    9.1]  default_idle_call+0x38/0xf0
[    9.1]  </TASK>
[    9.1] Modules linked in: lab(OE)
";
        let stacks = stacks(log);
        assert_eq!(stacks.len(), 1);
        assert_eq!(stacks[0].line, 1);
        assert_eq!(
            symbols(&stacks[0]),
            [
                "timer_callback",
                "__die",
                "call_timer_fn",
                "asm_sysvec_apic_timer_interrupt",
                "default_idle",
                "default_idle_call"
            ]
        );
        let stack_of: Vec<_> = stacks[0].frames.iter().map(|frame| frame.stack).collect();
        assert_eq!(
            stack_of,
            [
                None,
                Some("IRQ"),
                Some("IRQ"),
                Some("TASK"),
                Some("TASK"),
                Some("TASK")
            ]
        );
        assert!(stacks[0].frames[4].is_program_counter);
    }

    #[test]
    fn traces_of_hung_tasks_are_kept_apart() {
        let log = "\
INFO: task a:1 blocked for more than 120 seconds.
Call Trace:
 <TASK>
 __schedule+0x34d/0x9e0
 schedule+0x5a/0xd0
 </TASK>
INFO: task b:2 blocked for more than 120 seconds.
Call Trace:
 __schedule+0x34d/0x9e0
 io_schedule+0x42/0x70
Showing all locks held in the system:
 not_a_frame_of_a_trace+0x1/0x2
";
        let stacks = stacks(log);
        assert_eq!(
            stacks.iter().map(symbols).collect::<Vec<_>>(),
            [["__schedule", "schedule"], ["__schedule", "io_schedule"]]
        );
    }
}
