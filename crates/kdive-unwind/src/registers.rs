//! Values of registers, of which some may be unknown.

use std::fmt;

use crate::{Architecture, Error, Result};

/// A register of an [`Architecture`]: its index in
/// [`Architecture::registers`](crate::Architecture::registers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Register(pub u8);

/// Where a register is saved in a structure such as `struct pt_regs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterField {
    /// The register.
    pub register: Register,
    /// Its offset in bytes.
    pub offset: usize,
    /// Its size in bytes, up to 8; the rest of the register is zero.
    pub size: usize,
}

/// The values of the registers in one frame; those that can't be known are missing.
#[derive(Clone, Copy)]
pub struct Registers {
    /// One bit for each register; the values of the others mean nothing.
    known: u64,
    values: [u64; Registers::CAPACITY],
}

impl Registers {
    /// How many registers an architecture can have.
    pub const CAPACITY: usize = 40;

    /// No register is known.
    pub const fn new() -> Self {
        Self {
            known: 0,
            values: [0; Self::CAPACITY],
        }
    }

    /// The value of a register, if it is known.
    pub fn get(&self, register: Register) -> Option<u64> {
        self.values
            .get(usize::from(register.0))
            .copied()
            .filter(|_| self.known & bit(register) != 0)
    }

    /// Sets a register.
    pub fn set(&mut self, register: Register, value: u64) {
        if let Some(slot) = self.values.get_mut(usize::from(register.0)) {
            *slot = value;
            self.known |= bit(register);
        }
    }

    /// Makes a register unknown.
    pub fn forget(&mut self, register: Register) {
        self.known &= !bit(register);
    }

    /// The registers that are known, in the architecture's order, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Register, u64)> + '_ {
        (0..Self::CAPACITY as u8)
            .map(Register)
            .filter_map(|register| Some((register, self.get(register)?)))
    }

    /// Only those registers whose bits are set in `mask`.
    pub(crate) fn only(&self, mask: u64) -> Self {
        Self {
            known: self.known & mask,
            values: self.values,
        }
    }

    /// Those that functions preserve, as far as they are known.
    #[must_use]
    pub fn preserved(&self, architecture: &Architecture) -> Self {
        self.only(architecture.preserved)
    }

    /// Registers saved in `bytes` as `fields` describe, little-endian.
    pub fn from_fields(fields: &[RegisterField], bytes: &[u8]) -> Result<Self> {
        let mut registers = Self::new();
        for field in fields {
            let end = field.offset.saturating_add(field.size);
            let saved = bytes
                .get(field.offset..end)
                .ok_or_else(|| Error::RegisterNote {
                    expected: fields
                        .iter()
                        .map(|field| field.offset.saturating_add(field.size))
                        .max()
                        .unwrap_or(0),
                    actual: bytes.len(),
                })?;
            registers.set(field.register, little_endian(saved));
        }
        Ok(registers)
    }

    /// The registers with the architecture's names for them, for people.
    pub fn named<'a>(
        &'a self,
        architecture: &'a Architecture,
    ) -> impl Iterator<Item = (&'static str, u64)> + 'a {
        self.iter()
            .filter_map(|(register, value)| Some((architecture.name(register)?, value)))
    }
}

impl PartialEq for Registers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Registers {}

impl Default for Registers {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<(Register, u64)> for Registers {
    fn from_iter<T: IntoIterator<Item = (Register, u64)>>(pairs: T) -> Self {
        let mut registers = Self::new();
        for (register, value) in pairs {
            registers.set(register, value);
        }
        registers
    }
}

impl fmt::Debug for Registers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_map()
            .entries(
                self.iter()
                    .map(|(register, value)| (register.0, format_args!("{value:#x}").to_string())),
            )
            .finish()
    }
}

fn bit(register: Register) -> u64 {
    1_u64.checked_shl(u32::from(register.0)).unwrap_or(0)
}

/// The number in up to 8 bytes.
pub(crate) fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| (value << 8) | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_not_zero() {
        let mut registers = Registers::new();
        assert_eq!(registers.get(Register(7)), None);
        registers.set(Register(7), 0);
        assert_eq!(registers.get(Register(7)), Some(0));
        registers.forget(Register(7));
        assert_eq!(registers.get(Register(7)), None);
    }

    #[test]
    fn registers_out_of_range_are_unknown() {
        let mut registers = Registers::new();
        registers.set(Register(40), 1);
        registers.set(Register(255), 1);
        assert_eq!(registers.iter().count(), 0);
    }

    #[test]
    fn short_notes_are_refused() {
        let fields = [RegisterField {
            register: Register(3),
            offset: 4,
            size: 2,
        }];
        let registers = Registers::from_fields(&fields, &[0, 0, 0, 0, 0x34, 0x12]).unwrap();
        assert_eq!(registers.get(Register(3)), Some(0x1234));
        let error = Registers::from_fields(&fields, &[0; 5]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "register note of 5 bytes is too short: 6 bytes are needed"
        );
    }
}
