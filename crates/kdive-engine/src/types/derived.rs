//! What follows from a type and is worked out once: the type behind an alias, the structure
//! behind a pointer, and how values are laid out.
//!
//! What is kept here is owned. No structure owns the types of its imported members, so types
//! that refer to each other in circles do not keep each other alive.

use std::sync::OnceLock;

use kdive_target::ByteOrder;

use super::{Detail, MAX_DEPTH, PrimitiveType, Type, TypeKind, too_deep};
use crate::Result;
use crate::object::{Encoding, Layout};

/// What has been worked out of one type.
#[derive(Default)]
pub(crate) struct Derived {
    real: OnceLock<Type>,
    pointee: OnceLock<Type>,
    layout: OnceLock<Layout>,
    scalar: OnceLock<Option<Scalar>>,
}

/// What C's operators must know of an integer, truth value, enumeration or pointer of at most
/// 64 bits.
#[derive(Clone, Copy)]
pub(crate) struct Scalar {
    pub(crate) class: ScalarClass,
    /// The number of bits, 1 to 64.
    pub(crate) width: u8,
    pub(crate) is_signed: bool,
    pub(crate) is_bool: bool,
    pub(crate) order: ByteOrder,
}

/// How C's operators treat a scalar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarClass {
    Pointer,
    /// One of C's own integers, with its rank.
    Integer(u8),
    /// Enumerations, and integers that C does not name.
    Other,
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

    /// What C's operators must know of it; none of wider scalars and of anything else, also where
    /// debug information is damaged.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "it is a load and a comparison, but for the first time"
    )]
    pub(crate) fn scalar(&self) -> Option<Scalar> {
        match self.data.derived.scalar.get() {
            Some(scalar) => *scalar,
            None => self.work_out_scalar(),
        }
    }

    #[cold]
    fn work_out_scalar(&self) -> Option<Scalar> {
        let real = self.real().ok()?;
        let layout = real.layout().ok()?;
        let class = match real.kind() {
            TypeKind::Pointer => ScalarClass::Pointer,
            TypeKind::Int | TypeKind::Bool => real
                .primitive()
                .and_then(PrimitiveType::rank)
                .map_or(ScalarClass::Other, ScalarClass::Integer),
            _ => ScalarClass::Other,
        };
        let is_integer = matches!(
            layout.encoding,
            Encoding::Signed | Encoding::Unsigned | Encoding::Bool
        );
        let width = u8::try_from(layout.bits).ok();
        let width = width.filter(|width| is_integer && (1..=64).contains(width));
        let scalar = width.map(|width| Scalar {
            class,
            width,
            is_signed: layout.encoding == Encoding::Signed,
            is_bool: layout.encoding == Encoding::Bool,
            order: layout.byte_order,
        });
        *self.data.derived.scalar.get_or_init(|| scalar)
    }
}
