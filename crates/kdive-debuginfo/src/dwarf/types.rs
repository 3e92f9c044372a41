//! Describes types from their entries.

use gimli::AttributeValue;
use gimli::constants as dw;
use kdive_target::ByteOrder;

use super::entry::Entry;
use super::index::EntryKinds;
use super::{objects, variants};
use crate::Result;
use crate::description::{
    CompoundKind, EnumInteger, EnumeratorDescription, MemberDescription, ParameterDescription,
    PointerKind, Qualifiers, Shape, TemplateParameterDescription, TypeDescription, TypeId,
};

/// No type has more qualifiers in a row.
const GREATEST_QUALIFIER_CHAIN: usize = 16;

pub(super) fn describe(entry: &Entry<'_>) -> Result<TypeDescription> {
    let shape = match entry.tag() {
        dw::DW_TAG_base_type => base_type(entry)?,
        dw::DW_TAG_unspecified_type => unspecified(entry)?,
        dw::DW_TAG_structure_type | dw::DW_TAG_union_type | dw::DW_TAG_class_type => {
            compound(entry)?
        }
        dw::DW_TAG_enumeration_type => enumeration(entry)?,
        dw::DW_TAG_variant_part => variants::enumeration(entry)?,
        dw::DW_TAG_typedef | dw::DW_TAG_template_alias => {
            let Some(name) = entry.source.full_name(entry)? else {
                return Err(entry.bad("a typedef has no name"));
            };
            Shape::Typedef {
                name,
                target: entry.type_id()?,
            }
        }
        dw::DW_TAG_pointer_type => pointer(entry, PointerKind::Pointer)?,
        dw::DW_TAG_reference_type => pointer(entry, PointerKind::Reference)?,
        dw::DW_TAG_rvalue_reference_type => pointer(entry, PointerKind::RvalueReference)?,
        dw::DW_TAG_ptr_to_member_type => Shape::MemberPointer {
            class: entry.reference(dw::DW_AT_containing_type)?,
            target: entry.type_id()?,
            address_size: entry.view.unit.encoding().address_size,
        },
        dw::DW_TAG_array_type => array(entry)?,
        dw::DW_TAG_subroutine_type | dw::DW_TAG_subprogram => function(entry)?,
        tag if qualifier(tag).is_some() => qualified(entry)?,
        // Attributes of storage, not of what is stored.
        dw::DW_TAG_packed_type | dw::DW_TAG_shared_type => Shape::Qualified {
            qualifiers: Qualifiers::empty(),
            target: entry.type_id()?,
        },
        tag => return Err(entry.bad(&format!("{tag} is not a type that kdive knows"))),
    };
    Ok(TypeDescription {
        language: entry.language(),
        alignment: match shape {
            Shape::Compound { .. } | Shape::Enum { .. } => {
                alignment(definition(entry)?.as_ref().unwrap_or(entry))
            }
            _ => alignment(entry),
        },
        shape,
    })
}

/// The entry that defines the type that `entry` may only declare.
fn definition<'a>(entry: &Entry<'a>) -> Result<Option<Entry<'a>>> {
    if let Some(AttributeValue::DebugTypesRef(signature)) = entry.value(dw::DW_AT_signature) {
        let id = entry.source.type_with_signature(signature.0);
        return id.map(|id| entry.source.entry(id)).transpose();
    }
    if !entry.is_declaration() {
        return Ok(None);
    }
    let kinds = match entry.tag() {
        dw::DW_TAG_union_type => EntryKinds::UNION,
        dw::DW_TAG_enumeration_type => EntryKinds::ENUM,
        // C++ declares with either keyword what it defines with the other.
        _ => EntryKinds::STRUCT | EntryKinds::CLASS,
    };
    let Some(name) = entry.source.full_name(entry)? else {
        return Ok(None);
    };
    let found = entry.source.find(kinds, &name)?;
    let defined = found.first().filter(|found| !found.is_declaration);
    defined
        .map(|found| entry.source.entry(found.id))
        .transpose()
}

/// What `_Alignas` or an attribute demands. Anything but a power of two is damage.
fn alignment(entry: &Entry<'_>) -> Option<u64> {
    entry
        .unsigned(dw::DW_AT_alignment)
        .filter(|alignment| alignment.is_power_of_two())
}

fn byte_order(entry: &Entry<'_>) -> ByteOrder {
    match entry.value(dw::DW_AT_endianity) {
        Some(AttributeValue::Endianity(dw::DW_END_big)) => ByteOrder::Big,
        Some(AttributeValue::Endianity(dw::DW_END_little)) => ByteOrder::Little,
        _ => entry.view.file.elf().platform().byte_order,
    }
}

fn base_type(entry: &Entry<'_>) -> Result<Shape> {
    let name = entry.name()?.unwrap_or_default();
    let Some(size) = entry.unsigned(dw::DW_AT_byte_size) else {
        return Err(entry.bad("a base type has no size"));
    };
    let byte_order = byte_order(entry);
    let is_signed = match entry.value(dw::DW_AT_encoding) {
        Some(AttributeValue::Encoding(encoding)) => match encoding {
            dw::DW_ATE_boolean => {
                return Ok(Shape::Bool {
                    name,
                    size,
                    byte_order,
                });
            }
            dw::DW_ATE_float => {
                return Ok(Shape::Float {
                    name,
                    size,
                    byte_order,
                });
            }
            dw::DW_ATE_signed | dw::DW_ATE_signed_char => true,
            dw::DW_ATE_unsigned
            | dw::DW_ATE_unsigned_char
            | dw::DW_ATE_UTF
            | dw::DW_ATE_UCS
            | dw::DW_ATE_ASCII
            | dw::DW_ATE_address => false,
            other => {
                return Err(entry.bad(&format!("kdive can't handle the {other} type {name}")));
            }
        },
        _ => return Err(entry.bad("a base type has no encoding")),
    };
    Ok(Shape::Int {
        name,
        size,
        is_signed,
        byte_order,
    })
}

fn compound(entry: &Entry<'_>) -> Result<Shape> {
    let kind = match entry.tag() {
        dw::DW_TAG_union_type => CompoundKind::Union,
        dw::DW_TAG_class_type => CompoundKind::Class,
        _ => CompoundKind::Struct,
    };
    let defined = definition(entry)?;
    let named = defined.as_ref().unwrap_or(entry);
    let size = if named.is_declaration() {
        None
    } else {
        match named.unsigned(dw::DW_AT_byte_size) {
            Some(size) => Some(size),
            None if !named.die.has_children() => Some(0),
            None => return Err(named.bad("a structure has no size, or one that is no number")),
        }
    };
    Ok(Shape::Compound {
        kind,
        tag: entry.source.full_name(named)?,
        size,
    })
}

pub(super) fn members(entry: &Entry<'_>) -> Result<Vec<MemberDescription>> {
    if let Some(defined) = definition(entry)? {
        return members(&defined);
    }
    let mut members = Vec::new();
    entry.for_each_child(|child| {
        if child.tag() == dw::DW_TAG_variant_part {
            members.append(&mut variants::members(child)?);
            return Ok(());
        }
        let is_base_class = child.tag() == dw::DW_TAG_inheritance;
        let is_static = child.flag(dw::DW_AT_external) || child.is_declaration();
        if !is_base_class && (child.tag() != dw::DW_TAG_member || is_static) {
            return Ok(());
        }
        if is_base_class && child.value(dw::DW_AT_virtuality).is_some() {
            // Where a virtual base class is depends on the object.
            return Ok(());
        }
        members.push(member(child, is_base_class)?);
        Ok(())
    })?;
    members.sort_by_key(|member| !member.is_base_class);
    Ok(members)
}

pub(super) fn member(entry: &Entry<'_>, is_base_class: bool) -> Result<MemberDescription> {
    let bit_field_size = entry.unsigned(dw::DW_AT_bit_size).filter(|&bits| bits > 0);
    let type_id = entry.type_id()?;
    let bit_offset = if let Some(offset) = entry.unsigned(dw::DW_AT_data_bit_offset) {
        offset
    } else {
        let bytes = match entry.value(dw::DW_AT_data_member_location) {
            None => 0,
            Some(AttributeValue::Exprloc(expression)) => {
                objects::constant_offset(entry, expression)?
            }
            Some(AttributeValue::Block(block)) => {
                objects::constant_offset(entry, gimli::Expression(block))?
            }
            Some(value) => value
                .udata_value()
                .or_else(|| value.offset_value().map(|offset| offset as u64))
                .ok_or_else(|| entry.bad("the location of a member is not a number"))?,
        };
        let start = bytes
            .checked_mul(8)
            .ok_or_else(|| entry.bad("a member is too far away"))?;
        // A bit field of a packed structure may start before its storage unit.
        match (entry.signed(dw::DW_AT_bit_offset), bit_field_size) {
            (Some(bit_offset), Some(bit_size)) => {
                old_bit_field_offset(entry, type_id, start, bit_offset, bit_size)?
            }
            _ => start,
        }
    };
    Ok(MemberDescription {
        name: entry.name()?,
        type_id,
        bit_offset,
        bit_field_size,
        is_base_class,
        alignment: alignment(entry),
    })
}

/// Up to DWARF 3, `DW_AT_bit_offset` counts from the most significant bit of the storage unit to
/// that of the bit field.
fn old_bit_field_offset(
    entry: &Entry<'_>,
    type_id: Option<TypeId>,
    start: u64,
    bit_offset: i64,
    bit_size: u64,
) -> Result<u64> {
    if byte_order(entry) == ByteOrder::Big {
        return Ok(start.wrapping_add_signed(bit_offset));
    }
    let storage_size = match (entry.unsigned(dw::DW_AT_byte_size), type_id) {
        (Some(size), _) => size,
        (None, Some(type_id)) => storage_size(&entry.source.entry(type_id)?)?,
        (None, None) => return Err(entry.bad("a bit field has no type")),
    };
    // The most significant bits of the storage unit come last. The offset may be negative as an
    // intermediate result only.
    Ok(start
        .wrapping_add(storage_size.wrapping_mul(8))
        .wrapping_sub(bit_offset as u64)
        .wrapping_sub(bit_size))
}

/// The size of a type that can have bit fields.
fn storage_size(entry: &Entry<'_>) -> Result<u64> {
    let mut current = entry.type_id()?;
    let mut size = entry.unsigned(dw::DW_AT_byte_size);
    for _ in 0..GREATEST_QUALIFIER_CHAIN {
        let (None, Some(id)) = (size, current) else {
            break;
        };
        let next = entry.source.entry(id)?;
        size = next.unsigned(dw::DW_AT_byte_size);
        current = next.type_id()?;
    }
    size.ok_or_else(|| entry.bad("the type of a bit field has no size"))
}

fn enumeration(entry: &Entry<'_>) -> Result<Shape> {
    let defined = definition(entry)?;
    let named = defined.as_ref().unwrap_or(entry);
    let tag = entry.source.full_name(named)?;
    if named.is_declaration() {
        return Ok(Shape::Enum { tag, integer: None });
    }
    let integer = match (named.type_id()?, named.unsigned(dw::DW_AT_byte_size)) {
        (Some(_), _) => match integer_behind(named)? {
            Some(integer) => EnumInteger::Type(integer.id()),
            None => return Err(named.bad("the type of an enumeration is not an integer")),
        },
        (None, Some(size)) => {
            let is_signed = enumerators(named)?
                .iter()
                .any(|enumerator| enumerator.value < 0);
            EnumInteger::Plain { size, is_signed }
        }
        (None, None) => return Err(entry.bad("an enumeration has neither a type nor a size")),
    };
    Ok(Shape::Enum {
        tag,
        integer: Some(integer),
    })
}

pub(super) fn enumerators(entry: &Entry<'_>) -> Result<Vec<EnumeratorDescription>> {
    if entry.tag() == dw::DW_TAG_variant_part {
        return variants::enumerators(entry);
    }
    if let Some(defined) = definition(entry)? {
        return enumerators(&defined);
    }
    let signed_size = signed_size(entry)?;
    let mut enumerators = Vec::new();
    entry.for_each_child(|child| {
        if child.tag() == dw::DW_TAG_enumerator {
            enumerators.push(EnumeratorDescription {
                name: child.name()?.unwrap_or_default(),
                value: objects::integer(child, dw::DW_AT_const_value, signed_size)?,
            });
        }
        Ok(())
    })?;
    Ok(enumerators)
}

/// The integer type that an enumeration says to be stored as, behind its typedefs and qualifiers.
fn integer_behind<'a>(entry: &Entry<'a>) -> Result<Option<Entry<'a>>> {
    let mut id = entry.type_id()?;
    for _ in 0..GREATEST_QUALIFIER_CHAIN {
        let Some(current) = id else { return Ok(None) };
        let next = entry.source.entry(current)?;
        if next.tag() == dw::DW_TAG_base_type {
            return Ok(Some(next));
        }
        if next.tag() != dw::DW_TAG_typedef && qualifier(next.tag()).is_none() {
            return Ok(None);
        }
        id = next.type_id()?;
    }
    Ok(None)
}

/// The size of the integer behind an enumeration, if it can be negative.
pub(super) fn signed_size(entry: &Entry<'_>) -> Result<Option<u64>> {
    let Some(integer) = integer_behind(entry)? else {
        return Ok(None);
    };
    let is_signed = matches!(
        integer.value(dw::DW_AT_encoding),
        Some(AttributeValue::Encoding(
            dw::DW_ATE_signed | dw::DW_ATE_signed_char
        ))
    );
    Ok(integer.unsigned(dw::DW_AT_byte_size).filter(|_| is_signed))
}

fn pointer(entry: &Entry<'_>, kind: PointerKind) -> Result<Shape> {
    let size = entry
        .unsigned(dw::DW_AT_byte_size)
        .unwrap_or_else(|| u64::from(entry.view.unit.encoding().address_size));
    Ok(Shape::Pointer {
        kind,
        target: entry.type_id()?,
        size,
        byte_order: byte_order(entry),
    })
}

/// The type of `nullptr`, which has the size of a pointer, or one of which nothing is known.
fn unspecified(entry: &Entry<'_>) -> Result<Shape> {
    let is_null_pointer = entry.name()?.is_some_and(|name| name.contains("nullptr"));
    if is_null_pointer {
        pointer(entry, PointerKind::Pointer)
    } else {
        Ok(Shape::Void)
    }
}

fn array(entry: &Entry<'_>) -> Result<Shape> {
    let mut dimensions = Vec::new();
    entry.for_each_child(|child| {
        match child.tag() {
            dw::DW_TAG_subrange_type | dw::DW_TAG_enumeration_type => {
                dimensions.push(dimension(child));
            }
            _ => {}
        }
        Ok(())
    })?;
    if dimensions.is_empty() {
        dimensions.push(None);
    }
    Ok(Shape::Array {
        element: entry.type_id()?,
        dimensions,
    })
}

/// The number of elements of a dimension. `None` if it is not said, or computed when the program
/// runs.
fn dimension(entry: &Entry<'_>) -> Option<u64> {
    if let Some(count) = entry.value(dw::DW_AT_count) {
        return count.udata_value();
    }
    let upper = entry.value(dw::DW_AT_upper_bound)?;
    let lower = entry
        .value(dw::DW_AT_lower_bound)
        .and_then(|lower| lower.sdata_value());
    // gcc gives an array of no elements an upper bound of -1, as a number of any size.
    let length = match upper {
        AttributeValue::Data4(u32::MAX) | AttributeValue::Data8(u64::MAX) => 0,
        _ => match upper.udata_value() {
            Some(upper) => upper
                .wrapping_sub(lower.unwrap_or(0) as u64)
                .wrapping_add(1),
            None => (upper.sdata_value()? == -1).then_some(0)?,
        },
    };
    Some(length)
}

fn function(entry: &Entry<'_>) -> Result<Shape> {
    let mut parameters = Vec::new();
    let mut is_variadic = false;
    // An instance of a function has parameters of its own, which say where they are.
    let described = match entry.origin()? {
        Some(origin) if entry.value(dw::DW_AT_specification).is_none() => origin,
        _ => entry.source.entry(entry.id())?,
    };
    described.for_each_child(|child| {
        match child.tag() {
            dw::DW_TAG_formal_parameter => parameters.push(ParameterDescription {
                name: child.find_in_origins(Entry::name)?,
                type_id: child.find_in_origins(Entry::type_id)?,
            }),
            dw::DW_TAG_unspecified_parameters => is_variadic = true,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Shape::Function {
        returns: entry.find_in_origins(Entry::type_id)?,
        parameters,
        is_variadic,
    })
}

fn qualifier(tag: gimli::DwTag) -> Option<Qualifiers> {
    Some(match tag {
        dw::DW_TAG_const_type | dw::DW_TAG_immutable_type => Qualifiers::CONST,
        dw::DW_TAG_volatile_type => Qualifiers::VOLATILE,
        dw::DW_TAG_restrict_type => Qualifiers::RESTRICT,
        dw::DW_TAG_atomic_type => Qualifiers::ATOMIC,
        _ => return None,
    })
}

fn qualified(entry: &Entry<'_>) -> Result<Shape> {
    let mut qualifiers = qualifier(entry.tag()).unwrap_or_default();
    let mut target = entry.type_id()?;
    for _ in 0..GREATEST_QUALIFIER_CHAIN {
        let Some(id) = target else { break };
        let next = entry.source.entry(id)?;
        let Some(more) = qualifier(next.tag()) else {
            return Ok(Shape::Qualified { qualifiers, target });
        };
        qualifiers |= more;
        target = next.type_id()?;
    }
    if target.is_some() {
        return Err(entry.bad("a type has too many qualifiers"));
    }
    Ok(Shape::Qualified { qualifiers, target })
}

pub(super) fn template_parameters(entry: &Entry<'_>) -> Result<Vec<TemplateParameterDescription>> {
    if let Some(defined) = definition(entry)? {
        return template_parameters(&defined);
    }
    let mut parameters = Vec::new();
    add_template_parameters(entry, &mut parameters)?;
    Ok(parameters)
}

fn add_template_parameters(
    entry: &Entry<'_>,
    parameters: &mut Vec<TemplateParameterDescription>,
) -> Result<()> {
    entry.for_each_child(|child| {
        let value = match child.tag() {
            dw::DW_TAG_template_type_parameter => None,
            dw::DW_TAG_template_value_parameter => objects::constant_value(child)?,
            // The arguments of `typename... T`; a pack holds no other packs.
            dw::DW_TAG_GNU_template_parameter_pack
                if entry.tag() != dw::DW_TAG_GNU_template_parameter_pack =>
            {
                return add_template_parameters(child, parameters);
            }
            _ => return Ok(()),
        };
        parameters.push(TemplateParameterDescription {
            name: child.name()?,
            type_id: child.type_id()?,
            value,
            is_default: child.flag(dw::DW_AT_default_value),
        });
        Ok(())
    })
}
