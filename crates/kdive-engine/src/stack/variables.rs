//! Parameters and variables of frames.

use kdive_debuginfo::CodeSource;
use kdive_debuginfo::code::CallParameter;
use kdive_debuginfo::description::TypeId;
use kdive_unwind::expression::{
    self, Context, DieReference, Encoding, Location, Piece, Unavailable, Value, ValueType,
};

use super::scopes::{self, Located, Variable};
use super::{How, Inner, StackFrame};
use crate::object::{AbsenceReason, Object};
use crate::program::ObjectKinds;
use crate::types::ImportedTypes;
use crate::{Error, Result};

/// How many callers may be asked for the values at the entry of a function.
const MAX_CALLERS: usize = 16;

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
        if let Some((object, _)) = self.local(name)? {
            return Ok(object);
        }
        self.trace
            .program()
            .find_object_if_any(name, ObjectKinds::all(), None)?
            .ok_or_else(|| Error::NotFound {
                name: name.to_owned(),
                message: format!("could not find '{name}'"),
            })
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

    /// Why a parameter or variable of the frame has no value, in words; none if it has one.
    pub fn why_absent(&self, name: &str) -> Result<Option<String>> {
        let reason = self.local(name)?.and_then(|(_, reason)| reason);
        Ok(reason.map(|reason| reason.to_string()))
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
        let absent = |reason: Unavailable| {
            let kind = match reason {
                Unavailable::Invalid(_) => AbsenceReason::NotImplemented,
                Unavailable::Memory(_) => AbsenceReason::Other,
                _ => AbsenceReason::OptimizedOut,
            };
            Object::absent(program, ty.clone(), kind, None).map(|object| (object, Some(reason)))
        };
        let expression = match &variable.value {
            scopes::Value::Constant(value) => {
                return Ok((ImportedTypes::constant(program, ty, value.clone())?, None));
            }
            scopes::Value::OptimizedOut => return absent(Unavailable::OptimizedOut),
            scopes::Value::Expression(expression) => expression,
        };
        let (Some(index), Some(code), Some(function)) =
            (self.index(), located.code(), located.scopes.last())
        else {
            return absent(Unavailable::OptimizedOut);
        };
        let context = FrameContext {
            inner: self.inner(),
            physical: index.physical,
            code,
            entry: variable.entry,
            function: function.entry,
            callers: MAX_CALLERS,
            is_in_frame_base: false,
        };
        let encoding = match context.encoding() {
            Ok(encoding) => encoding,
            Err(reason) => return absent(reason),
        };
        let pieces = match expression::evaluate(expression, encoding, &context, None) {
            Ok(pieces) => pieces,
            Err(reason) => return absent(reason),
        };
        if let [
            Piece {
                bit_size: None,
                location: Location::Memory(address),
                ..
            },
        ] = pieces.as_slice()
        {
            let object = Object::reference(program, ty, *address, 0, None)?;
            return Ok((object, None));
        }
        let bits = ty.size()?.saturating_mul(8);
        match expression::assemble(&pieces, bits, &context) {
            Ok(bytes) => Ok((Object::from_bytes(program, ty, &bytes, 0, None)?, None)),
            Err(reason) => absent(reason),
        }
    }
}

/// What expressions ask of a frame.
struct FrameContext<'a> {
    inner: &'a Inner,
    physical: usize,
    code: &'a dyn CodeSource,
    /// An entry of the unit.
    entry: TypeId,
    /// The function that has the frame.
    function: TypeId,
    /// How many more callers may be asked.
    callers: usize,
    is_in_frame_base: bool,
}

impl<'a> FrameContext<'a> {
    fn frame(&self) -> Option<&'a kdive_unwind::Frame> {
        self.inner.physical.get(self.physical)
    }

    fn pc(&self) -> u64 {
        self.frame().map_or(0, kdive_unwind::Frame::lookup_pc)
    }

    fn encoding(&self) -> std::result::Result<Encoding, Unavailable> {
        let encoding = self.code.expression_encoding(self.entry).map_err(invalid)?;
        Ok(Encoding {
            version: encoding.version,
            address_size: encoding.address_size,
            is_64_bit_dwarf: encoding.is_64_bit_dwarf,
        })
    }

    /// The caller's context, and what its call site says that it passed.
    fn call_site<T>(
        &self,
        value: impl FnOnce(
            &FrameContext<'_>,
            &[CallParameter<'_>],
        ) -> std::result::Result<T, Unavailable>,
    ) -> std::result::Result<T, Unavailable> {
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
            .map_err(|error| Unavailable::Invalid(error.to_string()))?
            .ok_or(Unavailable::EntryValue)?;
        let (Some(code), Some(function)) = (located.code(), located.scopes.last()) else {
            return Err(Unavailable::EntryValue);
        };
        let site = code
            .call_site(function.entry, caller.pc)
            .map_err(invalid)?
            .ok_or(Unavailable::EntryValue)?;
        // A function that was jumped to got its arguments from another one, which has a frame if
        // it is known.
        let own_name = self.code.function_names(self.function).map_err(invalid)?;
        let is_called = site.target_names.iter().any(|name| own_name.contains(name));
        if site.is_tail_call != (caller.how == How::TailCall) || !is_called {
            return Err(Unavailable::EntryValue);
        }
        let context = FrameContext {
            inner: self.inner,
            physical: number,
            code,
            entry: function.entry,
            function: function.entry,
            callers,
            is_in_frame_base: false,
        };
        value(&context, &site.parameters)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn invalid(error: kdive_debuginfo::Error) -> Unavailable {
    Unavailable::Invalid(error.to_string())
}

fn passed(
    context: &FrameContext<'_>,
    parameter: Option<&CallParameter<'_>>,
) -> std::result::Result<Value, Unavailable> {
    let value = parameter
        .and_then(|parameter| parameter.value)
        .ok_or(Unavailable::EntryValue)?;
    expression::evaluate_value(value, context.encoding()?, context)
}

impl<'a> Context<'a> for FrameContext<'a> {
    fn register(&self, number: u16) -> Option<u64> {
        let register = self.inner.architecture?.by_dwarf(number)?;
        self.frame()?.registers.get(register)
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> std::result::Result<(), Unavailable> {
        self.inner
            .program
            .read(kdive_target::AddressSpace::Virtual, address, buffer)
            .map_err(|_| Unavailable::Memory(address))
    }

    fn frame_base(&self) -> std::result::Result<u64, Unavailable> {
        if self.is_in_frame_base {
            return Err(Unavailable::Invalid(
                "the frame base depends on itself".to_owned(),
            ));
        }
        let expression = self
            .code
            .frame_base(self.function, self.pc())
            .map_err(invalid)?
            .ok_or(Unavailable::Missing("the frame base"))?;
        let context = FrameContext {
            is_in_frame_base: true,
            ..*self
        };
        match expression::evaluate_value(expression, self.encoding()?, &context)? {
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
        self.call_site(|caller, parameters| {
            passed(
                caller,
                parameters
                    .iter()
                    .find(|parameter| parameter.location == expression),
            )
        })
    }

    fn parameter(&self, die: u64) -> std::result::Result<u64, Unavailable> {
        let entry = self.code.entry_in_unit(self.entry, die).map_err(invalid)?;
        let value = self.call_site(|caller, parameters| {
            passed(
                caller,
                parameters
                    .iter()
                    .find(|parameter| parameter.parameter == Some(entry)),
            )
        })?;
        value
            .to_u64(u64::MAX)
            .map_err(|error| Unavailable::Invalid(error.to_string()))
    }

    fn thread_local(&self, offset: u64) -> std::result::Result<u64, Unavailable> {
        const UNKNOWN: Unavailable = Unavailable::Missing("the thread's storage for this file");
        let main = self.inner.program.main_module().ok_or(UNKNOWN)?;
        // Only the executable has its block at a fixed distance from the thread's pointer; those
        // of libraries are where the C library put them.
        if main.debug_file().bias != Some(self.code.relocate(0)) {
            return Err(UNKNOWN);
        }
        let (size, alignment) = self.code.thread_local_block().ok_or(UNKNOWN)?;
        let architecture = self.inner.architecture.ok_or(UNKNOWN)?;
        let frame = self.frame().ok_or(UNKNOWN)?;
        architecture
            .executable_thread_block(&frame.registers, size, alignment)
            .map(|block| block.wrapping_add(offset))
            .ok_or(UNKNOWN)
    }

    fn relocate(&self, address: u64) -> u64 {
        self.code.relocate(address)
    }

    fn indexed_address(&self, index: u64) -> std::result::Result<u64, Unavailable> {
        self.code
            .indexed_address(self.entry, index)
            .map_err(invalid)
    }

    fn base_type(&self, die: u64) -> std::result::Result<ValueType, Unavailable> {
        let (encoding, size) = self.code.base_type(self.entry, die).map_err(invalid)?;
        expression::value_type(encoding, size)
    }

    fn location_of(&self, die: DieReference) -> std::result::Result<&'a [u8], Unavailable> {
        let (offset, is_in_unit) = match die {
            DieReference::InUnit(offset) => (offset, true),
            DieReference::InSection(offset) => (offset, false),
        };
        self.code
            .location_of(self.entry, offset, is_in_unit, self.pc())
            .map_err(invalid)
    }
}
