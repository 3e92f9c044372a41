//! Objects that are where an expression of DWARF says: in memory, in registers, in pieces of both, or
//! nowhere.

use std::sync::Arc;

use kdive_debuginfo::CodeSource;
use kdive_debuginfo::code::ExpressionEncoding;
use kdive_debuginfo::description::TypeId;
use kdive_target::AddressSpace;
use kdive_unwind::expression::{self, Context, Encoding, Location, Piece, Unavailable};

use super::{AbsenceReason, Object};
use crate::Result;
use crate::program::Program;
use crate::types::Type;

pub(crate) fn encoding_of(encoding: ExpressionEncoding) -> Encoding {
    Encoding {
        version: encoding.version,
        address_size: encoding.address_size,
        is_64_bit_dwarf: encoding.is_64_bit_dwarf,
    }
}

pub(crate) fn invalid(error: impl std::fmt::Display) -> Unavailable {
    Unavailable::Invalid(error.to_string())
}

/// The object of a type that is where an expression says, and why it or a part of it has no value.
pub(crate) fn object_of<'a>(
    program: &Arc<Program>,
    ty: Type,
    expression: &'a [u8],
    encoding: ExpressionEncoding,
    context: &dyn Context<'a>,
) -> Result<(Object, Option<Unavailable>)> {
    let pieces = match expression::evaluate(expression, encoding_of(encoding), context, None) {
        Ok(pieces) => pieces,
        Err(reason) => return absent(program, ty, reason),
    };
    if let [
        Piece {
            bit_size: None,
            location: Location::Memory(address),
            ..
        },
    ] = pieces.as_slice()
    {
        return Ok((Object::reference(program, ty, *address, 0, None)?, None));
    }
    let bits = ty.size()?.saturating_mul(8);
    let value = match expression::assemble(&pieces, bits, context) {
        Ok(value) => value,
        Err(reason) => return absent(program, ty, reason),
    };
    let object = match &value.reason {
        None => Object::from_bytes(program, ty, &value.bytes, 0, None)?,
        Some(reason) => {
            let kind = absence_of(reason);
            Object::partial(program, ty, &value.bytes, value.unknown, kind)?
        }
    };
    Ok((object, value.reason))
}

/// An object without a value, and why it has none.
pub(crate) fn absent(
    program: &Arc<Program>,
    ty: Type,
    reason: Unavailable,
) -> Result<(Object, Option<Unavailable>)> {
    let kind = absence_of(&reason);
    Object::absent(program, ty, kind, None).map(|object| (object, Some(reason)))
}

fn absence_of(reason: &Unavailable) -> AbsenceReason {
    match reason {
        Unavailable::Invalid(_) => AbsenceReason::NotImplemented,
        Unavailable::Memory(_) => AbsenceReason::Other,
        _ => AbsenceReason::OptimizedOut,
    }
}

/// The object of a variable outside of functions. `entry` is one of the unit of the expression.
pub(crate) fn global_object(
    program: &Arc<Program>,
    ty: Type,
    code: &dyn CodeSource,
    entry: TypeId,
    expression: &[u8],
) -> Result<Object> {
    let context = UnitContext {
        program,
        code,
        entry,
    };
    let encoding = code.expression_encoding(entry)?;
    object_of(program, ty, expression, encoding, &context).map(|(object, _)| object)
}

/// What expressions can ask where there is no frame.
#[derive(Clone, Copy)]
pub(crate) struct UnitContext<'a> {
    pub(crate) program: &'a Arc<Program>,
    pub(crate) code: &'a dyn CodeSource,
    /// An entry of the unit.
    pub(crate) entry: TypeId,
}

impl Context<'_> for UnitContext<'_> {
    fn register(&self, _number: u16) -> Option<u64> {
        None
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> std::result::Result<(), Unavailable> {
        self.program
            .read(AddressSpace::Virtual, address, buffer)
            .map_err(|_| Unavailable::Memory(address))
    }

    fn relocate(&self, address: u64) -> u64 {
        self.code.relocate(address)
    }

    fn indexed_address(&self, index: u64) -> std::result::Result<u64, Unavailable> {
        self.code
            .indexed_address(self.entry, index)
            .map_err(invalid)
    }
}
