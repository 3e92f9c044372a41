//! Parameters and variables of frames.

use std::sync::Arc;

use kdive_debuginfo::code::{ExpressionEncoding, VariableValue};
use kdive_debuginfo::description::{ConstantValue, Location as ObjectLocation};
use kdive_unwind::expression::{
    self, Context, DieReference, Encoding, Location, Piece, Unavailable, Value, ValueType,
};

use super::scopes::{self, Call, Located, Passed, Variable};
use super::{How, Inner, StackFrame, thread_storage};
use crate::object::expression::{UnitContext, absent, encoding_of, invalid, object_of};
use crate::object::{Object, Place};
use crate::program::ObjectKinds;
use crate::types::ImportedTypes;
use crate::{Error, Result};

/// How many callers may be asked for the values at the entry of a function.
const MAX_CALLERS: usize = 16;
/// How many variables that are not in memory may point to each other.
const MAX_POINTERS: usize = 8;

impl StackFrame {
    /// The names of the parameters and variables that can be seen in the frame, those of the
    /// outermost block first.
    pub fn locals(&self) -> Result<Vec<String>> {
        let variables = self.variables()?.iter();
        Ok(variables
            .map(|variable| variable.name.to_string())
            .collect())
    }

    fn variables(&self) -> Result<&[Variable]> {
        match (self.located(), self.index()) {
            (Some(located), Some(index)) => located.variables(index.scope),
            _ => Ok(&[]),
        }
    }

    /// The parameter or variable of this name that can be seen in the frame, the innermost one;
    /// without one, the variable, function or constant of the program.
    pub fn object(&self, name: &str) -> Result<Object> {
        self.find(name)?
            .map(|(object, _)| object)
            .ok_or_else(|| Error::NotFound {
                name: name.to_owned(),
                message: format!("could not find '{name}'"),
            })
    }

    fn find(&self, name: &str) -> Result<Option<(Object, Option<Unavailable>)>> {
        if let Some(found) = self.local(name)? {
            return Ok(Some(found));
        }
        let program = self.trace.program();
        let Some(object) = program.find_object_if_any(name, ObjectKinds::all(), None)? else {
            return Ok(None);
        };
        if object.absence_reason().is_some()
            && let Some(found) = self.thread_local(name)?
        {
            return Ok(Some(found));
        }
        Ok(Some((object, None)))
    }

    /// The thread's copy of a variable that each thread has one of: the first in the file that the
    /// frame's code is in, or in any other.
    fn thread_local(&self, name: &str) -> Result<Option<(Object, Option<Unavailable>)>> {
        let program = self.trace.program();
        let (Some(architecture), Some(frame)) = (self.inner().architecture, self.physical()) else {
            return Ok(None);
        };
        let own = self.located().map(|located| &located.types);
        let all = program.imported_types();
        let others = all
            .iter()
            .filter(|types| own.is_none_or(|own| !Arc::ptr_eq(own, types)));
        for types in own.into_iter().chain(others) {
            let Some(code) = types.source().code() else {
                continue;
            };
            let found = types
                .source()
                .find_objects(ObjectKinds::VARIABLE, name, None)?;
            for description in found {
                let ObjectLocation::ThreadLocal(offset) = description.location else {
                    continue;
                };
                let ty = types.get(description.type_id)?;
                return thread_storage::block(program, architecture, &frame.registers, code)
                    .map_or_else(
                        |reason| absent(program, ty.clone(), reason),
                        |block| {
                            let address = block.wrapping_add(offset);
                            let object = Object::reference(program, ty.clone(), address, 0, None)?;
                            Ok((object, None))
                        },
                    )
                    .map(Some);
            }
        }
        Ok(None)
    }

    /// Whether [`StackFrame::object`] finds something.
    pub fn contains(&self, name: &str) -> Result<bool> {
        let is_local = self
            .variables()?
            .iter()
            .any(|variable| &*variable.name == name);
        if is_local {
            return Ok(true);
        }
        let program = self.trace.program();
        Ok(program
            .find_object_if_any(name, ObjectKinds::all(), None)?
            .is_some())
    }

    /// Why a parameter or variable of the frame has no value, or parts of it have none, in words;
    /// none if all of it has one.
    pub fn why_absent(&self, name: &str) -> Result<Option<String>> {
        let Some((object, Some(reason))) = self.find(name)? else {
            return Ok(None);
        };
        Ok(Some(match object.place() {
            Place::Partial(_) => format!("parts of it are not known: {reason}"),
            _ => reason.to_string(),
        }))
    }

    fn local(&self, name: &str) -> Result<Option<(Object, Option<Unavailable>)>> {
        let Some(located) = self.located() else {
            return Ok(None);
        };
        let mut variables = self.variables()?.iter().rev();
        let Some(variable) = variables.find(|variable| &*variable.name == name) else {
            return Ok(None);
        };
        self.value_of(located, variable).map(Some)
    }

    fn value_of(
        &self,
        located: &Located,
        variable: &Variable,
    ) -> Result<(Object, Option<Unavailable>)> {
        let program = self.trace.program();
        let ty = located.types.get(variable.type_id)?;
        let absent = |reason| absent(program, ty.clone(), reason);
        let expression = match &variable.value {
            scopes::Value::Constant(value) => {
                return Ok((ImportedTypes::constant(program, ty, value.clone())?, None));
            }
            scopes::Value::OptimizedOut => return absent(Unavailable::OptimizedOut),
            scopes::Value::Expression(expression) => expression,
        };
        let (Some(index), Some(code)) = (self.index(), located.code()) else {
            return absent(Unavailable::OptimizedOut);
        };
        let context = FrameContext {
            inner: self.inner(),
            physical: index.physical,
            located,
            unit: UnitContext {
                program,
                code,
                entry: variable.entry,
            },
            encoding: variable.encoding,
            callers: MAX_CALLERS,
            pointers: MAX_POINTERS,
            is_in_frame_base: false,
        };
        let (object, reason) = object_of(program, ty, expression, variable.encoding, &context)?;
        match object.place() {
            Place::Absent(_) => Ok((object, reason)),
            _ => Ok((object.in_expression()?, reason)),
        }
    }
}

/// What expressions ask of a frame.
#[derive(Clone, Copy)]
struct FrameContext<'a> {
    inner: &'a Inner,
    physical: usize,
    located: &'a Located,
    unit: UnitContext<'a>,
    /// How expressions of that unit are encoded.
    encoding: ExpressionEncoding,
    /// How many more callers may be asked.
    callers: usize,
    /// How many more variables that are not in memory may be followed.
    pointers: usize,
    is_in_frame_base: bool,
}

impl<'a> FrameContext<'a> {
    fn frame(&self) -> Option<&'a kdive_unwind::Frame> {
        self.inner.physical.get(self.physical)
    }

    fn pc(&self) -> u64 {
        self.frame().map_or(0, kdive_unwind::Frame::lookup_pc)
    }

    fn encoding(&self) -> Encoding {
        encoding_of(self.encoding)
    }

    /// What the variable with this DIE is, or holds.
    fn pointed_to(&self, die: u64) -> std::result::Result<PointedTo, Unavailable> {
        let program = &self.inner.program;
        let target = self
            .unit
            .code
            .pointed_to(self.unit.entry, die, self.pc())
            .map_err(invalid)?;
        let ty = match target.type_id {
            Some(id) => Some(self.located.types.get(Some(id)).map_err(invalid)?),
            None => None,
        };
        let expression = match (target.value, ty.clone()) {
            (VariableValue::OptimizedOut, _) => return Err(Unavailable::OptimizedOut),
            (VariableValue::Constant(value), Some(ty)) => {
                return ImportedTypes::constant(program, ty, value)
                    .and_then(|object| object.to_bytes())
                    .map(PointedTo::Bytes)
                    .map_err(invalid);
            }
            (VariableValue::Constant(ConstantValue::Bytes(bytes)), None) => {
                return Ok(PointedTo::Bytes(bytes));
            }
            (VariableValue::Constant(_), None) => {
                return Err(Unavailable::Missing("the type of what it points to"));
            }
            (VariableValue::Expression(expression), _) => expression,
        };
        let pieces = expression::evaluate(expression, self.encoding(), self, None)?;
        match (pieces.as_slice(), ty) {
            (
                [
                    Piece {
                        bit_size: None,
                        location: Location::Memory(address),
                        ..
                    },
                ],
                _,
            ) => Ok(PointedTo::Memory(*address)),
            // Strings in the code have no type.
            (
                [
                    Piece {
                        bit_size: None,
                        location: Location::Bytes(bytes),
                        ..
                    },
                ],
                None,
            ) => Ok(PointedTo::Bytes(bytes.clone())),
            (pieces, Some(ty)) => {
                let bits = ty.size().map_err(invalid)?.saturating_mul(8);
                expression::assemble(pieces, bits, self)?
                    .whole()
                    .map(PointedTo::Bytes)
            }
            (_, None) => Err(Unavailable::Missing("the type of what it points to")),
        }
    }

    /// The value that the caller passed in one place, if its call site tells.
    fn passed(
        &self,
        is_meant: impl Fn(&Passed) -> bool,
    ) -> std::result::Result<Value, Unavailable> {
        let callers = self.callers.checked_sub(1).ok_or(Unavailable::EntryValue)?;
        let number = self.physical + 1;
        let caller = self
            .inner
            .physical
            .get(number)
            .filter(|caller| !caller.is_interrupted)
            .ok_or(Unavailable::EntryValue)?;
        let located = self
            .inner
            .program
            .stacks()
            .scopes
            .locate(&self.inner.program, caller.lookup_pc())
            .map_err(invalid)?
            .ok_or(Unavailable::EntryValue)?;
        let (Some(code), Some(function)) = (located.code(), located.scopes.last()) else {
            return Err(Unavailable::EntryValue);
        };
        let call = located
            .call()
            .map_err(invalid)?
            .filter(|call| self.is_called_by(call, caller.how))
            .ok_or(Unavailable::EntryValue)?;
        let value = call
            .parameters
            .iter()
            .find(|passed| is_meant(passed))
            .and_then(|passed| passed.value.as_deref())
            .ok_or(Unavailable::EntryValue)?;
        let context = FrameContext {
            inner: self.inner,
            physical: number,
            located: &located,
            unit: UnitContext {
                program: self.unit.program,
                code,
                entry: function.entry,
            },
            encoding: code.expression_encoding(function.entry).map_err(invalid)?,
            callers,
            pointers: self.pointers,
            is_in_frame_base: false,
        };
        expression::evaluate_value(value, context.encoding(), &context)
    }

    /// Whether a call led to this function. One that was jumped to got its arguments from another
    /// function, which has a frame if it is known.
    fn is_called_by(&self, call: &Call, how: How) -> bool {
        let names = self.located.names().unwrap_or_default();
        call.is_jump == (how == How::TailCall)
            && call.target_names.iter().any(|name| names.contains(name))
    }
}

/// What an implicit pointer points to.
enum PointedTo {
    /// It is in memory after all.
    Memory(u64),
    /// It holds these bytes.
    Bytes(Vec<u8>),
}

impl<'a> Context<'a> for FrameContext<'a> {
    fn register(&self, number: u16) -> Option<u64> {
        let register = self.inner.architecture?.by_dwarf(number)?;
        self.frame()?.registers.get(register)
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> std::result::Result<(), Unavailable> {
        self.unit.read(address, buffer)
    }

    fn frame_base(&self) -> std::result::Result<u64, Unavailable> {
        if self.is_in_frame_base {
            return Err(Unavailable::Invalid(
                "the frame base depends on itself".to_owned(),
            ));
        }
        let expression = self
            .located
            .frame_base()
            .map_err(invalid)?
            .ok_or(Unavailable::Missing("the frame base"))?;
        let context = FrameContext {
            is_in_frame_base: true,
            ..*self
        };
        match expression::evaluate_value(expression, self.encoding(), &context)? {
            Value::Generic(address) => Ok(address),
            _ => Err(Unavailable::Invalid(
                "the frame base is not an address".to_owned(),
            )),
        }
    }

    fn cfa(&self) -> std::result::Result<u64, Unavailable> {
        self.frame()
            .and_then(|frame| frame.cfa)
            .ok_or(Unavailable::Missing("the frame address"))
    }

    fn entry_value(&self, expression: &[u8]) -> std::result::Result<Value, Unavailable> {
        self.passed(|passed| &*passed.location == expression)
    }

    fn parameter(&self, die: u64) -> std::result::Result<u64, Unavailable> {
        let entry = self
            .unit
            .code
            .entry_in_unit(self.unit.entry, die)
            .map_err(invalid)?;
        self.passed(|passed| passed.parameter == Some(entry))?
            .to_u64(u64::MAX)
            .map_err(|error| Unavailable::Invalid(error.to_string()))
    }

    fn thread_local(&self, offset: u64) -> std::result::Result<u64, Unavailable> {
        const UNKNOWN: Unavailable = Unavailable::Missing("the thread");
        let architecture = self.inner.architecture.ok_or(UNKNOWN)?;
        let registers = &self.frame().ok_or(UNKNOWN)?.registers;
        thread_storage::block(&self.inner.program, architecture, registers, self.unit.code)
            .map(|block| block.wrapping_add(offset))
    }

    fn implicit_pointer(&self, die: u64, offset: i64) -> std::result::Result<u64, Unavailable> {
        let context = FrameContext {
            pointers: self
                .pointers
                .checked_sub(1)
                .ok_or(Unavailable::Missing("the end of a chain of pointers"))?,
            ..*self
        };
        let address = match context.pointed_to(die)? {
            PointedTo::Memory(address) => address,
            PointedTo::Bytes(bytes) => self
                .inner
                .program
                .stacks()
                .places
                .address(&self.inner.program, die, bytes)
                .ok_or(Unavailable::Missing("a place for what it points to"))?,
        };
        Ok(address.wrapping_add_signed(offset))
    }

    fn relocate(&self, address: u64) -> u64 {
        self.unit.relocate(address)
    }

    fn indexed_address(&self, index: u64) -> std::result::Result<u64, Unavailable> {
        self.unit.indexed_address(index)
    }

    fn base_type(&self, die: u64) -> std::result::Result<ValueType, Unavailable> {
        let (encoding, size) = self
            .unit
            .code
            .base_type(self.unit.entry, die)
            .map_err(invalid)?;
        expression::value_type(encoding, size)
    }

    fn location_of(&self, die: DieReference) -> std::result::Result<&'a [u8], Unavailable> {
        let (offset, is_in_unit) = match die {
            DieReference::InUnit(offset) => (offset, true),
            DieReference::InSection(offset) => (offset, false),
        };
        self.unit
            .code
            .location_of(self.unit.entry, offset, is_in_unit, self.pc())
            .map_err(invalid)
    }
}
