//! Evaluates DWARF expressions: where a variable is, or what it was computed to be.
//!
//! The stack machine is gimli's. Here it is given what it asks for, and its result becomes
//! [pieces](Piece) whose bytes can be [assembled](assemble).

use std::ops::Range;

use gimli::{EndianSlice, EvaluationResult, LittleEndian, Operation};

use crate::memory::ReadMemory;
use crate::{Architecture, Registers};

pub use gimli::{Value, ValueType};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Operations that an expression may take: those of compilers take a few dozen.
const MAX_OPERATIONS: u32 = 10_000;
/// Expressions that may ask for the value of another: a variable that is implicit in a caller's.
const MAX_REQUESTS: usize = 1_000;
/// The largest object that is put together from pieces, in bytes.
const MAX_ASSEMBLED: u64 = 1 << 20;

/// Why a variable or a part of it has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The compiler kept it nowhere at this place in the code.
    #[error("optimized out")]
    OptimizedOut,
    /// It is in a register that is not known in this frame.
    #[error("register {0} is not known in this frame")]
    Register(u16),
    /// It is, or is computed from, memory that can't be read.
    #[error("memory at {0:#x} can't be read")]
    Memory(u64),
    /// It is computed from a value at the function's entry, and the caller does not tell it.
    #[error("its value at the function's entry is not known")]
    EntryValue,
    /// Each thread has its own, but this one has not used those of its file, and has none.
    #[error("the thread has not used the thread-local variables of this file, and has no copies")]
    NoStorage,
    /// It needs something that this frame or unit does not have.
    #[error("{0} is not known")]
    Missing(&'static str),
    /// The pieces do not make up the object.
    #[error("its pieces have {actual} bits of {expected}")]
    Size {
        /// The size of the object in bits.
        expected: u64,
        /// What the pieces have.
        actual: u64,
    },
    /// The expression is damaged, or has an operation that kdive can't evaluate.
    #[error("bad location: {0}")]
    Invalid(String),
}

impl From<gimli::Error> for Unavailable {
    fn from(error: gimli::Error) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// How expressions of a unit are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The version of DWARF.
    pub version: u16,
    /// The size of addresses in bytes.
    pub address_size: u8,
    /// Whether offsets have 8 bytes (64-bit DWARF), else 4.
    pub is_64_bit_dwarf: bool,
}

impl Encoding {
    fn gimli(self) -> gimli::Encoding {
        gimli::Encoding {
            address_size: self.address_size,
            format: if self.is_64_bit_dwarf {
                gimli::Format::Dwarf64
            } else {
                gimli::Format::Dwarf32
            },
            version: self.version,
        }
    }
}

/// Another DIE that an expression names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DieReference {
    /// By its offset in the unit.
    InUnit(u64),
    /// By its offset in `.debug_info`.
    InSection(u64),
}

/// What expressions ask about the frame and the unit that they are evaluated in. `'a` is the
/// lifetime of debug information.
///
/// What has a default is not known unless it is implemented. Implementations that evaluate
/// further expressions (frame bases, call sites of callers) must bound how deeply they do so.
pub trait Context<'a> {
    /// The value of the register of a DWARF number.
    fn register(&self, number: u16) -> Option<u64>;

    /// The bytes of the register of a DWARF number, little-endian: for vector registers.
    fn register_bytes(&self, number: u16) -> Option<Vec<u8>> {
        self.register(number)
            .map(|value| value.to_le_bytes().to_vec())
    }

    /// Fills `buffer` from the memory at `address`.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unavailable>;

    /// The value of the function's `DW_AT_frame_base`.
    fn frame_base(&self) -> Result<u64, Unavailable> {
        Err(Unavailable::Missing("the frame base"))
    }

    /// The canonical frame address.
    fn cfa(&self) -> Result<u64, Unavailable> {
        Err(Unavailable::Missing("the frame address"))
    }

    /// The value that `expression` had where the function was entered, as the call site in the
    /// caller tells it (`DW_AT_call_value` of the parameter whose location is `expression`).
    fn entry_value(&self, _expression: &[u8]) -> Result<Value, Unavailable> {
        Err(Unavailable::EntryValue)
    }

    /// The value of a parameter (a DIE of this unit) that was optimised out here, as the call
    /// site in the caller tells it.
    fn parameter(&self, _die: u64) -> Result<u64, Unavailable> {
        Err(Unavailable::EntryValue)
    }

    /// The address of the variable at an offset in the thread's storage for this module.
    fn thread_local(&self, _offset: u64) -> Result<u64, Unavailable> {
        Err(Unavailable::Missing("thread-local storage"))
    }

    /// A pointer into a variable that may not be in memory: the one whose DIE is at an offset in
    /// `.debug_info`.
    fn implicit_pointer(&self, _die: u64, _offset: i64) -> Result<u64, Unavailable> {
        Err(Unavailable::Missing("the address of what it points to"))
    }

    /// Where the program has what was linked at `address`.
    fn relocate(&self, address: u64) -> u64 {
        address
    }

    /// An address of the unit's table in `.debug_addr`, as it was linked.
    fn indexed_address(&self, _index: u64) -> Result<u64, Unavailable> {
        Err(Unavailable::Missing("the unit's address table"))
    }

    /// The base type at an offset in the unit; see [`value_type`].
    fn base_type(&self, _die: u64) -> Result<ValueType, Unavailable> {
        Err(Unavailable::Missing("the type of a value"))
    }

    /// The `DW_AT_location` of another DIE, to be evaluated as a part of this one; empty if it has
    /// none.
    fn location_of(&self, _die: DieReference) -> Result<&'a [u8], Unavailable> {
        Err(Unavailable::Missing("the location of another variable"))
    }
}

/// The type of a value from `DW_AT_encoding` and `DW_AT_byte_size` of its base type.
pub fn value_type(encoding: u8, byte_size: u64) -> Result<ValueType, Unavailable> {
    let is_address = gimli::DwAte(encoding) == gimli::DW_ATE_address;
    let known = match gimli::DwAte(encoding) {
        gimli::DW_ATE_signed_char => gimli::DW_ATE_signed,
        gimli::DW_ATE_unsigned_char | gimli::DW_ATE_boolean | gimli::DW_ATE_UTF => {
            gimli::DW_ATE_unsigned
        }
        other => other,
    };
    if is_address {
        return Ok(ValueType::Generic);
    }
    ValueType::from_encoding(known, byte_size).ok_or_else(|| {
        Unavailable::Invalid(format!(
            "a value of encoding {encoding:#x} and {byte_size} bytes"
        ))
    })
}

/// A part of a variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Its size in bits; none if it is the whole variable.
    pub bit_size: Option<u64>,
    /// The offset of its first bit in the location.
    pub bit_offset: u64,
    /// Where it is.
    pub location: Location,
}

/// Where a variable or a part of it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Location {
    /// In memory, at this address.
    Memory(u64),
    /// In the register of this DWARF number.
    Register(u16),
    /// Nowhere, but its value is known: these bytes, little-endian.
    Bytes(Vec<u8>),
    /// It is a pointer into a variable that is not in memory.
    ImplicitPointer {
        /// The offset of that variable's DIE in `.debug_info`.
        die: u64,
        /// The offset in bytes into it.
        offset: i64,
    },
    /// Nowhere.
    OptimizedOut,
    /// Somewhere, but it can't be told where.
    Unknown(Unavailable),
}

/// The bytes of a variable, as far as they are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembled {
    /// All bytes, little-endian; zeroes where nothing is known, and behind the last bit.
    pub bytes: Vec<u8>,
    /// The bytes of which some bits are not known, in ascending order and apart from each other;
    /// never all of them.
    pub unknown: Vec<Range<u64>>,
    /// Why they are not known.
    pub reason: Option<Unavailable>,
}

impl Assembled {
    /// The bytes, if all of them are known.
    ///
    /// # Errors
    ///
    /// Why some of them are not.
    pub fn whole(self) -> Result<Vec<u8>, Unavailable> {
        match self.reason {
            None => Ok(self.bytes),
            Some(reason) => Err(reason),
        }
    }

    fn forget(&mut self, bits: Range<u64>, reason: Unavailable) {
        if bits.is_empty() {
            return;
        }
        let (start, end) = (bits.start / 8, bits.end.div_ceil(8));
        match self.unknown.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            _ => self.unknown.push(start..end),
        }
        // That a part is nowhere says less than why another can't be had.
        if matches!(self.reason, None | Some(Unavailable::OptimizedOut)) {
            self.reason = Some(reason);
        }
    }
}

/// Evaluates the location of a variable, or of a part of one if `object` is the address of the
/// object that it is a part of (`DW_OP_push_object_address`).
///
/// A piece that can't be told is [`Location::Unknown`], and does not hide the others.
///
/// # Errors
///
/// Why the variable has no location. An empty expression gives [`Location::OptimizedOut`].
pub fn evaluate<'a>(
    expression: &'a [u8],
    encoding: Encoding,
    context: &dyn Context<'a>,
    object: Option<u64>,
) -> Result<Vec<Piece>, Unavailable> {
    let Some(parts) = pieces_of(expression, encoding)? else {
        return evaluate_at_once(expression, encoding, context, object);
    };
    let mut pieces = Vec::with_capacity(parts.len());
    for (part, size) in parts {
        match evaluate_at_once(part, encoding, context, object) {
            Ok(evaluated) => pieces.extend(evaluated),
            Err(reason) => pieces.push(Piece {
                bit_size: Some(size),
                bit_offset: 0,
                location: Location::Unknown(reason),
            }),
        }
    }
    Ok(pieces)
}

/// A part of an expression that describes one piece, and the size of that piece in bits.
type Part<'a> = (&'a [u8], u64);

/// The parts of an expression of which each describes one piece; none if it describes no pieces,
/// or jumps between them.
fn pieces_of(expression: &[u8], encoding: Encoding) -> Result<Option<Vec<Part<'_>>>, Unavailable> {
    let mut rest = Slice::new(expression, LittleEndian);
    let mut parts = Vec::new();
    let mut start = 0;
    while !rest.is_empty() {
        let size = match Operation::parse(&mut rest, encoding.gimli())? {
            Operation::Piece { size_in_bits, .. } => size_in_bits,
            Operation::Skip { .. } | Operation::Bra { .. } => return Ok(None),
            _ => continue,
        };
        let end = expression.len() - rest.len();
        parts.push((expression.get(start..end).unwrap_or_default(), size));
        start = end;
    }
    Ok((start == expression.len() && start > 0).then_some(parts))
}

fn evaluate_at_once<'a>(
    expression: &'a [u8],
    encoding: Encoding,
    context: &dyn Context<'a>,
    object: Option<u64>,
) -> Result<Vec<Piece>, Unavailable> {
    let mut evaluation =
        gimli::Evaluation::new(Slice::new(expression, LittleEndian), encoding.gimli());
    evaluation.set_max_iterations(MAX_OPERATIONS);
    if let Some(object) = object {
        evaluation.set_object_address(object);
    }
    run(&mut evaluation, context)?;
    evaluation
        .result()
        .into_iter()
        .map(|piece| {
            Ok(Piece {
                bit_size: piece.size_in_bits,
                bit_offset: piece.bit_offset.unwrap_or(0),
                location: match piece.location {
                    gimli::Location::Empty => Location::OptimizedOut,
                    gimli::Location::Register { register } => Location::Register(register.0),
                    gimli::Location::Address { address } => Location::Memory(address),
                    gimli::Location::Value { value } => {
                        Location::Bytes(value_bytes(value, encoding.address_size))
                    }
                    gimli::Location::Bytes { value } => Location::Bytes(value.slice().to_vec()),
                    gimli::Location::ImplicitPointer { value, byte_offset } => {
                        Location::ImplicitPointer {
                            die: value.0 as u64,
                            offset: byte_offset,
                        }
                    }
                },
            })
        })
        .collect()
}

/// Evaluates an expression whose result is a value, such as a call site's parameter, or an
/// address, such as a frame base.
pub fn evaluate_value<'a>(
    expression: &'a [u8],
    encoding: Encoding,
    context: &dyn Context<'a>,
) -> Result<Value, Unavailable> {
    let mut evaluation =
        gimli::Evaluation::new(Slice::new(expression, LittleEndian), encoding.gimli());
    evaluation.set_max_iterations(MAX_OPERATIONS);
    run(&mut evaluation, context)?;
    if let Some(value) = evaluation.value_result() {
        return Ok(value);
    }
    match evaluation.as_result() {
        [piece] if piece.size_in_bits.is_none() => match piece.location {
            // The frame base of code that keeps a frame pointer is the register itself.
            gimli::Location::Register { register } => context
                .register(register.0)
                .map(Value::Generic)
                .ok_or(Unavailable::Register(register.0)),
            gimli::Location::Address { address } => Ok(Value::Generic(address)),
            gimli::Location::Value { value } => Ok(value),
            gimli::Location::ImplicitPointer { value, byte_offset } => context
                .implicit_pointer(value.0 as u64, byte_offset)
                .map(Value::Generic),
            _ => Err(Unavailable::OptimizedOut),
        },
        _ => Err(Unavailable::OptimizedOut),
    }
}

fn run<'a>(
    evaluation: &mut gimli::Evaluation<Slice<'a>>,
    context: &dyn Context<'a>,
) -> Result<(), Unavailable> {
    let mut state = evaluation.evaluate()?;
    for _ in 0..MAX_REQUESTS {
        state = match state {
            EvaluationResult::Complete => return Ok(()),
            EvaluationResult::RequiresMemory {
                address,
                size,
                space,
                base_type,
            } => {
                if space.is_some() {
                    return Err(Unavailable::Missing("another address space"));
                }
                let mut bytes = vec![0; usize::from(size)];
                context.read(address, &mut bytes)?;
                let value = typed(&bytes, base_type.0 as u64, context)?;
                evaluation.resume_with_memory(value)?
            }
            EvaluationResult::RequiresRegister {
                register,
                base_type,
            } => {
                let value = if base_type.0 == 0 {
                    Value::Generic(
                        context
                            .register(register.0)
                            .ok_or(Unavailable::Register(register.0))?,
                    )
                } else {
                    let bytes = context
                        .register_bytes(register.0)
                        .ok_or(Unavailable::Register(register.0))?;
                    typed(&bytes, base_type.0 as u64, context)?
                };
                evaluation.resume_with_register(value)?
            }
            EvaluationResult::RequiresFrameBase => {
                evaluation.resume_with_frame_base(context.frame_base()?)?
            }
            EvaluationResult::RequiresTls(offset) => {
                evaluation.resume_with_tls(context.thread_local(offset)?)?
            }
            EvaluationResult::RequiresCallFrameCfa => {
                evaluation.resume_with_call_frame_cfa(context.cfa()?)?
            }
            EvaluationResult::RequiresAtLocation(die) => {
                let die = match die {
                    gimli::DieReference::UnitRef(offset) => DieReference::InUnit(offset.0 as u64),
                    gimli::DieReference::DebugInfoRef(offset) => {
                        DieReference::InSection(offset.0 as u64)
                    }
                };
                let location = context.location_of(die)?;
                evaluation.resume_with_at_location(Slice::new(location, LittleEndian))?
            }
            EvaluationResult::RequiresEntryValue(expression) => {
                let value = context.entry_value(expression.0.slice())?;
                evaluation.resume_with_entry_value(value)?
            }
            EvaluationResult::RequiresParameterRef(die) => {
                evaluation.resume_with_parameter_ref(context.parameter(die.0 as u64)?)?
            }
            EvaluationResult::RequiresRelocatedAddress(address) => {
                evaluation.resume_with_relocated_address(context.relocate(address))?
            }
            EvaluationResult::RequiresIndexedAddress { index, relocate } => {
                let address = context.indexed_address(index.0 as u64)?;
                evaluation.resume_with_indexed_address(if relocate {
                    context.relocate(address)
                } else {
                    address
                })?
            }
            EvaluationResult::RequiresBaseType(die) => {
                let base_type = if die.0 == 0 {
                    ValueType::Generic
                } else {
                    context.base_type(die.0 as u64)?
                };
                evaluation.resume_with_base_type(base_type)?
            }
            EvaluationResult::RequiresWasmLocal { .. }
            | EvaluationResult::RequiresWasmGlobal { .. }
            | EvaluationResult::RequiresWasmStack { .. } => {
                return Err(Unavailable::Invalid("WebAssembly's operations".to_owned()));
            }
        };
    }
    Err(Unavailable::Invalid("it does not end".to_owned()))
}

fn typed(bytes: &[u8], base_type: u64, context: &dyn Context<'_>) -> Result<Value, Unavailable> {
    if base_type == 0 {
        return Ok(Value::Generic(crate::registers::little_endian(bytes)));
    }
    let value_type = context.base_type(base_type)?;
    Ok(Value::parse(value_type, Slice::new(bytes, LittleEndian))?)
}

fn value_bytes(value: Value, address_size: u8) -> Vec<u8> {
    match value {
        Value::Generic(value) => {
            let mut bytes = value.to_le_bytes().to_vec();
            bytes.truncate(usize::from(address_size));
            bytes
        }
        Value::I8(value) => value.to_le_bytes().to_vec(),
        Value::U8(value) => value.to_le_bytes().to_vec(),
        Value::I16(value) => value.to_le_bytes().to_vec(),
        Value::U16(value) => value.to_le_bytes().to_vec(),
        Value::I32(value) => value.to_le_bytes().to_vec(),
        Value::U32(value) => value.to_le_bytes().to_vec(),
        Value::I64(value) => value.to_le_bytes().to_vec(),
        Value::U64(value) => value.to_le_bytes().to_vec(),
        Value::F32(value) => value.to_le_bytes().to_vec(),
        Value::F64(value) => value.to_le_bytes().to_vec(),
    }
}

/// The bytes of a variable of `bit_size` bits, put together from its pieces.
///
/// # Errors
///
/// Why the variable has no value: nothing of it is known, or its pieces do not make it up.
pub fn assemble(
    pieces: &[Piece],
    bit_size: u64,
    context: &dyn Context<'_>,
) -> Result<Assembled, Unavailable> {
    let too_small = |actual| Unavailable::Size {
        expected: bit_size,
        actual,
    };
    if bit_size > MAX_ASSEMBLED * 8 {
        return Err(Unavailable::Missing("an object of this size"));
    }
    if pieces.is_empty() {
        return Err(Unavailable::OptimizedOut);
    }
    let mut assembled = Assembled {
        bytes: vec![0; bit_size.div_ceil(8) as usize],
        unknown: Vec::new(),
        reason: None,
    };
    let mut done = 0;
    for piece in pieces {
        let wanted = piece.bit_size.unwrap_or(bit_size).min(bit_size - done);
        let last_bit = piece
            .bit_offset
            .checked_add(wanted)
            .filter(|last| *last <= MAX_ASSEMBLED * 16)
            .ok_or(too_small(done))?;
        match bytes_at(&piece.location, last_bit.div_ceil(8), context) {
            Ok(source) if last_bit > source.len() as u64 * 8 => return Err(too_small(done)),
            Ok(source) => copy_bits(
                &source,
                piece.bit_offset,
                &mut assembled.bytes,
                done,
                wanted,
            ),
            Err(reason) => assembled.forget(done..done + wanted, reason),
        }
        done += wanted;
        if done == bit_size {
            break;
        }
    }
    if done < bit_size {
        return Err(too_small(done));
    }
    let all = 0..assembled.bytes.len() as u64;
    match assembled.reason {
        Some(reason) if assembled.unknown == [all] => Err(reason),
        _ => Ok(assembled),
    }
}

/// What is at a location: `size` bytes of memory, else as many as there are.
fn bytes_at(
    location: &Location,
    size: u64,
    context: &dyn Context<'_>,
) -> Result<Vec<u8>, Unavailable> {
    match location {
        Location::Memory(address) => {
            let mut bytes = vec![0; size as usize];
            context.read(*address, &mut bytes)?;
            Ok(bytes)
        }
        Location::Register(number) => context
            .register_bytes(*number)
            .ok_or(Unavailable::Register(*number)),
        Location::Bytes(bytes) => Ok(bytes.clone()),
        Location::ImplicitPointer { die, offset } => {
            let address = context.implicit_pointer(*die, *offset)?;
            Ok(address.to_le_bytes().to_vec())
        }
        Location::OptimizedOut => Err(Unavailable::OptimizedOut),
        Location::Unknown(reason) => Err(reason.clone()),
    }
}

/// Copies bits, counted from the least significant one of the first byte.
fn copy_bits(source: &[u8], from: u64, target: &mut [u8], to: u64, count: u64) {
    if (from | to | count).is_multiple_of(8) {
        let (from, to, count) = (from as usize / 8, to as usize / 8, count as usize / 8);
        if let (Some(source), Some(target)) = (
            source.get(from..from + count),
            target.get_mut(to..to + count),
        ) {
            target.copy_from_slice(source);
        }
        return;
    }
    for bit in 0..count {
        let (read, write) = (from + bit, to + bit);
        let set = source
            .get((read / 8) as usize)
            .is_some_and(|byte| byte >> (read % 8) & 1 == 1);
        if let Some(byte) = target.get_mut((write / 8) as usize)
            && set
        {
            *byte |= 1 << (write % 8);
        }
    }
}

/// Evaluates an expression of call frame information. `cfa` is what it starts with, unless it
/// computes the CFA itself.
pub(crate) fn of_frame_rule(
    architecture: &Architecture,
    expression: &[u8],
    cfa: Option<u64>,
    registers: &Registers,
    memory: &dyn ReadMemory,
) -> Option<u64> {
    struct FrameRule<'f> {
        architecture: &'f Architecture,
        registers: &'f Registers,
        memory: &'f dyn ReadMemory,
    }
    impl Context<'_> for FrameRule<'_> {
        fn register(&self, number: u16) -> Option<u64> {
            self.registers.get(self.architecture.by_dwarf(number)?)
        }

        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unavailable> {
            self.memory
                .read(address, buffer)
                .map_err(|_| Unavailable::Memory(address))
        }
    }
    let encoding = Encoding {
        version: 4,
        address_size: 8,
        is_64_bit_dwarf: false,
    };
    let context = FrameRule {
        architecture,
        registers,
        memory,
    };
    let mut evaluation =
        gimli::Evaluation::new(Slice::new(expression, LittleEndian), encoding.gimli());
    evaluation.set_max_iterations(MAX_OPERATIONS);
    if let Some(cfa) = cfa {
        evaluation.set_initial_value(cfa);
    }
    run(&mut evaluation, &context).ok()?;
    match evaluation.as_result() {
        [
            gimli::Piece {
                location: gimli::Location::Address { address },
                ..
            },
        ] => Some(*address),
        _ => match evaluation.value_result()? {
            Value::Generic(value) => Some(value),
            _ => None,
        },
    }
}
