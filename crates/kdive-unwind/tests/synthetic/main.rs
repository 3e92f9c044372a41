//! Stacks of kernels, made word by word: what no program on this machine has.

mod aarch64;
mod memory;
mod x86_64;
