//! Compiles ORC, the unwind format of x86-64 kernels (`arch/x86/include/asm/orc_types.h`).

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::NO_RULES;
use super::builder::{NewRules, Row, TableBuilder};
use super::rules::{CfaRule, END_OF_STACK, FROM_ORC, RegisterRule, SIGNAL};
use crate::arch::x86_64::{CS, R10, R13, RAX, RBP, RDI, RDX, RFLAGS, RIP, RSP, SS};
use crate::{Error, Register, Result};

/// How entries are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrcVersion {
    /// Linux 4.14 to 6.2.
    V1,
    /// Linux 6.3: "x86/unwind/orc: Add 'signal' field to ORC metadata".
    V2,
    /// Linux 6.4: "x86,objtool: Split `UNWIND_HINT_EMPTY` in two".
    V3,
    /// Linux 7.1: registers have other numbers, and `AX` is one of them.
    V4,
}

impl OrcVersion {
    /// The version that an `.orc_header` section names, which kernels have since Linux 6.4
    /// ("x86/unwind/orc: Add ELF section with ORC version identifier"). It holds the SHA-1 of the
    /// definitions in the kernel's `orc_types.h`.
    pub fn from_header(header: &[u8]) -> Result<Self> {
        const V3: [u8; 20] = [
            0xfe, 0x5d, 0x32, 0xbf, 0x58, 0x1b, 0xd6, 0x3b, 0x2c, 0xa9, 0xa5, 0xc6, 0x5b, 0xa5,
            0xa6, 0x25, 0xea, 0xb3, 0xfe, 0x24,
        ];
        const V4: [u8; 20] = [
            0x13, 0x7c, 0x36, 0xad, 0x76, 0x27, 0xc4, 0xdd, 0x55, 0x93, 0x21, 0x76, 0xbb, 0x0e,
            0xcd, 0xbd, 0x50, 0x41, 0xfc, 0x82,
        ];
        match header.get(..20) {
            Some(hash) if hash == V3 => Ok(Self::V3),
            Some(hash) if hash == V4 => Ok(Self::V4),
            _ => Err(Error::UnknownOrc(format!(
                "the kernel's .orc_header is {:02x?}",
                header.get(..20).unwrap_or(header)
            ))),
        }
    }

    /// The version of a kernel without `.orc_header`, from its release (`6.1.0-56-amd64`).
    pub fn from_release(release: &str) -> Result<Self> {
        let mut numbers = release
            .split(|character: char| !character.is_ascii_digit())
            .map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
            return Err(Error::UnknownOrc(format!(
                "the kernel has no .orc_header, and its release is {release}"
            )));
        };
        Ok(match (major, minor) {
            (..=6, ..=2) | (..=5, _) => Self::V1,
            (6, 3) => Self::V2,
            (6, _) | (7, 0) => Self::V3,
            _ => Self::V4,
        })
    }
}

/// The two arrays of ORC, from a file or from the target's memory.
#[derive(Clone, Copy, Debug)]
pub struct OrcSections<'a> {
    /// `.orc_unwind_ip`: for each entry, the 32-bit distance from here to its code.
    pub ips: &'a [u8],
    /// The address of `ips`, as the module was linked.
    pub ips_address: u64,
    /// `.orc_unwind`: entries of 6 bytes.
    pub entries: &'a [u8],
    /// How they are encoded.
    pub version: OrcVersion,
}

const ENTRY_SIZE: usize = 6;

impl TableBuilder {
    /// Adds the rows of ORC. They need not be sorted: those of module files are not.
    pub fn add_orc(&mut self, sections: OrcSections<'_>) {
        let (ips, rest) = sections.ips.as_chunks::<4>();
        let (entries, entries_rest) = sections.entries.as_chunks::<ENTRY_SIZE>();
        if ips.len() != entries.len() || !rest.is_empty() || !entries_rest.is_empty() {
            self.problem(
                ".orc_unwind",
                format!(
                    "{} bytes of addresses and {} bytes of entries do not match",
                    sections.ips.len(),
                    sections.entries.len()
                ),
            );
        }
        // Few of the entries differ.
        let mut known: HashMap<[u8; ENTRY_SIZE], u32, FixedState> = HashMap::default();
        let mut rows = Vec::with_capacity(ips.len());
        let mut place = sections.ips_address;
        for (ip, raw) in ips.iter().zip(entries) {
            let address = place.wrapping_add_signed(i64::from(i32::from_le_bytes(*ip)));
            place = place.wrapping_add(4);
            let Some(start) = self.offset_of(address) else {
                continue;
            };
            let rules = *known.entry(*raw).or_insert_with(|| {
                let entry = Entry::decode(*raw, sections.version);
                self.add_entry(&entry).unwrap_or(NO_RULES)
            });
            rows.push(Row { start, rules });
        }
        // Of several entries for one address (a hole that ends where code starts), the one with
        // rules is meant.
        rows.sort_by_key(|row| (row.start, row.rules != NO_RULES));
        self.merge(rows);
    }

    fn add_entry(&mut self, entry: &Entry) -> Option<u32> {
        let mut flags = FROM_ORC;
        if entry.kind == Kind::EndOfStack {
            flags |= END_OF_STACK;
            let new = NewRules {
                cfa: CfaRule::Register {
                    register: RSP,
                    offset: 0,
                },
                return_address: RIP,
                flags,
            };
            return self.add_rules(&new, []);
        }
        if entry.signal {
            flags |= SIGNAL;
        }
        let new = NewRules {
            cfa: entry.cfa()?,
            return_address: RIP,
            flags,
        };
        let frame_pointer = entry.frame_pointer()?;
        match entry.kind {
            Kind::Undefined | Kind::EndOfStack => None,
            // Only the frame pointer is followed; the other registers that functions preserve
            // may have been saved anywhere.
            Kind::Call => {
                let unknown =
                    PRESERVED_UNTRACKED.map(|register| (register, RegisterRule::Undefined));
                let registers = unknown
                    .into_iter()
                    .chain([(RIP, RegisterRule::Offset(-8)), (RBP, frame_pointer)]);
                self.add_rules(&new, registers)
            }
            // The whole of `struct pt_regs` is at the CFA.
            Kind::Regs => {
                let saved = self.architecture.pt_regs.iter().filter_map(|field| {
                    let offset = i32::try_from(field.offset).ok()?;
                    Some((field.register, RegisterRule::Offset(offset)))
                });
                self.add_rules(&new, saved)
            }
            // Only what the processor pushed is at the CFA.
            Kind::RegsPartial => {
                let saved = [
                    (RIP, RegisterRule::Offset(0)),
                    (CS, RegisterRule::Offset(8)),
                    (RFLAGS, RegisterRule::Offset(16)),
                    (RSP, RegisterRule::Offset(24)),
                    (SS, RegisterRule::Offset(32)),
                    (RBP, frame_pointer),
                ];
                self.add_rules(&new, saved)
            }
        }
    }
}

/// Registers that functions preserve, but that ORC does not follow.
const PRESERVED_UNTRACKED: [Register; 5] = [
    crate::arch::x86_64::RBX,
    crate::arch::x86_64::R12,
    R13,
    crate::arch::x86_64::R14,
    crate::arch::x86_64::R15,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Undefined,
    EndOfStack,
    Call,
    Regs,
    RegsPartial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Undefined,
    PreviousSp,
    Register(Register),
    Indirect(Register),
    Unknown,
}

/// A decoded `struct orc_entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    sp_offset: i16,
    bp_offset: i16,
    sp_base: Base,
    bp_base: Base,
    kind: Kind,
    signal: bool,
}

impl Entry {
    fn decode(raw: [u8; ENTRY_SIZE], version: OrcVersion) -> Self {
        let [sp0, sp1, bp0, bp1, registers, flags] = raw;
        let base = if version == OrcVersion::V4 {
            base_v4
        } else {
            base_v1
        };
        let sp_base = base(registers & 0xf);
        let (kind, signal) = match version {
            OrcVersion::V1 => {
                let kind = old_kind(flags & 3, flags & 4 != 0, sp_base);
                (kind, matches!(kind, Kind::Regs | Kind::RegsPartial))
            }
            OrcVersion::V2 => (old_kind(flags & 3, flags & 8 != 0, sp_base), flags & 4 != 0),
            OrcVersion::V3 | OrcVersion::V4 => {
                let kind = match flags & 7 {
                    1 => Kind::EndOfStack,
                    2 => Kind::Call,
                    3 => Kind::Regs,
                    4 => Kind::RegsPartial,
                    _ => Kind::Undefined,
                };
                (kind, flags & 8 != 0)
            }
        };
        Self {
            sp_offset: i16::from_le_bytes([sp0, sp1]),
            bp_offset: i16::from_le_bytes([bp0, bp1]),
            sp_base,
            bp_base: base(registers >> 4),
            kind,
            // The program counter that registers were saved with is always exact.
            signal: signal || matches!(kind, Kind::Regs | Kind::RegsPartial),
        }
    }

    fn cfa(&self) -> Option<CfaRule<'static>> {
        Some(match self.sp_base {
            Base::Register(register) => CfaRule::Register {
                register,
                // DX, DI, R10, R13 hold the CFA itself.
                offset: i32::from(self.sp_offset),
            },
            // The stack pointer's word holds the other stack's pointer, from which the offset
            // counts ("objtool: Support stack-swizzle", Linux 5.12; before, offsets were zero).
            Base::Indirect(RSP) => CfaRule::Dereferenced {
                register: RSP,
                before: 0,
                after: self.sp_offset,
            },
            Base::Indirect(register) => CfaRule::Dereferenced {
                register,
                before: self.sp_offset,
                after: 0,
            },
            Base::Undefined | Base::PreviousSp | Base::Unknown => return None,
        })
    }

    fn frame_pointer(&self) -> Option<RegisterRule<'static>> {
        let offset = i32::from(self.bp_offset);
        Some(match self.bp_base {
            Base::Undefined => RegisterRule::SameValue,
            Base::PreviousSp => RegisterRule::Offset(offset),
            Base::Register(register) => RegisterRule::RegisterOffset(register, offset),
            Base::Indirect(_) | Base::Unknown => return None,
        })
    }
}

/// Types before Linux 6.4, where "no information" and "end of the stack" were told by other
/// fields.
fn old_kind(kind: u8, end: bool, sp_base: Base) -> Kind {
    match kind {
        _ if end => Kind::EndOfStack,
        _ if sp_base == Base::Undefined => Kind::Undefined,
        0 => Kind::Call,
        1 => Kind::Regs,
        2 => Kind::RegsPartial,
        _ => Kind::Undefined,
    }
}

fn base_v1(number: u8) -> Base {
    match number {
        0 => Base::Undefined,
        1 => Base::PreviousSp,
        2 => Base::Register(RDX),
        3 => Base::Register(RDI),
        4 => Base::Register(RBP),
        5 => Base::Register(RSP),
        6 => Base::Register(R10),
        7 => Base::Register(R13),
        8 => Base::Indirect(RBP),
        9 => Base::Indirect(RSP),
        _ => Base::Unknown,
    }
}

fn base_v4(number: u8) -> Base {
    match number {
        0 => Base::Undefined,
        1 => Base::Register(RAX),
        2 => Base::Register(RDX),
        3 => Base::Register(RSP),
        4 => Base::Register(RBP),
        5 => Base::Register(RDI),
        6 => Base::Register(R10),
        7 => Base::Register(R13),
        8 => Base::PreviousSp,
        9 => Base::Indirect(RSP),
        10 => Base::Indirect(RBP),
        _ => Base::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_by_hash_and_release() {
        let hash = [
            0x13, 0x7c, 0x36, 0xad, 0x76, 0x27, 0xc4, 0xdd, 0x55, 0x93, 0x21, 0x76, 0xbb, 0x0e,
            0xcd, 0xbd, 0x50, 0x41, 0xfc, 0x82,
        ];
        assert_eq!(OrcVersion::from_header(&hash).unwrap(), OrcVersion::V4);
        assert!(OrcVersion::from_header(&hash[..19]).is_err());
        assert!(OrcVersion::from_header(&[0; 20]).is_err());
        for (release, version) in [
            ("4.14.0", OrcVersion::V1),
            ("5.15.0-100-generic", OrcVersion::V1),
            ("6.1.0-56-amd64", OrcVersion::V1),
            ("6.3-rc1", OrcVersion::V2),
            ("6.12.4", OrcVersion::V3),
            ("7.0.1", OrcVersion::V3),
            ("7.1", OrcVersion::V4),
            ("8.0.0", OrcVersion::V4),
        ] {
            assert_eq!(
                OrcVersion::from_release(release).unwrap(),
                version,
                "{release}"
            );
        }
        assert!(OrcVersion::from_release("unknown").is_err());
    }

    #[test]
    fn all_versions_say_the_same_of_a_call() {
        let expected = Entry {
            sp_offset: 16,
            bp_offset: -16,
            sp_base: Base::Register(RSP),
            bp_base: Base::PreviousSp,
            kind: Kind::Call,
            signal: false,
        };
        for (version, registers, flags) in [
            (OrcVersion::V1, 0x15, 0),
            (OrcVersion::V2, 0x15, 0),
            (OrcVersion::V3, 0x15, 2),
            (OrcVersion::V4, 0x83, 2),
        ] {
            let raw = [16, 0, 0xf0, 0xff, registers, flags];
            assert_eq!(Entry::decode(raw, version), expected, "{version:?}");
        }
    }

    #[test]
    fn all_versions_tell_the_end_from_missing_information() {
        for (version, end, undefined) in [
            (OrcVersion::V1, 4, 0),
            (OrcVersion::V2, 8, 0),
            (OrcVersion::V3, 1, 0),
            (OrcVersion::V4, 1, 0),
        ] {
            let kind = |flags| Entry::decode([0, 0, 0, 0, 0, flags], version).kind;
            assert_eq!(kind(end), Kind::EndOfStack, "{version:?}");
            assert_eq!(kind(undefined), Kind::Undefined, "{version:?}");
        }
    }

    #[test]
    fn interrupts_have_exact_program_counters() {
        for (version, flags) in [
            (OrcVersion::V1, 1),
            (OrcVersion::V2, 5),
            (OrcVersion::V3, 3 | 8),
            (OrcVersion::V4, 3 | 8),
        ] {
            let registers = if version == OrcVersion::V4 { 3 } else { 5 };
            let entry = Entry::decode([0, 0, 0, 0, registers, flags], version);
            assert_eq!(
                (entry.kind, entry.signal),
                (Kind::Regs, true),
                "{version:?}"
            );
        }
    }
}
