//! x86-64 kernels: ORC's kinds of rows, stack switches, frame pointers, bad calls.

use kdive_unwind::table::{OrcSections, OrcVersion, TableBuilder};
use kdive_unwind::{Architecture, End, How, Register, Stack, UnwindOptions, Unwinder};

use crate::memory::{Code, Words};

const TEXT: u64 = 0xffff_ffff_8100_0000;
const STACK: u64 = 0xffff_c900_0000_0000;
const IRQ_STACK: u64 = 0xffff_c900_0010_0000;

const KERNEL_CS: u64 = 0x10;
const USER_CS: u64 = 0x33;

fn architecture() -> &'static Architecture {
    Architecture::of(kdive_target::Architecture::X86_64).unwrap()
}

fn register(name: &str) -> Register {
    architecture().by_name(name).unwrap()
}

/// An ORC entry of version 3: offsets, registers and type.
struct Row {
    offset: u64,
    sp_offset: i16,
    bp_offset: i16,
    sp: u8,
    bp: u8,
    kind: u8,
}

const UNDEFINED: u8 = 0;
const PREV_SP: u8 = 1;
const BP: u8 = 4;
const SP: u8 = 5;
const SP_INDIRECT: u8 = 9;

const END: u8 = 1;
const CALL: u8 = 2;
const REGS: u8 = 3;
const REGS_PARTIAL: u8 = 4;

fn row(offset: u64, kind: u8, sp: u8, sp_offset: i16) -> Row {
    Row {
        offset,
        sp_offset,
        bp_offset: 0,
        sp,
        bp: UNDEFINED,
        kind,
    }
}

/// The kernel's code with these rows.
fn code(rows: &[Row]) -> Code {
    let range = TEXT..TEXT + 0x10000;
    let ips_address = TEXT + 0x20000;
    let mut ips = Vec::new();
    let mut entries = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let place = ips_address + 4 * index as u64;
        let distance = (TEXT + row.offset).wrapping_sub(place) as i32;
        ips.extend(distance.to_le_bytes());
        entries.extend(row.sp_offset.to_le_bytes());
        entries.extend(row.bp_offset.to_le_bytes());
        entries.extend([row.bp << 4 | row.sp, row.kind]);
    }
    let mut builder = TableBuilder::new(architecture(), range.clone());
    builder.add_orc(OrcSections {
        ips: &ips,
        ips_address,
        entries: &entries,
        version: OrcVersion::V3,
    });
    assert!(builder.problems().is_empty());
    Code {
        range,
        table: Some(builder.build().unwrap()),
    }
}

fn unwind(memory: &Words, code: &Code, pc: u64, sp: u64, others: &[(Register, u64)]) -> Stack {
    let options = UnwindOptions {
        is_kernel: true,
        ..UnwindOptions::default()
    };
    let registers = architecture().inactive_task(pc, sp, others);
    Unwinder::new(architecture(), memory, code, options).unwind(&registers, true)
}

fn pcs(stack: &Stack) -> Vec<u64> {
    stack.frames.iter().map(|frame| frame.pc).collect()
}

/// `struct pt_regs` with all registers 0 but these.
fn pt_regs(bp: u64, ip: u64, cs: u64, sp: u64) -> [u64; 21] {
    let mut regs = [0; 21];
    (regs[4], regs[16], regs[17], regs[19]) = (bp, ip, cs, sp);
    regs
}

#[test]
fn an_interrupt_on_its_own_stack() {
    // 0x0: the handler, on the interrupt stack; 0x100: the entry code that switched to it;
    // 0x200: the entry with saved registers; 0x300: the interrupted function; 0x400: the end.
    let code = code(&[
        row(0x0, CALL, SP, 16),
        row(0x100, CALL, SP_INDIRECT, 8),
        row(0x200, REGS, SP, 0),
        Row {
            bp: PREV_SP,
            bp_offset: -16,
            ..row(0x300, CALL, BP, 16)
        },
        row(0x400, END, UNDEFINED, 0),
    ]);
    let mut memory = Words::default();
    // The handler's frame returns to the entry code; the top of the interrupt stack has the
    // stack pointer from before.
    memory.set(IRQ_STACK, &[0, TEXT + 0x110, STACK]);
    // Entry code's own return address, and the registers of what was interrupted.
    memory.set(STACK, &[TEXT + 0x210]);
    memory.set(
        STACK + 8,
        &pt_regs(STACK + 0x200, TEXT + 0x305, KERNEL_CS, STACK + 0x1f0),
    );
    memory.set(STACK + 0x200, &[0x77, TEXT + 0x410]);
    let stack = unwind(&memory, &code, TEXT + 5, IRQ_STACK, &[]);
    assert_eq!(
        pcs(&stack),
        [5, 0x110, 0x210, 0x305, 0x410].map(|offset| TEXT + offset)
    );
    assert_eq!(stack.end, End::Bottom);
    let interrupted: Vec<bool> = stack
        .frames
        .iter()
        .map(|frame| frame.is_interrupted)
        .collect();
    assert_eq!(interrupted, [true, false, false, true, false]);
    assert!(stack.frames.iter().all(|frame| !frame.is_guess));
    let last = &stack.frames[4];
    assert_eq!(last.registers.get(register("rbp")), Some(0x77));
    assert_eq!(last.registers.get(register("rsp")), Some(STACK + 0x210));
}

#[test]
fn entries_from_user_mode_end_the_stack() {
    for (kind, saved) in [
        (REGS, pt_regs(0, 0x40_0000, USER_CS, 0x7fff_0000).to_vec()),
        (REGS_PARTIAL, vec![0x40_0000, USER_CS, 0, 0x7fff_0000, 0x2b]),
    ] {
        let code = code(&[row(0x0, CALL, SP, 8), row(0x100, kind, SP, 0)]);
        let mut memory = Words::default();
        memory.set(STACK, &[TEXT + 0x110]);
        memory.set(STACK + 8, &saved);
        let stack = unwind(&memory, &code, TEXT, STACK, &[]);
        assert_eq!(pcs(&stack), [TEXT, TEXT + 0x110]);
        assert_eq!(stack.end, End::UserMode);
    }
}

#[test]
fn a_jump_to_null_leads_to_the_caller() {
    let code = code(&[row(0x0, CALL, SP, 16), row(0x400, END, UNDEFINED, 0)]);
    let mut memory = Words::default();
    memory.set(STACK, &[TEXT + 0x10, 0, TEXT + 0x410]);
    let stack = unwind(&memory, &code, 0, STACK, &[(register("cs"), KERNEL_CS)]);
    assert_eq!(pcs(&stack), [0, TEXT + 0x10, TEXT + 0x410]);
    assert_eq!(stack.frames[1].how, How::BadCall);
    assert!(!stack.frames[0].is_guess && stack.frames[1].is_guess && stack.frames[2].is_guess);
    assert_eq!(stack.end, End::Bottom);
}

#[test]
fn generated_code_is_followed_by_its_frame_pointer() {
    // A BPF program is in no module; its caller is.
    let bpf = 0xffff_ffff_c000_0000;
    let code = code(&[row(0x0, CALL, SP, 8), row(0x400, END, UNDEFINED, 0)]);
    let mut memory = Words::default();
    memory.set(bpf, &[0x9090_9090]);
    memory.set(STACK, &[bpf + 4]);
    memory.set(STACK + 0x40, &[0x55, TEXT + 0x410]);
    let stack = unwind(
        &memory,
        &code,
        TEXT + 2,
        STACK,
        &[(register("rbp"), STACK + 0x40)],
    );
    assert_eq!(pcs(&stack), [TEXT + 2, bpf + 4, TEXT + 0x410]);
    assert_eq!(stack.frames[2].how, How::FramePointer);
    assert!(!stack.frames[1].is_guess && stack.frames[2].is_guess);
}

#[test]
fn kernels_with_frame_pointers_mark_saved_registers() {
    let code = Code {
        range: TEXT..TEXT + 0x10000,
        table: None,
    };
    let mut memory = Words::default();
    memory.set(STACK + 0x20, &[(STACK + 0x100) | 1, TEXT + 0x200]);
    memory.set(
        STACK + 0x100,
        &pt_regs(STACK + 0x300, TEXT + 0x500, KERNEL_CS, STACK + 0x2f0),
    );
    memory.set(STACK + 0x300, &[0, TEXT + 0x600]);
    let stack = unwind(
        &memory,
        &code,
        TEXT,
        STACK,
        &[(register("rbp"), STACK + 0x20)],
    );
    assert_eq!(
        pcs(&stack)[..4],
        [0, 0x200, 0x500, 0x600].map(|offset| TEXT + offset)
    );
    assert_eq!(stack.frames[2].how, How::SavedRegisters);
    assert!(stack.frames[2].is_interrupted);
}

#[test]
fn an_odd_frame_pointer_is_not_taken_for_saved_registers() {
    let code = Code {
        range: TEXT..TEXT + 0x10000,
        table: None,
    };
    let mut memory = Words::default();
    // Neither the privilege level nor the program counter make sense.
    memory.set(STACK + 0x100, &pt_regs(0, 0x1234_5678_0000_0000, 0, 1));
    let stack = unwind(
        &memory,
        &code,
        TEXT,
        STACK,
        &[(register("rbp"), (STACK + 0x100) | 1)],
    );
    assert_eq!(pcs(&stack), [TEXT]);
    assert_eq!(stack.end, End::NoInformation);
}

#[test]
fn return_addresses_outside_of_the_kernel_end_the_stack() {
    let code = code(&[row(0x0, CALL, SP, 8)]);
    let mut memory = Words::default();
    memory.set(STACK, &[0x1234]);
    let stack = unwind(&memory, &code, TEXT, STACK, &[]);
    assert_eq!(stack.end, End::BadReturnAddress(0x1234));
    let stack = unwind(&Words::default(), &code, TEXT, STACK, &[]);
    assert_eq!(stack.end, End::Fault(STACK));
}

#[test]
fn two_stacks_that_lead_to_each_other_end() {
    let code = code(&[row(0x0, CALL, SP_INDIRECT, 8)]);
    let mut memory = Words::default();
    // Each stack's top word is the other stack's pointer, its return address the same code.
    memory.set(STACK, &[TEXT + 0x10, IRQ_STACK]);
    memory.set(STACK + 8, &[IRQ_STACK]);
    memory.set(IRQ_STACK, &[TEXT + 0x10, STACK]);
    memory.set(IRQ_STACK + 8, &[STACK]);
    let stack = unwind(&memory, &code, TEXT + 2, STACK + 8, &[]);
    assert_eq!(stack.end, End::Loop);
    assert!(stack.frames.len() < 10);
}
