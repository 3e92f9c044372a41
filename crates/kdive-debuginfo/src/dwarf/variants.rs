//! Structures of which one of several variants is there, as an `enum` of Rust whose variants have
//! values.
//!
//! C has no such thing. All variants are given as members at the same place, and before them
//! [`DISCRIMINANT`] tells which one counts: an enumeration of their names. A number that is none
//! of the enumerators stands for the variant that has no enumerator.

use gimli::constants as dw;

use super::entry::Entry;
use super::{objects, types};
use crate::Result;
use crate::description::{EnumInteger, EnumeratorDescription, MemberDescription, Shape};

/// What is called so has no name in Rust, which calls the values of a variant `__0`, `__1`, ….
const DISCRIMINANT: &str = "__discriminant";

/// The members that a `DW_TAG_variant_part` gives to its structure.
pub(super) fn members(part: &Entry<'_>) -> Result<Vec<MemberDescription>> {
    let mut members = Vec::new();
    if let Some(discriminant) = discriminant(part)? {
        members.push(MemberDescription {
            name: Some(DISCRIMINANT.into()),
            type_id: Some(part.id()),
            ..types::member(&discriminant, false)?
        });
    }
    for_each_variant(part, |_, member| {
        members.push(types::member(member, false)?);
        Ok(())
    })?;
    Ok(members)
}

/// The discriminant of a `DW_TAG_variant_part` as an enumeration.
pub(super) fn enumeration(part: &Entry<'_>) -> Result<Shape> {
    let integer = discriminant(part)?.map_or(Ok(None), |entry| entry.type_id())?;
    Ok(Shape::Enum {
        tag: None,
        integer: integer.map(EnumInteger::Type),
    })
}

/// The variants that one value of the discriminant each stands for.
pub(super) fn enumerators(part: &Entry<'_>) -> Result<Vec<EnumeratorDescription>> {
    let signed_size = match discriminant(part)? {
        Some(discriminant) => types::signed_size(&discriminant)?,
        None => None,
    };
    let mut enumerators = Vec::new();
    for_each_variant(part, |variant, member| {
        if variant.value(dw::DW_AT_discr_value).is_some() {
            enumerators.push(EnumeratorDescription {
                name: member.name()?.unwrap_or_default(),
                value: objects::integer(variant, dw::DW_AT_discr_value, signed_size)?,
            });
        }
        Ok(())
    })?;
    Ok(enumerators)
}

fn discriminant<'a>(part: &Entry<'a>) -> Result<Option<Entry<'a>>> {
    let id = part.reference(dw::DW_AT_discr)?;
    id.map(|id| part.source.entry(id)).transpose()
}

/// Visits the members of each variant, with the variant.
fn for_each_variant<'a>(
    part: &Entry<'a>,
    mut visit: impl FnMut(&Entry<'a>, &Entry<'a>) -> Result<()>,
) -> Result<()> {
    part.for_each_child(|variant| {
        if variant.tag() != dw::DW_TAG_variant {
            return Ok(());
        }
        variant.for_each_child(|member| {
            if member.tag() == dw::DW_TAG_member {
                visit(variant, member)?;
            }
            Ok(())
        })
    })
}
