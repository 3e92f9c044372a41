//! Members by name, those of anonymous members and base classes included.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::{Detail, MAX_DEPTH, Member, Type, TypeData, too_deep};
use crate::{Error, Result};

/// How many members one type may have, those of its anonymous members included.
const MAX_MEMBERS: usize = 1 << 20;

/// Where the members of one type are, by name.
pub(crate) struct MemberTable {
    by_name: HashMap<Arc<str>, Place, FixedState>,
}

struct Place {
    /// The anonymous member or base class that declares the member; none for the type itself.
    owner: Option<Arc<TypeData>>,
    index: usize,
    bit_offset: u64,
}

/// A member that was found by name.
#[derive(Clone)]
pub struct FoundMember {
    /// Its type.
    pub ty: Type,
    /// Its offset in bits from the start of the type in which it was looked for.
    pub bit_offset: u64,
    /// Its size in bits, if it is a bit field.
    pub bit_field_size: Option<u64>,
}

impl Type {
    /// Finds a member of a structure, union or class by name, also within anonymous members and
    /// base classes. The first one wins.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "see kdive_engine::object::access")]
    pub fn find_member(&self, name: &str) -> Result<Option<FoundMember>> {
        match self.known_member(name) {
            None => self.look_for_member(name),
            found => Ok(found),
        }
    }

    /// Finds a member whose type was found before: nothing can go wrong.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "see kdive_engine::object::access")]
    fn known_member(&self, name: &str) -> Option<FoundMember> {
        let Detail::Compound {
            members: Some(members),
            table,
            ..
        } = &self.data.detail
        else {
            return None;
        };
        let place = table.get()?.by_name.get(name)?;
        let declared_in = match &place.owner {
            None => members,
            Some(owner) => match &owner.detail {
                Detail::Compound {
                    members: Some(members),
                    ..
                } => members,
                _ => return None,
            },
        };
        let member = declared_in.known()?.get(place.index)?;
        let (ty, bit_field_size) = member.content.known_type()?;
        Some(FoundMember {
            ty,
            bit_offset: place.bit_offset,
            bit_field_size,
        })
    }

    #[inline(never)]
    fn look_for_member(&self, name: &str) -> Result<Option<FoundMember>> {
        let Some((member, bit_offset)) = self.locate_member(name)? else {
            return Ok(None);
        };
        Ok(Some(FoundMember {
            ty: member.ty()?,
            bit_offset,
            bit_field_size: member.bit_field_size()?,
        }))
    }

    /// Finds a member like [`Type::find_member`], with an error that names the type.
    pub fn member(&self, name: &str) -> Result<FoundMember> {
        match self.find_member(name)? {
            Some(found) => Ok(found),
            None => Err(self.no_such_member(name)?),
        }
    }

    /// The member as it was declared, at its offset within this type.
    pub fn declared_member(&self, name: &str) -> Result<Member> {
        match self.locate_member(name)? {
            Some((member, bit_offset)) => Ok(Member {
                bit_offset,
                ..member.clone()
            }),
            None => Err(self.no_such_member(name)?),
        }
    }

    fn no_such_member(&self, name: &str) -> Result<Error> {
        let type_name = self.type_name()?;
        Ok(Error::NoMember(format!(
            "'{type_name}' has no member '{name}'"
        )))
    }

    /// The names of the members that can be found, sorted; none of a type without members.
    pub fn member_names(&self) -> Result<Vec<Arc<str>>> {
        if !self.kind().is_compound() {
            return Ok(Vec::new());
        }
        let table = self.member_table()?;
        let mut names: Vec<_> = table.map_or_else(Vec::new, |(_, table)| {
            table.by_name.keys().cloned().collect()
        });
        names.sort_unstable();
        Ok(names)
    }

    /// Whether a structure, union or class has a member of this name.
    pub fn has_member(&self, name: &str) -> Result<bool> {
        Ok(self.locate_member(name)?.is_some())
    }

    /// The type's own members, and the places of all that can be found; none if it is only
    /// declared.
    #[inline]
    fn member_table(&self) -> Result<Option<(&[Member], &MemberTable)>> {
        let Detail::Compound { members, table, .. } = &self.data.detail else {
            return Err(Error::Type(format!(
                "'{}' is not a structure, union, or class",
                self.type_name()?
            )));
        };
        let Some(members) = members else {
            return Ok(None);
        };
        let members = members.get()?;
        let table = if let Some(table) = table.get() {
            table
        } else {
            let built = MemberTable::build(members)?;
            table.get_or_init(|| built)
        };
        Ok(Some((members, table)))
    }

    /// The member as it was declared, and its offset in bits within this type.
    pub fn locate_member(&self, name: &str) -> Result<Option<(&Member, u64)>> {
        let Some((members, table)) = self.member_table()? else {
            return Ok(None);
        };
        let Some(place) = table.by_name.get(name) else {
            return Ok(None);
        };
        let declared_in = match &place.owner {
            None => members,
            Some(owner) => match &owner.detail {
                Detail::Compound {
                    members: Some(members),
                    ..
                } => members.get()?,
                _ => &[],
            },
        };
        Ok(declared_in
            .get(place.index)
            .map(|member| (member, place.bit_offset)))
    }
}

impl MemberTable {
    fn build(members: &[Member]) -> Result<Self> {
        let mut table = Self {
            by_name: HashMap::default(),
        };
        table.add(None, members, 0, 0, &mut { MAX_MEMBERS })?;
        Ok(table)
    }

    fn add(
        &mut self,
        owner: Option<&Arc<TypeData>>,
        members: &[Member],
        base: u64,
        depth: usize,
        budget: &mut usize,
    ) -> Result<()> {
        // Only damaged debug information has types that contain themselves.
        if depth > MAX_DEPTH || *budget < members.len() {
            return Err(too_deep("anonymous members"));
        }
        *budget -= members.len();
        for (index, member) in members.iter().enumerate() {
            let bit_offset = base.wrapping_add(member.bit_offset);
            if let Some(name) = &member.name
                && !member.is_base_class
            {
                self.by_name.entry(name.clone()).or_insert_with(|| Place {
                    owner: owner.cloned(),
                    index,
                    bit_offset,
                });
            }
        }
        // A name of the type itself hides one of a base class, so those come second.
        for bases in [false, true] {
            for member in members
                .iter()
                .filter(|member| member.is_base_class == bases && (bases || member.name.is_none()))
            {
                let bit_offset = base.wrapping_add(member.bit_offset);
                let inner = member.ty()?.unaliased()?;
                if let Detail::Compound {
                    members: Some(nested),
                    ..
                } = &inner.data.detail
                {
                    self.add(
                        Some(&inner.data),
                        nested.get()?,
                        bit_offset,
                        depth + 1,
                        budget,
                    )?;
                }
            }
        }
        Ok(())
    }
}
