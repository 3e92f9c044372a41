//! What follows from a type and is worked out once: the type behind an alias, the structure
//! behind a pointer, and how values are laid out.
//!
//! What is kept here is owned. No structure owns the types of its imported members, so types
//! that refer to each other in circles do not keep each other alive.

use std::sync::OnceLock;

use super::{Detail, MAX_DEPTH, Type, TypeKind, too_deep};
use crate::Result;
use crate::object::Layout;

/// What has been worked out of one type.
#[derive(Default)]
pub(crate) struct Derived {
    real: OnceLock<Type>,
    pointee: OnceLock<Type>,
    layout: OnceLock<Layout>,
}

impl Derived {
    /// The types that are kept here.
    pub(crate) fn into_owned(self) -> impl Iterator<Item = Type> {
        self.real
            .into_inner()
            .into_iter()
            .chain(self.pointee.into_inner())
    }
}

impl Type {
    /// The type behind all aliases, without the qualifiers of this handle.
    #[inline]
    pub(crate) fn real(&self) -> Result<&Type> {
        if self.kind() != TypeKind::Typedef {
            return Ok(self);
        }
        match self.data.derived.real.get() {
            Some(real) => Ok(real),
            None => self.find_real(),
        }
    }

    #[cold]
    fn find_real(&self) -> Result<&Type> {
        let real = self.follow_aliases()?;
        Ok(self.data.derived.real.get_or_init(|| real))
    }

    fn follow_aliases(&self) -> Result<Type> {
        let mut current = self.unqualified();
        for _ in 0..MAX_DEPTH {
            match &current.data.detail {
                Detail::Alias { target } => {
                    let mut next = target.get()?;
                    next.qualifiers |= current.qualifiers;
                    current = next;
                }
                _ => return Ok(current),
            }
        }
        Err(too_deep("typedefs"))
    }

    /// The type behind all aliases, with the qualifiers of this type and of the aliases.
    pub fn unaliased(&self) -> Result<Type> {
        let real = self.real()?;
        Ok(real.qualified(real.qualifiers | self.qualifiers))
    }

    /// The kind of the type behind all aliases.
    #[inline]
    pub fn unaliased_kind(&self) -> Result<TypeKind> {
        Ok(self.real()?.kind())
    }

    /// The structure, union or class, behind aliases, that a pointer points to; none for
    /// pointers to anything else and for other kinds.
    pub(crate) fn pointee(&self) -> Result<Option<&Type>> {
        let Detail::Pointer { target, .. } = &self.data.detail else {
            return Ok(None);
        };
        let derived = &self.data.derived;
        if let Some(pointee) = derived.pointee.get() {
            return Ok(Some(pointee));
        }
        let pointee = target.get()?.unaliased()?;
        if !pointee.kind().is_compound() {
            return Ok(None);
        }
        Ok(Some(derived.pointee.get_or_init(|| pointee)))
    }

    /// How values that are no bit fields are laid out.
    #[inline]
    pub(crate) fn layout(&self) -> Result<Layout> {
        match self.data.derived.layout.get() {
            Some(layout) => Ok(*layout),
            None => self.work_out_layout(),
        }
    }

    #[cold]
    fn work_out_layout(&self) -> Result<Layout> {
        let layout = Layout::work_out(self.real()?)?;
        Ok(*self.data.derived.layout.get_or_init(|| layout))
    }
}
