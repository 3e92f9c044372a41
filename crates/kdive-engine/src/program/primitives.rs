//! C's own types, as the program has them.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use kdive_target::{ByteOrder, Platform};

use super::Program;
use super::lookup::check_kind;
use crate::Result;
use crate::types::{Language, PointerKind, PrimitiveType, Type, TypeKinds};

/// The primitive types that were asked for. Reading takes no lock.
#[derive(Default)]
pub(crate) struct Primitives {
    found: ArcSwap<[OnceLock<Type>; PrimitiveType::ALL.len()]>,
}

impl Primitives {
    pub(crate) fn clear(&self) {
        self.found.store(Arc::default());
    }

    fn get(&self, primitive: PrimitiveType) -> Option<Type> {
        self.found.load()[primitive as usize].get().cloned()
    }

    fn keep(&self, primitive: PrimitiveType, ty: Type) -> Type {
        self.found.load()[primitive as usize]
            .get_or_init(|| ty)
            .clone()
    }

    pub(crate) fn void(&self, language: Language) -> Type {
        self.get(PrimitiveType::Void)
            .unwrap_or_else(|| self.keep(PrimitiveType::Void, Type::void(language)))
    }
}

impl Program {
    /// One of C's own types: as debug information has it, else as the platform's ABI has it.
    pub fn primitive_type(&self, primitive: PrimitiveType) -> Result<Type> {
        if let Some(ty) = self.primitives.get(primitive) {
            return Ok(ty);
        }
        let ty = match primitive {
            PrimitiveType::Void => Type::void(self.language()),
            _ => match self.find_primitive(primitive)? {
                Some(ty) => ty,
                None => self.default_primitive(primitive)?,
            },
        };
        Ok(self.primitives.keep(primitive, ty))
    }

    fn find_primitive(&self, primitive: PrimitiveType) -> Result<Option<Type>> {
        let kinds = match primitive {
            PrimitiveType::Bool => TypeKinds::BOOL,
            PrimitiveType::Float | PrimitiveType::Double | PrimitiveType::LongDouble => {
                TypeKinds::FLOAT
            }
            PrimitiveType::SizeT | PrimitiveType::PtrdiffT => TypeKinds::TYPEDEF,
            _ => TypeKinds::INT,
        };
        let program = self.shared()?;
        for spelling in primitive.spellings() {
            for finder in self.type_finders().asked().iter() {
                if let Some(ty) = finder.find(&program, kinds, spelling, None)? {
                    check_kind(&ty, kinds)?;
                    if ty.primitive() == Some(primitive) {
                        return Ok(Some(ty));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Whether `char` is signed in the ABI of the platform.
    pub(crate) fn char_is_signed(&self) -> Result<bool> {
        Ok(char_is_signed(self.known_platform()?))
    }

    fn default_primitive(&self, primitive: PrimitiveType) -> Result<Type> {
        let platform = self.known_platform()?;
        let language = self.language();
        let order = platform.byte_order;
        let word = u64::from(platform.address_size());
        let name = primitive.spelling();
        let int = |size, is_signed| Type::int(name, size, is_signed, order, language);
        Ok(match primitive {
            PrimitiveType::Void => Type::void(language),
            PrimitiveType::Char => int(1, char_is_signed(platform)),
            PrimitiveType::SignedChar => int(1, true),
            PrimitiveType::UnsignedChar => int(1, false),
            PrimitiveType::Short => int(2, true),
            PrimitiveType::UnsignedShort => int(2, false),
            PrimitiveType::Int => int(4, true),
            PrimitiveType::UnsignedInt => int(4, false),
            PrimitiveType::Long => int(word, true),
            PrimitiveType::UnsignedLong => int(word, false),
            PrimitiveType::LongLong => int(8, true),
            PrimitiveType::UnsignedLongLong => int(8, false),
            PrimitiveType::Bool => Type::bool(
                if language == Language::Cpp {
                    "bool"
                } else {
                    name
                },
                1,
                order,
                language,
            ),
            PrimitiveType::Float => Type::float(name, 4, order, language),
            PrimitiveType::Double => Type::float(name, 8, order, language),
            PrimitiveType::LongDouble => Type::float(name, 16, order, language),
            PrimitiveType::SizeT => Type::typedef(
                name,
                self.primitive_type(PrimitiveType::UnsignedLong)?,
                language,
            ),
            PrimitiveType::PtrdiffT => {
                Type::typedef(name, self.primitive_type(PrimitiveType::Long)?, language)
            }
        })
    }

    /// The type of pointers to `target` on this platform.
    pub fn pointer_type(&self, target: &Type, kind: PointerKind) -> Result<Type> {
        let size = u64::from(self.address_size()?);
        let order: ByteOrder = self.byte_order();
        Ok(self.cache.pointer(target, kind as u8, || {
            Type::pointer(target.clone(), kind, size, order, target.language())
        }))
    }
}

/// The ABIs of Arm, PowerPC, RISC-V and Z have an unsigned `char`.
fn char_is_signed(platform: Platform) -> bool {
    use kdive_target::Architecture as A;
    !matches!(
        platform.architecture,
        A::Aarch64 | A::Arm | A::Ppc64 | A::Riscv64 | A::Riscv32 | A::S390x | A::S390
    )
}
