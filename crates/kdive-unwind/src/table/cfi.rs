//! Compiles DWARF call frame information: `.debug_frame` and `.eh_frame`.

use gimli::{EndianSlice, LittleEndian, UnwindSection};

use super::NO_RULES;
use super::builder::{NewRules, Row, TableBuilder};
use super::rules::{CfaRule, END_OF_STACK, RegisterRule, SIGNAL};
use crate::Register;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// A section of a file with its addresses, as it was linked (for a relocatable file, as it was
/// relocated).
#[derive(Clone, Copy, Debug)]
pub struct FrameSection<'a> {
    /// The contents, relocated.
    pub bytes: &'a [u8],
    /// The address of the section.
    pub address: u64,
    /// The address of `.text`, to which some pointers may be relative.
    pub text_address: u64,
}

impl TableBuilder {
    /// Adds the rows of a `.debug_frame` section.
    pub fn add_debug_frame(&mut self, section: FrameSection<'_>) {
        let mut frame = gimli::DebugFrame::new(section.bytes, LittleEndian);
        frame.set_address_size(8);
        frame.set_vendor(self.vendor());
        self.add_frame_section(&frame, ".debug_frame", section);
    }

    /// Adds the rows of an `.eh_frame` section.
    pub fn add_eh_frame(&mut self, section: FrameSection<'_>) {
        let mut frame = gimli::EhFrame::new(section.bytes, LittleEndian);
        frame.set_address_size(8);
        frame.set_vendor(self.vendor());
        self.add_frame_section(&frame, ".eh_frame", section);
    }

    fn vendor(&self) -> gimli::Vendor {
        match self.architecture.target {
            kdive_target::Architecture::Aarch64 => gimli::Vendor::AArch64,
            _ => gimli::Vendor::Default,
        }
    }

    fn add_frame_section<'a, S>(&mut self, frame: &S, name: &'static str, section: FrameSection<'a>)
    where
        S: UnwindSection<Slice<'a>>,
        S::Offset: PartialEq,
    {
        let bases = gimli::BaseAddresses::default()
            .set_eh_frame(section.address)
            .set_text(section.text_address);
        let mut functions: Vec<(u32, u32, std::ops::Range<usize>)> = Vec::new();
        let mut rows = Vec::new();
        let mut context = gimli::UnwindContext::new();
        let mut last_cie: Option<(S::Offset, gimli::CommonInformationEntry<Slice<'a>>)> = None;
        let mut entries = frame.entries(&bases);
        loop {
            let partial = match entries.next() {
                Ok(Some(gimli::CieOrFde::Fde(partial))) => partial,
                Ok(Some(gimli::CieOrFde::Cie(_))) => continue,
                Ok(None) => break,
                Err(error) => {
                    self.problem(name, format!("{error}; the rest is left out"));
                    break;
                }
            };
            let fde = partial.parse(|frame, bases, offset| match &last_cie {
                Some((last, cie)) if *last == offset => Ok(cie.clone()),
                _ => {
                    let cie = frame.cie_from_offset(bases, offset)?;
                    last_cie = Some((offset, cie.clone()));
                    Ok(cie)
                }
            });
            let compiled = fde.and_then(|fde| {
                let Some(range) = self.clip(fde.initial_address(), fde.end_address()) else {
                    return Ok(());
                };
                let first = rows.len();
                let result = self.add_fde(frame, &bases, &mut context, &fde, section, &mut rows);
                // What was read before the damage is good.
                functions.push((range.start, range.end, first..rows.len()));
                result
            });
            if let Err(error) = compiled {
                self.problem(name, format!("entry at {:#x}: {error}", partial.offset()));
            }
        }
        self.merge(in_order(functions, &rows));
    }

    fn add_fde<'a, S>(
        &mut self,
        frame: &S,
        bases: &gimli::BaseAddresses,
        context: &mut gimli::UnwindContext<usize>,
        fde: &gimli::FrameDescriptionEntry<Slice<'a>>,
        section: FrameSection<'a>,
        rows: &mut Vec<Row>,
    ) -> gimli::Result<()>
    where
        S: UnwindSection<Slice<'a>>,
    {
        let return_address = self
            .architecture
            .by_dwarf(fde.cie().return_address_register().0)
            .ok_or(gimli::Error::UnsupportedRegister(u64::from(
                fde.cie().return_address_register().0,
            )))?;
        let signal = if fde.is_signal_trampoline() {
            SIGNAL
        } else {
            0
        };
        let mut table = fde.rows(frame, bases, context)?;
        let mut address = fde.initial_address();
        while let Some(row) = table.next_row()? {
            if row.start_address() < address {
                return Err(gimli::Error::InvalidCfiSetLoc(row.start_address()));
            }
            address = row.start_address();
            let end = row.end_address().min(fde.end_address());
            let Some(range) = self.clip(address, end) else {
                continue;
            };
            let rules = self
                .add_row(row, return_address, signal, section.bytes)
                .unwrap_or(NO_RULES);
            rows.push(Row {
                start: range.start,
                rules,
            });
        }
        Ok(())
    }

    /// Packs a row; none if it needs a register or an offset that kdive does not keep.
    fn add_row(
        &mut self,
        row: &gimli::UnwindTableRow<usize>,
        return_address: Register,
        flags: u16,
        section: &[u8],
    ) -> Option<u32> {
        let expression = |expression: &gimli::UnwindExpression<usize>| {
            section.get(expression.offset..expression.offset.checked_add(expression.length)?)
        };
        let architecture = self.architecture;
        let register = |register: gimli::Register| architecture.by_dwarf(register.0);
        let offset = |offset: i64| i32::try_from(offset).ok();
        let cfa = match row.cfa() {
            gimli::CfaRule::RegisterAndOffset {
                register: base,
                offset: by,
            } => CfaRule::Register {
                register: register(*base)?,
                offset: offset(*by)?,
            },
            gimli::CfaRule::Expression(bytes) => CfaRule::Expression(expression(bytes)?),
        };
        let mut flags = flags;
        let mut has_return_address = architecture.link == Some(return_address);
        let mut registers = [(Register(0), RegisterRule::Undefined); crate::Registers::CAPACITY];
        let mut count = 0;
        for (dwarf, rule) in row.registers() {
            // Vector registers and the state of pointer authentication are not followed.
            let Some(number) = register(*dwarf) else {
                continue;
            };
            let rule = match rule {
                gimli::RegisterRule::SameValue => RegisterRule::SameValue,
                gimli::RegisterRule::Offset(by) => RegisterRule::Offset(offset(*by)?),
                gimli::RegisterRule::ValOffset(by) => RegisterRule::ValueOffset(offset(*by)?),
                gimli::RegisterRule::Register(other) => RegisterRule::Register(register(*other)?),
                gimli::RegisterRule::Expression(bytes) => {
                    RegisterRule::Expression(expression(bytes)?)
                }
                gimli::RegisterRule::ValExpression(bytes) => {
                    RegisterRule::ValueExpression(expression(bytes)?)
                }
                gimli::RegisterRule::Constant(value) => {
                    RegisterRule::Constant(i32::try_from(*value).ok()?)
                }
                gimli::RegisterRule::Undefined | gimli::RegisterRule::Architectural => {
                    RegisterRule::Undefined
                }
            };
            if number == return_address {
                has_return_address = rule != RegisterRule::Undefined;
            }
            *registers.get_mut(count)? = (number, rule);
            count += 1;
        }
        if !has_return_address {
            flags |= END_OF_STACK;
        }
        let registers = registers.get_mut(..count)?;
        // In one order, so that rows with the same rules share them.
        registers.sort_unstable_by_key(|(number, _)| *number);
        let new = NewRules {
            cfa,
            return_address,
            flags,
        };
        self.add_rules(&new, registers.iter().copied())
    }
}

/// The rows of all functions (start, end, their rows), sorted; where functions overlap, the one
/// that starts first keeps its rows.
fn in_order(mut functions: Vec<(u32, u32, std::ops::Range<usize>)>, rows: &[Row]) -> Vec<Row> {
    functions.sort_by_key(|(start, ..)| *start);
    let mut sorted: Vec<Row> = Vec::with_capacity(rows.len() + functions.len());
    let mut covered = 0;
    for (start, end, range) in functions {
        if end <= covered {
            continue;
        }
        // The end of the function before, unless this one starts right there.
        if start > covered && !sorted.is_empty() {
            sorted.push(Row {
                start: covered,
                rules: NO_RULES,
            });
        }
        let own = rows.get(range).unwrap_or(&[]);
        let within = own.partition_point(|row| row.start <= covered).max(1) - 1;
        for row in own.get(within..).unwrap_or(&[]) {
            sorted.push(Row {
                start: row.start.max(covered),
                rules: row.rules,
            });
        }
        covered = end;
    }
    sorted.push(Row {
        start: covered,
        rules: NO_RULES,
    });
    sorted
}
