//! The rules of a row: how the registers of the caller are found.

use crate::Register;

/// How the canonical frame address is found: the caller's stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CfaRule<'a> {
    /// The value of a register plus an offset.
    Register {
        /// The register.
        register: Register,
        /// The offset.
        offset: i32,
    },
    /// The word at a register plus an offset, plus another offset.
    Dereferenced {
        /// The register.
        register: Register,
        /// Added to the register to have the address of the word.
        before: i16,
        /// Added to the word.
        after: i16,
    },
    /// The value of a DWARF expression.
    Expression(&'a [u8]),
}

/// How a register of the caller is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterRule<'a> {
    /// It is lost.
    Undefined,
    /// It has not changed.
    SameValue,
    /// It is in memory, at the CFA plus an offset.
    Offset(i32),
    /// It is the CFA plus an offset.
    ValueOffset(i32),
    /// It is in another register.
    Register(Register),
    /// It is in memory, at a register of this frame plus an offset.
    RegisterOffset(Register, i32),
    /// It is a constant.
    Constant(i32),
    /// It is in memory, at the value of a DWARF expression on the CFA.
    Expression(&'a [u8]),
    /// It is the value of a DWARF expression on the CFA.
    ValueExpression(&'a [u8]),
}

/// Where rules come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// DWARF call frame information: `.debug_frame` or `.eh_frame`.
    Cfi,
    /// The kernel's ORC.
    Orc,
}

/// The rules of one row.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    header: Record,
    cfa: Record,
    registers: &'a [[u8; 8]],
    expressions: &'a [u8],
}

impl<'a> Rules<'a> {
    pub(super) fn new(header: Record, rest: &'a [[u8; 8]], expressions: &'a [u8]) -> Option<Self> {
        let (cfa, registers) = rest.split_first()?;
        Some(Self {
            header,
            cfa: Record(*cfa),
            registers: registers.get(..usize::from(header.count()))?,
            expressions,
        })
    }

    /// Whether the stack ends here: there is no caller.
    pub fn is_end_of_stack(&self) -> bool {
        self.header.is_end_of_stack()
    }

    /// Whether this frame interrupted its caller: the caller's program counter is exactly where
    /// it was interrupted, not behind a call.
    pub fn is_signal(&self) -> bool {
        self.header.aux() & SIGNAL != 0
    }

    /// Where the rules come from.
    pub fn source(&self) -> Source {
        if self.header.is_from_orc() {
            Source::Orc
        } else {
            Source::Cfi
        }
    }

    /// The register whose value in the caller is where it continues.
    pub fn return_address(&self) -> Register {
        self.header.register()
    }

    /// How the CFA is found; none if the table is damaged.
    pub fn cfa(&self) -> Option<CfaRule<'a>> {
        let record = self.cfa;
        Some(match record.kind() {
            CFA_REGISTER => CfaRule::Register {
                register: record.register(),
                offset: record.value(),
            },
            CFA_DEREFERENCED => CfaRule::Dereferenced {
                register: record.register(),
                before: record.aux() as i16,
                after: i16::try_from(record.value()).ok()?,
            },
            EXPRESSION => CfaRule::Expression(self.expression(record)?),
            _ => return None,
        })
    }

    /// The rules of the registers that have one, in no particular order.
    pub fn registers(&self) -> impl Iterator<Item = (Register, RegisterRule<'a>)> + '_ {
        self.registers.iter().map(|record| {
            let record = Record(*record);
            let rule = self
                .register_rule(record)
                .unwrap_or(RegisterRule::Undefined);
            (record.register(), rule)
        })
    }

    /// The rule of one register, if it has one.
    pub fn register(&self, register: Register) -> Option<RegisterRule<'a>> {
        self.registers()
            .find_map(|(other, rule)| (other == register).then_some(rule))
    }

    fn register_rule(&self, record: Record) -> Option<RegisterRule<'a>> {
        let other = || Some(Register(u8::try_from(record.aux()).ok()?));
        Some(match record.kind() {
            UNDEFINED => RegisterRule::Undefined,
            SAME_VALUE => RegisterRule::SameValue,
            OFFSET => RegisterRule::Offset(record.value()),
            VALUE_OFFSET => RegisterRule::ValueOffset(record.value()),
            REGISTER => RegisterRule::Register(other()?),
            REGISTER_OFFSET => RegisterRule::RegisterOffset(other()?, record.value()),
            CONSTANT => RegisterRule::Constant(record.value()),
            EXPRESSION => RegisterRule::Expression(self.expression(record)?),
            VALUE_EXPRESSION => RegisterRule::ValueExpression(self.expression(record)?),
            _ => return None,
        })
    }

    fn expression(&self, record: Record) -> Option<&'a [u8]> {
        let start = record.value() as u32 as usize;
        self.expressions
            .get(start..start.checked_add(usize::from(record.aux()))?)
    }
}

impl PartialEq for Rules<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header
            && self.cfa() == other.cfa()
            && self.registers().eq(other.registers())
    }
}

pub(super) const END_OF_STACK: u16 = 1;
pub(super) const SIGNAL: u16 = 2;
pub(super) const FROM_ORC: u16 = 4;

const CFA_REGISTER: u8 = 0;
const CFA_DEREFERENCED: u8 = 1;
const UNDEFINED: u8 = 2;
const SAME_VALUE: u8 = 3;
const OFFSET: u8 = 4;
const VALUE_OFFSET: u8 = 5;
const REGISTER: u8 = 6;
const REGISTER_OFFSET: u8 = 7;
const CONSTANT: u8 = 8;
const EXPRESSION: u8 = 9;
const VALUE_EXPRESSION: u8 = 10;

/// Eight bytes of a table. A header has the return address register, the number of register
/// records that follow the CFA's, and flags; a rule has a register, a kind, 16 bits (the length
/// of an expression, another register, or an offset), and a value of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record(pub(super) [u8; 8]);

impl Record {
    fn pack(register: Register, kind: u8, aux: u16, value: i32) -> Self {
        let [aux0, aux1] = aux.to_le_bytes();
        let [value0, value1, value2, value3] = value.to_le_bytes();
        Self([register.0, kind, aux0, aux1, value0, value1, value2, value3])
    }

    fn register(self) -> Register {
        Register(self.0[0])
    }

    fn kind(self) -> u8 {
        self.0[1]
    }

    fn aux(self) -> u16 {
        u16::from_le_bytes([self.0[2], self.0[3]])
    }

    fn value(self) -> i32 {
        i32::from_le_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    /// The first record of a row's rules.
    pub(super) fn header(return_address: Register, registers: u8, flags: u16) -> Self {
        Self::pack(return_address, registers, flags, 0)
    }

    /// The number of register rules after a header and its CFA rule.
    pub(super) fn count(self) -> u8 {
        self.kind()
    }

    /// Whether a header is of rules where the stack ends.
    pub(super) fn is_end_of_stack(self) -> bool {
        self.aux() & END_OF_STACK != 0
    }

    /// Whether a header is of rules from ORC.
    pub(super) fn is_from_orc(self) -> bool {
        self.aux() & FROM_ORC != 0
    }

    /// A CFA rule. `intern` keeps an expression and gives its offset.
    pub(super) fn of_cfa(
        rule: CfaRule<'_>,
        intern: impl FnOnce(&[u8]) -> Option<i32>,
    ) -> Option<Self> {
        Some(match rule {
            CfaRule::Register { register, offset } => Self::pack(register, CFA_REGISTER, 0, offset),
            CfaRule::Dereferenced {
                register,
                before,
                after,
            } => Self::pack(register, CFA_DEREFERENCED, before as u16, i32::from(after)),
            CfaRule::Expression(bytes) => {
                Self::of_expression(Register(0), EXPRESSION, bytes, intern)?
            }
        })
    }

    /// A register's rule. `intern` keeps an expression and gives its offset.
    pub(super) fn of_register(
        register: Register,
        rule: RegisterRule<'_>,
        intern: impl FnOnce(&[u8]) -> Option<i32>,
    ) -> Option<Self> {
        let pack = |kind, aux, value| Self::pack(register, kind, aux, value);
        Some(match rule {
            RegisterRule::Undefined => pack(UNDEFINED, 0, 0),
            RegisterRule::SameValue => pack(SAME_VALUE, 0, 0),
            RegisterRule::Offset(offset) => pack(OFFSET, 0, offset),
            RegisterRule::ValueOffset(offset) => pack(VALUE_OFFSET, 0, offset),
            RegisterRule::Register(other) => pack(REGISTER, u16::from(other.0), 0),
            RegisterRule::RegisterOffset(other, offset) => {
                pack(REGISTER_OFFSET, u16::from(other.0), offset)
            }
            RegisterRule::Constant(value) => pack(CONSTANT, 0, value),
            RegisterRule::Expression(bytes) => {
                Self::of_expression(register, EXPRESSION, bytes, intern)?
            }
            RegisterRule::ValueExpression(bytes) => {
                Self::of_expression(register, VALUE_EXPRESSION, bytes, intern)?
            }
        })
    }

    fn of_expression(
        register: Register,
        kind: u8,
        bytes: &[u8],
        intern: impl FnOnce(&[u8]) -> Option<i32>,
    ) -> Option<Self> {
        let length = u16::try_from(bytes.len()).ok()?;
        Some(Self::pack(register, kind, length, intern(bytes)?))
    }
}
