//! What a type refers to, found when it is first asked for.

#![allow(
    clippy::inline_always,
    reason = "what has been found is a few loads away, and costs more when it is returned in memory"
)]

use std::sync::{Arc, OnceLock, Weak};

use kdive_debuginfo::description::TypeId;

use super::{ImportedTypes, Qualifiers, Type, TypeData};
use crate::object::Object;
use crate::{Error, Result};

/// A reference from one type to another.
///
/// References within debug information are weak, since types refer to each other in circles;
/// the program owns what was imported.
#[derive(Clone)]
pub(crate) enum Link {
    Ready(Type),
    Imported(Arc<ImportedLink>),
}

pub(crate) struct ImportedLink {
    origin: Weak<ImportedTypes>,
    /// None is `void`.
    id: Option<TypeId>,
    target: OnceLock<(Weak<TypeData>, Qualifiers)>,
}

impl Link {
    pub(crate) fn imported(origin: Weak<ImportedTypes>, id: Option<TypeId>) -> Self {
        Self::Imported(Arc::new(ImportedLink {
            origin,
            id,
            target: OnceLock::new(),
        }))
    }

    #[inline]
    pub(crate) fn get(&self) -> Result<Type> {
        match self {
            Self::Ready(ty) => Ok(ty.clone()),
            Self::Imported(link) => link.get(),
        }
    }

    /// The type, if it has been found before.
    #[inline(always)]
    fn known(&self) -> Option<Type> {
        match self {
            Self::Ready(ty) => Some(ty.clone()),
            Self::Imported(link) => link.known(),
        }
    }
}

impl Link {
    /// The type that this reference owns.
    pub(crate) fn into_owned(self) -> Option<Type> {
        match self {
            Self::Ready(ty) => Some(ty),
            Self::Imported(_) => None,
        }
    }
}

impl ImportedLink {
    #[inline]
    fn get(&self) -> Result<Type> {
        match self.known() {
            Some(ty) => Ok(ty),
            None => self.find(),
        }
    }

    #[inline(always)]
    fn known(&self) -> Option<Type> {
        let (data, qualifiers) = self.target.get()?;
        Some(Type {
            data: data.upgrade()?,
            qualifiers: *qualifiers,
        })
    }

    #[cold]
    fn find(&self) -> Result<Type> {
        let origin = self.origin.upgrade().ok_or_else(|| {
            Error::Value("the program that this type belongs to is gone".to_owned())
        })?;
        let ty = origin.get(self.id)?;
        // Another thread may have been first; both found the same type.
        let _ = self.target.set((Arc::downgrade(&ty.data), ty.qualifiers));
        Ok(ty)
    }
}

/// A list that is read from debug information when it is first asked for.
pub(crate) struct LazyList<T> {
    items: OnceLock<Vec<T>>,
    read: Option<Box<ReadList<T>>>,
}

type ReadList<T> = dyn Fn() -> Result<Vec<T>> + Send + Sync;

impl<T> LazyList<T> {
    pub(crate) fn ready(items: Vec<T>) -> Self {
        Self {
            items: OnceLock::from(items),
            read: None,
        }
    }

    pub(crate) fn lazy(read: impl Fn() -> Result<Vec<T>> + Send + Sync + 'static) -> Self {
        Self {
            items: OnceLock::new(),
            read: Some(Box::new(read)),
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> Result<&[T]> {
        if let Some(items) = self.items.get() {
            return Ok(items);
        }
        self.read()
    }

    /// The items, if they have been read before.
    #[inline(always)]
    pub(super) fn known(&self) -> Option<&[T]> {
        self.items.get().map(Vec::as_slice)
    }

    /// What has been read.
    pub(crate) fn into_items(self) -> Vec<T> {
        self.items.into_inner().unwrap_or_default()
    }

    #[cold]
    fn read(&self) -> Result<&[T]> {
        let items = match &self.read {
            Some(read) => read()?,
            None => Vec::new(),
        };
        Ok(self.items.get_or_init(|| items))
    }
}

/// What a member, a parameter or a template parameter stands for.
#[derive(Clone)]
pub struct Content(Inner);

#[derive(Clone)]
enum Inner {
    Type {
        link: Link,
        bit_field_size: Option<u64>,
    },
    Object(Box<Object>),
    Thunk {
        thunk: Arc<dyn Thunk>,
        value: Arc<OnceLock<Argument>>,
    },
}

/// A function, provided from outside, that gives the content of a member or parameter.
pub trait Thunk: Send + Sync {
    /// Finds the content. It is called once, or again after an error.
    fn evaluate(&self) -> Result<Argument>;
}

/// A type or an object.
#[derive(Clone)]
pub enum Argument {
    /// A type.
    Type(Type),
    /// An object: a default argument, a template argument, or an absent object that tells the
    /// type and the bit-field size of a member.
    Object(Object),
}

impl Content {
    pub(crate) fn link(link: Link, bit_field_size: Option<u64>) -> Self {
        Self(Inner::Type {
            link,
            bit_field_size,
        })
    }

    /// The type that this owns.
    pub(crate) fn into_owned(self) -> Option<Type> {
        match self.0 {
            Inner::Type { link, .. } => link.into_owned(),
            Inner::Object(object) => Some(object.ty),
            Inner::Thunk { .. } => None,
        }
    }

    /// A type.
    pub fn from_type(ty: Type) -> Self {
        Self::link(Link::Ready(ty), None)
    }

    /// A bit field of a type.
    pub fn from_bit_field(ty: Type, bit_field_size: u64) -> Self {
        Self::link(Link::Ready(ty), Some(bit_field_size))
    }

    /// An object.
    pub fn from_object(object: Object) -> Self {
        Self(Inner::Object(Box::new(object)))
    }

    /// What a function gives, when it is asked for.
    pub fn from_thunk(thunk: Arc<dyn Thunk>) -> Self {
        Self(Inner::Thunk {
            thunk,
            value: Arc::default(),
        })
    }

    /// The type or object.
    pub fn argument(&self) -> Result<Argument> {
        match &self.0 {
            Inner::Type { link, .. } => link.get().map(Argument::Type),
            Inner::Object(object) => Ok(Argument::Object((**object).clone())),
            Inner::Thunk { thunk, value } => {
                if let Some(value) = value.get() {
                    return Ok(value.clone());
                }
                // Evaluated outside of the cell: the function may come back to this type.
                let found = thunk.evaluate()?;
                Ok(value.get_or_init(|| found).clone())
            }
        }
    }

    /// The type, or the type of the object.
    #[inline]
    pub fn ty(&self) -> Result<Type> {
        match &self.0 {
            Inner::Type { link, .. } => link.get(),
            _ => match self.argument()? {
                Argument::Type(ty) => Ok(ty),
                Argument::Object(object) => Ok(object.ty().clone()),
            },
        }
    }

    /// The type and the size of a bit field, if they have been found before.
    #[inline(always)]
    pub(super) fn known_type(&self) -> Option<(Type, Option<u64>)> {
        match &self.0 {
            Inner::Type {
                link,
                bit_field_size,
            } => Some((link.known()?, *bit_field_size)),
            _ => None,
        }
    }

    /// The size of a bit field in bits.
    #[inline]
    pub fn bit_field_size(&self) -> Result<Option<u64>> {
        match &self.0 {
            Inner::Type { bit_field_size, .. } => Ok(*bit_field_size),
            _ => match self.argument()? {
                Argument::Type(_) => Ok(None),
                Argument::Object(object) => Ok(object.bit_field_size()),
            },
        }
    }
}
