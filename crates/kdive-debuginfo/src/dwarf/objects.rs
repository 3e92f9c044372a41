//! Describes variables, functions and enumerators from their entries.

use gimli::constants as dw;
use gimli::{AttributeValue, Expression, Operation};

use super::entry::Entry;
use super::file::Slice;
use super::types;
use crate::Result;
use crate::description::{AbsenceReason, ConstantValue, Location, ObjectDescription};

/// Describes the object that `entry` is or, if that is an enumeration, its enumerator `name`.
pub(super) fn describe(entry: &Entry<'_>, name: &str) -> Result<ObjectDescription> {
    match entry.tag() {
        dw::DW_TAG_enumeration_type => enumerator(entry, name),
        dw::DW_TAG_subprogram => Ok(ObjectDescription {
            type_id: Some(entry.id()),
            location: function_address(entry)?
                .map_or(Location::Absent(AbsenceReason::OptimizedOut), |address| {
                    Location::Address(entry.source.loaded_address(entry, address))
                }),
        }),
        _ => Ok(ObjectDescription {
            type_id: entry.find_in_origins(Entry::type_id)?,
            location: variable_location(entry)?,
        }),
    }
}

fn enumerator(entry: &Entry<'_>, name: &str) -> Result<ObjectDescription> {
    let found = types::enumerators(entry)?
        .into_iter()
        .find(|candidate| &*candidate.name == name);
    let Some(found) = found else {
        return Err(entry.bad(&format!("the enumeration has no enumerator {name}")));
    };
    Ok(ObjectDescription {
        type_id: Some(entry.id()),
        location: Location::Constant(ConstantValue::Integer(found.value)),
    })
}

/// The value of an enumerator or a variant. `signed_size` is the size of the type that it has, if
/// it can be negative.
pub(super) fn integer(
    entry: &Entry<'_>,
    attribute: gimli::DwAt,
    signed_size: Option<u64>,
) -> Result<i128> {
    let Some(value) = entry.value(attribute) else {
        return Err(entry.bad("an enumerator has no value"));
    };
    // Numbers of a fixed size don't say whether they are signed. gcc writes 128 in one byte even
    // if the type is int: only a number as large as the type can be negative.
    Ok(match value {
        AttributeValue::Data1(value) if signed_size == Some(1) => i128::from(value as i8),
        AttributeValue::Data2(value) if signed_size == Some(2) => i128::from(value as i16),
        AttributeValue::Data4(value) if signed_size == Some(4) => i128::from(value as i32),
        AttributeValue::Data8(value) if signed_size == Some(8) => i128::from(value as i64),
        AttributeValue::Sdata(value) => i128::from(value),
        AttributeValue::Data16(value) => value as i128,
        _ => value
            .udata_value()
            .map(i128::from)
            .ok_or_else(|| entry.bad("the value of an enumerator is not a number"))?,
    })
}

/// The address where a function is entered, as linked.
pub(super) fn function_address(entry: &Entry<'_>) -> Result<Option<u64>> {
    for attribute in [dw::DW_AT_entry_pc, dw::DW_AT_low_pc] {
        if let Some(value) = entry.value(attribute) {
            let address = entry
                .view
                .dwarf
                .attr_address(&entry.view.unit, value)
                .map_err(|error| entry.gimli_error(error))?;
            if address.is_some() {
                return Ok(address);
            }
        }
    }
    let mut ranges = entry
        .view
        .ranges(&entry.die)
        .map_err(|error| entry.gimli_error(error))?;
    let first = ranges.next().map_err(|error| entry.gimli_error(error))?;
    Ok(first.map(|range| range.begin))
}

fn variable_location(entry: &Entry<'_>) -> Result<Location> {
    let location = entry.find_in_origins(|entry| Ok(entry.value(dw::DW_AT_location)))?;
    match location {
        Some(AttributeValue::Exprloc(expression)) => static_location(entry, expression),
        Some(AttributeValue::Block(block)) => static_location(entry, Expression(block)),
        // A list of locations depends on where the program is.
        Some(_) => Ok(Location::Absent(AbsenceReason::Other)),
        None => Ok(entry.find_in_origins(constant_value)?.map_or(
            Location::Absent(AbsenceReason::OptimizedOut),
            Location::Constant,
        )),
    }
}

/// Where an expression says that an object is which is in one place of the program. Others are left
/// to who can read memory.
fn static_location(entry: &Entry<'_>, expression: Expression<Slice<'_>>) -> Result<Location> {
    let view = &entry.view;
    let failed = |error| entry.gimli_error(error);
    let mut operations = expression.operations(view.unit.encoding());
    let mut location = None;
    let mut constant = None;
    loop {
        let operation = match operations.next() {
            Ok(Some(operation)) => operation,
            Ok(None) => break,
            Err(gimli::Error::InvalidExpression(_)) => {
                return Ok(Location::Absent(AbsenceReason::NotImplemented));
            }
            Err(error) => return Err(failed(error)),
        };
        location = match (operation, location) {
            (Operation::Address { address }, None) => Some(Location::Address(address)),
            (Operation::AddressIndex { index }, None) => Some(Location::Address(
                view.dwarf.address(&view.unit, index).map_err(failed)?,
            )),
            (Operation::PlusConstant { value }, Some(Location::Address(address))) => {
                Some(Location::Address(address.wrapping_add(value)))
            }
            (Operation::UnsignedConstant { value }, None) => {
                constant = Some(value);
                None
            }
            (Operation::ConstantIndex { index }, None) => {
                constant = Some(view.dwarf.address(&view.unit, index).map_err(failed)?);
                None
            }
            (Operation::TLS, None) => constant.map(Location::ThreadLocal),
            (Operation::StackValue, None) => {
                constant.map(|value| Location::Constant(ConstantValue::Integer(i128::from(value))))
            }
            (Operation::ImplicitValue { data }, None) => Some(Location::Constant(
                ConstantValue::Bytes(data.slice().to_vec()),
            )),
            _ => return Ok(evaluated_elsewhere(entry, expression)),
        };
    }
    Ok(match location {
        Some(Location::Address(address)) => {
            Location::Address(entry.source.loaded_address(entry, address))
        }
        Some(location) => location,
        None if constant.is_some() => evaluated_elsewhere(entry, expression),
        None => Location::Absent(AbsenceReason::OptimizedOut),
    })
}

fn evaluated_elsewhere(entry: &Entry<'_>, expression: Expression<Slice<'_>>) -> Location {
    Location::Expression {
        entry: entry.id(),
        operations: expression.0.slice().to_vec(),
    }
}

/// The value of `DW_AT_const_value`.
pub(super) fn constant_value(entry: &Entry<'_>) -> Result<Option<ConstantValue>> {
    Ok(match entry.value(dw::DW_AT_const_value) {
        None => None,
        Some(AttributeValue::Block(bytes)) => Some(ConstantValue::Bytes(bytes.slice().to_vec())),
        Some(AttributeValue::Sdata(value)) => Some(ConstantValue::Integer(i128::from(value))),
        Some(AttributeValue::Data16(value)) => Some(ConstantValue::Integer(value as i128)),
        Some(AttributeValue::Addr(value)) => {
            let address = entry.source.loaded_address(entry, value);
            Some(ConstantValue::Integer(i128::from(address)))
        }
        Some(value) => {
            if let Some(value) = value.udata_value() {
                return Ok(Some(ConstantValue::Integer(i128::from(value))));
            }
            let string = entry
                .view
                .dwarf
                .attr_string(&entry.view.unit, value)
                .map_err(|_| entry.bad("a constant value has an unexpected form"))?;
            // A string constant has its terminating zero in the program.
            let mut bytes = string.slice().to_vec();
            bytes.push(0);
            Some(ConstantValue::Bytes(bytes))
        }
    })
}

/// The offset of a member, written as an expression that adds to the address of its structure.
pub(super) fn constant_offset(entry: &Entry<'_>, expression: Expression<Slice<'_>>) -> Result<u64> {
    let mut operations = expression.operations(entry.view.unit.encoding());
    let mut offset = 0u64;
    let mut constant = None;
    while let Some(operation) = operations
        .next()
        .map_err(|error| entry.gimli_error(error))?
    {
        match (operation, constant) {
            (Operation::PlusConstant { value }, None) => offset = offset.wrapping_add(value),
            (Operation::UnsignedConstant { value }, None) => constant = Some(value),
            (Operation::Plus, Some(value)) => {
                offset = offset.wrapping_add(value);
                constant = None;
            }
            _ => return Err(entry.bad("kdive can't compute the location of a member")),
        }
    }
    if let Some(value) = constant {
        return Ok(value);
    }
    Ok(offset)
}
