//! `AArch64` kernels: records of frame pointers, authentication codes, interrupted functions.

use kdive_unwind::arch::aarch64::{FP, LR, PC, PSTATE, SP};
use kdive_unwind::{Architecture, End, How, Stack, UnwindOptions, Unwinder};

use crate::memory::{Code, Words};

const TEXT: u64 = 0xffff_8000_1000_0000;
const STACK: u64 = 0xffff_8000_8000_0000;
const PAC_MASK: u64 = 0xff7f_0000_0000_0000;
const EL1H: u64 = 5;

fn unwind(memory: &Words, pc: u64, sp: u64, fp: u64, is_interrupted: bool) -> Stack {
    let architecture = Architecture::of(kdive_target::Architecture::Aarch64).unwrap();
    let code = Code {
        range: TEXT..TEXT + 0x10000,
        table: None,
    };
    let options = UnwindOptions {
        is_kernel: true,
        pac_mask: PAC_MASK,
        ..UnwindOptions::default()
    };
    let registers = architecture.inactive_task(pc, sp, &[(FP, fp)]);
    Unwinder::new(architecture, memory, &code, options).unwind(&registers, is_interrupted)
}

fn pcs(stack: &Stack) -> Vec<u64> {
    stack.frames.iter().map(|frame| frame.pc).collect()
}

/// A return address with an authentication code.
fn signed(offset: u64) -> u64 {
    (TEXT + offset) & !PAC_MASK | 0x2a5a_0000_0000_0000
}

#[test]
fn a_sleeping_task() {
    let mut memory = Words::default();
    memory.set(STACK, &[STACK + 0x40, signed(0x104)]);
    memory.set(STACK + 0x40, &[STACK + 0x80, signed(0x208)]);
    memory.set(STACK + 0x80, &[0, 0, 0]);
    let stack = unwind(&memory, TEXT + 4, STACK, STACK, false);
    assert_eq!(pcs(&stack), [4, 0x104, 0x208].map(|offset| TEXT + offset));
    assert_eq!(stack.end, End::Bottom);
    assert!(stack.frames.iter().all(|frame| !frame.is_guess));
}

#[test]
fn frames_of_interrupted_functions_are_guesses() {
    let mut memory = Words::default();
    memory.set(STACK, &[STACK + 0x40, signed(0x104)]);
    memory.set(STACK + 0x40, &[0, 0, 0]);
    let stack = unwind(&memory, TEXT + 4, STACK, STACK, true);
    assert_eq!(pcs(&stack), [TEXT + 4, TEXT + 0x104]);
    assert!(stack.frames[1].is_guess);
}

/// Registers of an interrupted function, as `struct pt_regs` has them.
fn saved(memory: &mut Words, regs: u64, fp: u64, pc: u64) {
    let mut words = [0; 34];
    words[usize::from(FP.0)] = fp;
    words[usize::from(LR.0)] = 0x1eaf;
    words[usize::from(SP.0)] = STACK + 0x800;
    words[usize::from(PC.0)] = pc;
    words[usize::from(PSTATE.0)] = EL1H;
    memory.set(regs, &words);
}

#[test]
fn an_interrupt_before_linux_6_13() {
    let regs = STACK + 0x100;
    let record = regs + 304;
    let mut memory = Words::default();
    memory.set(STACK, &[record, signed(0x104)]);
    saved(&mut memory, regs, STACK + 0x800, TEXT + 0x300);
    memory.set(record, &[STACK + 0x800, TEXT + 0x300]);
    memory.set(STACK + 0x800, &[0, 0, 0]);
    let stack = unwind(&memory, TEXT + 4, STACK, STACK, false);
    assert_eq!(pcs(&stack), [4, 0x104, 0x300].map(|offset| TEXT + offset));
    assert_eq!(stack.frames[2].how, How::SavedRegisters);
    assert!(stack.frames[2].is_interrupted);
    assert_eq!(stack.frames[2].registers.get(LR), Some(0x1eaf));
    assert_eq!(stack.end, End::Bottom);
}

#[test]
fn an_interrupt_since_linux_6_13() {
    let regs = STACK + 0x100;
    let record = regs + 296;
    for (kind, expected, end) in [
        (2, &[4, 0x104, 0x300][..], End::Bottom),
        (1, &[4, 0x104], End::Bottom),
    ] {
        let mut memory = Words::default();
        memory.set(STACK, &[record, signed(0x104)]);
        saved(&mut memory, regs, STACK + 0x800, TEXT + 0x300);
        memory.set(record, &[0, 0, kind]);
        memory.set(STACK + 0x800, &[0, 0, 1]);
        let stack = unwind(&memory, TEXT + 4, STACK, STACK, false);
        let expected: Vec<u64> = expected.iter().map(|offset| TEXT + offset).collect();
        assert_eq!(pcs(&stack), expected);
        assert_eq!(stack.end, end);
    }
}

#[test]
fn records_that_lead_back_end() {
    let mut memory = Words::default();
    memory.set(STACK, &[STACK + 0x40, signed(0x104)]);
    memory.set(STACK + 0x40, &[STACK, signed(0x104)]);
    let stack = unwind(&memory, TEXT + 4, STACK, STACK, false);
    assert_eq!(stack.end, End::Loop);
    assert!(stack.frames.len() < 10);
}
