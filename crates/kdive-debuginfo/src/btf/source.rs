//! Types and objects of BTF by name.

use std::sync::{Arc, OnceLock};

use super::records::{Btf, Record, kind};
use crate::compiler::ArrayOrder;
use crate::description::{
    CompoundKind, EnumInteger, EnumeratorDescription, Language, Location, MemberDescription,
    ObjectDescription, ObjectKinds, ParameterDescription, PointerKind, Qualifiers, Shape,
    TypeDescription, TypeId, TypeKinds,
};
use crate::names::{EnumeratorTable, NameTable, enumerators_called};
use crate::{Result, TypeSource};

/// What BTF does not say of the program that it belongs to.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The size of a pointer in bytes.
    pub pointer_size: u8,
    /// Whether `char` is signed, as is usual for the architecture: old BTF does not say.
    pub char_is_signed: bool,
    /// In which order the compiler wrote arrays of arrays.
    pub arrays: ArrayOrder,
    /// The kernel module whose types these are, if they are of one.
    pub module: Option<Arc<str>>,
}

/// The types of a kernel or module out of its BTF.
///
/// BTF has the types of functions and of per-CPU variables, and no addresses: those come from
/// symbols. It says nothing of files, so a search by file name finds nothing.
pub struct BtfSource {
    btf: Arc<Btf>,
    environment: Environment,
    names: NameTable,
    /// Made when first needed.
    enumerators: OnceLock<EnumeratorTable>,
}

/// How many qualifiers, tags or dimensions of an array may follow each other.
const MAX_CHAIN: usize = 64;

impl BtfSource {
    /// The types and objects of a table, without those of its base.
    pub fn new(btf: Arc<Btf>, environment: Environment) -> Result<BtfSource> {
        let mut by_name = Vec::with_capacity(btf.ids().len());
        for id in btf.ids() {
            let record = btf.record(id)?;
            if record.name != 0 && !matches!(record.kind, kind::DECL_TAG | kind::TYPE_TAG) {
                by_name.push((btf.string(record.name)?, id));
            }
        }
        let names = NameTable::new(by_name.into_iter());
        Ok(BtfSource {
            btf,
            environment,
            names,
            enumerators: OnceLock::new(),
        })
    }

    /// The records called `name`, with their IDs.
    fn named(&self, name: &str) -> Result<Vec<(u32, Record<'_>)>> {
        // Every name was read once when the table was sorted.
        let name_of = |id| {
            self.btf
                .record(id)
                .and_then(|record| self.btf.string(record.name))
                .unwrap_or_default()
        };
        self.names
            .find(name, name_of)
            .iter()
            .map(|id| Ok((*id, self.btf.record(*id)?)))
            .collect()
    }

    fn name(&self, record: &Record<'_>) -> Result<Option<Arc<str>>> {
        match record.name {
            0 => Ok(None),
            offset => Ok(Some(self.btf.string(offset)?.into())),
        }
    }

    fn record(&self, id: TypeId) -> Result<Record<'_>> {
        let record = u32::try_from(id.0).map(|id| self.btf.record(id));
        record.unwrap_or_else(|_| Err(self.btf.bad(format!("BTF type ID {} is too large", id.0))))
    }

    /// The definition, if there is one, of a structure or union that is only declared.
    fn definition(&self, record: &Record<'_>) -> Result<Option<Record<'_>>> {
        let wanted = if record.flag {
            kind::UNION
        } else {
            kind::STRUCT
        };
        let named = self.named(self.btf.string(record.name)?)?;
        Ok(named
            .into_iter()
            .map(|(_, record)| record)
            .find(|record| record.kind == wanted))
    }

    /// A structure or union, or the definition of one.
    fn defined(&self, id: TypeId) -> Result<Record<'_>> {
        let record = self.record(id)?;
        match record.kind {
            kind::FWD => Ok(self.definition(&record)?.unwrap_or(record)),
            _ => Ok(record),
        }
    }

    fn enumerator_names(&self) -> Result<&EnumeratorTable> {
        if let Some(names) = self.enumerators.get() {
            return Ok(names);
        }
        let mut names = Vec::new();
        for id in self.btf.ids() {
            let record = self.btf.record(id)?;
            let words = match record.kind {
                kind::ENUM => 2,
                kind::ENUM64 => 3,
                _ => continue,
            };
            for index in 0..record.count as usize {
                let name = self.btf.string(record.word(index * words, &self.btf)?)?;
                names.push((Arc::from(name), id));
            }
        }
        Ok(self.enumerators.get_or_init(|| EnumeratorTable::new(names)))
    }

    /// Old records, without the kind flag, have the size of a bit field in its integer's type.
    fn old_bit_field(&self, member_type: u32) -> Result<Option<(u64, u64)>> {
        let mut id = member_type;
        for _ in 0..MAX_CHAIN {
            if id == 0 {
                return Ok(None);
            }
            let record = self.btf.record(id)?;
            match record.kind {
                kind::TYPEDEF | kind::CONST | kind::VOLATILE | kind::RESTRICT | kind::TYPE_TAG => {
                    id = record.size_or_type;
                }
                kind::INT => {
                    let encoding = record.word(0, &self.btf)?;
                    let bits = u64::from(encoding & 0xff);
                    let offset = u64::from(encoding >> 16 & 0xff);
                    let is_whole = bits == u64::from(record.size_or_type) * 8 && offset == 0;
                    return Ok((!is_whole && bits != 0).then_some((bits, offset)));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn function_shape(&self, prototype: &Record<'_>) -> Result<Shape> {
        let mut parameters = Vec::new();
        let mut is_variadic = false;
        for index in 0..prototype.count as usize {
            let name = prototype.word(index * 2, &self.btf)?;
            let type_id = prototype.word(index * 2 + 1, &self.btf)?;
            if name == 0 && type_id == 0 {
                is_variadic = true;
                break;
            }
            parameters.push(ParameterDescription {
                name: match name {
                    0 => None,
                    offset => Some(self.btf.string(offset)?.into()),
                },
                type_id: reference(type_id),
            });
        }
        Ok(Shape::Function {
            returns: reference(prototype.size_or_type),
            parameters,
            is_variadic,
        })
    }

    /// An array with all dimensions that it is written with, whatever their order.
    fn array_shape(&self, id: TypeId, outermost: Record<'_>) -> Result<Shape> {
        let mut dimensions = Vec::new();
        let mut record = outermost;
        let element = loop {
            if dimensions.len() == MAX_CHAIN {
                return Err(self.btf.bad(format!(
                    "BTF type ID {} is an array of more than {MAX_CHAIN} dimensions",
                    id.0
                )));
            }
            // A flexible array has no length, which BTF writes as 0.
            dimensions.push(match record.word(2, &self.btf)? {
                0 => None,
                length => Some(u64::from(length)),
            });
            let element = record.word(0, &self.btf)?;
            match element {
                0 => break None,
                inner => record = self.btf.record(inner)?,
            }
            if record.kind != kind::ARRAY {
                break reference(element);
            }
        };
        if self.environment.arrays == ArrayOrder::InnermostFirst {
            dimensions.reverse();
        }
        Ok(Shape::Array {
            element,
            dimensions,
        })
    }

    fn int_shape(&self, record: &Record<'_>) -> Result<Shape> {
        const SIGNED: u32 = 1 << 24;
        const BOOL: u32 = 1 << 26;
        let name = self.btf.string(record.name)?.into();
        let size = u64::from(record.size_or_type);
        let encoding = record.word(0, &self.btf)?;
        let byte_order = self.btf.byte_order();
        Ok(if encoding & BOOL != 0 {
            Shape::Bool {
                name,
                size,
                byte_order,
            }
        } else {
            Shape::Int {
                size,
                is_signed: encoding & SIGNED != 0
                    || self.environment.char_is_signed
                        && !self.btf.says_signs()
                        && &*name == "char",
                name,
                byte_order,
            }
        })
    }

    /// Whether an enumeration has negative values.
    fn is_signed(&self, record: &Record<'_>) -> Result<bool> {
        if record.kind == kind::ENUM64 || self.btf.says_signs() {
            return Ok(record.flag);
        }
        for index in 0..record.count as usize {
            if (record.word(index * 2 + 1, &self.btf)? as i32) < 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn shape(&self, id: TypeId) -> Result<Shape> {
        let record = self.record(id)?;
        let byte_order = self.btf.byte_order();
        let target = reference(record.size_or_type);
        let qualified = |qualifiers| Shape::Qualified { qualifiers, target };
        Ok(match record.kind {
            kind::INT => self.int_shape(&record)?,
            kind::FLOAT => Shape::Float {
                name: self.btf.string(record.name)?.into(),
                size: u64::from(record.size_or_type),
                byte_order,
            },
            kind::PTR => Shape::Pointer {
                kind: PointerKind::Pointer,
                target,
                size: u64::from(self.environment.pointer_size),
                byte_order,
            },
            kind::ARRAY => self.array_shape(id, record)?,
            kind::STRUCT | kind::UNION | kind::FWD => {
                let definition = match record.kind {
                    kind::FWD => self.definition(&record)?,
                    _ => Some(record),
                };
                let is_union =
                    record.kind == kind::UNION || record.kind == kind::FWD && record.flag;
                Shape::Compound {
                    kind: if is_union {
                        CompoundKind::Union
                    } else {
                        CompoundKind::Struct
                    },
                    tag: self.name(&record)?,
                    size: definition.map(|record| u64::from(record.size_or_type)),
                }
            }
            kind::ENUM | kind::ENUM64 => Shape::Enum {
                tag: self.name(&record)?,
                // An enumeration without enumerators is only declared.
                integer: (record.count != 0).then_some(EnumInteger::Plain {
                    size: u64::from(record.size_or_type),
                    is_signed: self.is_signed(&record)?,
                }),
            },
            kind::TYPEDEF => Shape::Typedef {
                name: self.btf.string(record.name)?.into(),
                target,
            },
            kind::VOLATILE => qualified(Qualifiers::VOLATILE),
            kind::CONST => qualified(Qualifiers::CONST),
            kind::RESTRICT => qualified(Qualifiers::RESTRICT),
            kind::TYPE_TAG | kind::VAR => qualified(Qualifiers::empty()),
            kind::FUNC => self.function_shape(&self.btf.record(record.size_or_type)?)?,
            kind::FUNC_PROTO => self.function_shape(&record)?,
            other => {
                return Err(self.btf.bad(format!(
                    "BTF type ID {} of kind {other} is not a type",
                    id.0
                )));
            }
        })
    }

    /// Where the symbol of a variable or function says.
    fn symbol(&self, name: &str) -> Location {
        match &self.environment.module {
            Some(module) => Location::ModuleSymbol {
                module: module.clone(),
                name: name.into(),
            },
            None => Location::Symbol(name.into()),
        }
    }

    /// The offset of a per-CPU variable of the kernel from the start of each CPU's area. Those of
    /// a module begin where the kernel had room when it loaded that, which the symbols of the
    /// module tell.
    fn per_cpu_offset(&self, variable: u32) -> Result<Option<u64>> {
        if self.environment.module.is_some() {
            return Ok(None);
        }
        for (_, section) in self.named(".data..percpu")? {
            if section.kind != kind::DATASEC {
                continue;
            }
            for index in 0..section.count as usize {
                if section.word(index * 3, &self.btf)? == variable {
                    return section
                        .word(index * 3 + 1, &self.btf)
                        .map(|offset| Some(offset.into()));
                }
            }
        }
        Ok(None)
    }
}

/// A type by its ID; 0 is `void`.
fn reference(id: u32) -> Option<TypeId> {
    (id != 0).then_some(TypeId(u64::from(id)))
}

fn kinds_of(record: &Record<'_>) -> TypeKinds {
    match record.kind {
        // Truth values are told from integers by the record's encoding.
        kind::INT => TypeKinds::INT | TypeKinds::BOOL,
        kind::FLOAT => TypeKinds::FLOAT,
        kind::FWD if record.flag => TypeKinds::UNION,
        kind::STRUCT | kind::FWD => TypeKinds::STRUCT,
        kind::UNION => TypeKinds::UNION,
        kind::ENUM | kind::ENUM64 => TypeKinds::ENUM,
        kind::TYPEDEF => TypeKinds::TYPEDEF,
        _ => TypeKinds::empty(),
    }
}

impl TypeSource for BtfSource {
    fn format(&self) -> &'static str {
        "btf"
    }

    fn find_types(
        &self,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Vec<TypeId>> {
        if file_name.is_some() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (id, record) in self.named(name)? {
            if !kinds_of(&record).intersects(kinds) {
                continue;
            }
            let id = TypeId(u64::from(id));
            if record.kind == kind::INT {
                let is_bool = matches!(self.shape(id)?, Shape::Bool { .. });
                let kind = if is_bool {
                    TypeKinds::BOOL
                } else {
                    TypeKinds::INT
                };
                if !kinds.contains(kind) {
                    continue;
                }
            }
            found.push((record.kind == kind::FWD, id));
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    fn find_objects(
        &self,
        kinds: ObjectKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Vec<ObjectDescription>> {
        let mut found = Vec::new();
        if file_name.is_some() {
            return Ok(found);
        }
        for (id, record) in self.named(name)? {
            let location = match record.kind {
                kind::VAR if kinds.contains(ObjectKinds::VARIABLE) => {
                    match self.per_cpu_offset(id)? {
                        Some(offset) => Location::PerCpu(offset),
                        None => self.symbol(name),
                    }
                }
                kind::FUNC if kinds.contains(ObjectKinds::FUNCTION) => self.symbol(name),
                _ => continue,
            };
            let type_id = match record.kind {
                kind::VAR => reference(record.size_or_type),
                _ => reference(id),
            };
            found.push(ObjectDescription { type_id, location });
        }
        if kinds.contains(ObjectKinds::CONSTANT) {
            let enumerations = self.enumerator_names()?.find(name);
            let ids = enumerations.map(|id| TypeId(u64::from(id)));
            found.extend(enumerators_called(name, self, ids)?);
        }
        Ok(found)
    }

    fn describe(&self, id: TypeId) -> Result<TypeDescription> {
        Ok(TypeDescription {
            language: Language::C,
            shape: self.shape(id)?,
            alignment: None,
        })
    }

    fn members(&self, id: TypeId) -> Result<Vec<MemberDescription>> {
        let record = self.defined(id)?;
        if !matches!(record.kind, kind::STRUCT | kind::UNION) {
            return Ok(Vec::new());
        }
        (0..record.count as usize)
            .map(|index| {
                let word = |position| record.word(index * 3 + position, &self.btf);
                let (name, type_id, offset) = (word(0)?, word(1)?, word(2)?);
                let (bit_offset, bit_field_size) = if record.flag {
                    let size = u64::from(offset >> 24);
                    (u64::from(offset & 0x00ff_ffff), (size != 0).then_some(size))
                } else {
                    match self.old_bit_field(type_id)? {
                        Some((size, shift)) => (u64::from(offset) + shift, Some(size)),
                        None => (u64::from(offset), None),
                    }
                };
                Ok(MemberDescription {
                    name: match name {
                        0 => None,
                        offset => Some(self.btf.string(offset)?.into()),
                    },
                    type_id: reference(type_id),
                    bit_offset,
                    bit_field_size,
                    is_base_class: false,
                    alignment: None,
                })
            })
            .collect()
    }

    fn enumerators(&self, id: TypeId) -> Result<Vec<EnumeratorDescription>> {
        let record = self.record(id)?;
        (0..record.count as usize)
            .filter(|_| matches!(record.kind, kind::ENUM | kind::ENUM64))
            .map(|index| {
                let words = if record.kind == kind::ENUM64 { 3 } else { 2 };
                let word = |position| record.word(index * words + position, &self.btf);
                let low = word(1)?;
                let value = match (record.kind, record.flag) {
                    (kind::ENUM64, is_signed) => {
                        let value = u64::from(word(2)?) << 32 | u64::from(low);
                        if is_signed {
                            i128::from(value as i64)
                        } else {
                            i128::from(value)
                        }
                    }
                    (_, is_signed) if is_signed || !self.btf.says_signs() => i128::from(low as i32),
                    _ => i128::from(low),
                };
                Ok(EnumeratorDescription {
                    name: self.btf.string(word(0)?)?.into(),
                    value,
                })
            })
            .collect()
    }

    fn type_names(&self, kinds: TypeKinds) -> Result<Vec<Arc<str>>> {
        let mut found: Vec<Arc<str>> = Vec::new();
        for id in self.names.numbers() {
            let record = self.btf.record(*id)?;
            if kinds_of(&record).intersects(kinds) {
                found.push(self.btf.string(record.name)?.into());
            }
        }
        found.dedup();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::{ConstantValue, TypeDescription};

    /// BTF with two integers, a bit-field structure, its forward declaration, an array, a typed
    /// function, a 64-bit enumeration and a per-CPU variable.
    fn sample() -> Vec<u8> {
        let mut strings = vec![0];
        let mut string = |text: &str| {
            let offset = strings.len() as u32;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            offset
        };
        let info = |kind: u32, count: u32, flag: bool| kind << 24 | count | u32::from(flag) << 31;
        let int = string("int");
        let words: Vec<u32> = vec![
            // 1: int, 2: its pointer
            int,
            info(kind::INT, 0, false),
            4,
            1 << 24 | 32,
            0,
            info(kind::PTR, 0, false),
            1,
            // 3: struct s { int a : 3; int *p; }
            string("s"),
            info(kind::STRUCT, 2, true),
            16,
            string("a"),
            1,
            3 << 24 | 5,
            string("p"),
            2,
            64,
            // 4: struct s, declared
            string("s"),
            info(kind::FWD, 0, false),
            0,
            // 5: int [7]
            0,
            info(kind::ARRAY, 0, false),
            0,
            1,
            1,
            7,
            // 6, 7: int f(struct s *, ...)
            0,
            info(kind::FUNC_PROTO, 2, false),
            1,
            string("it"),
            3,
            0,
            0,
            string("f"),
            info(kind::FUNC, 1, false),
            6,
            // 8: enum e { BIG = 1 << 40 }, 64 bits
            string("e"),
            info(kind::ENUM64, 1, false),
            8,
            string("BIG"),
            0,
            1 << 8,
            // 9, 10: int v, per CPU at 0x40
            string("v"),
            info(kind::VAR, 0, false),
            1,
            1,
            string(".data..percpu"),
            info(kind::DATASEC, 1, false),
            0,
            9,
            0x40,
            4,
        ];
        let types: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [
            24,
            0,
            types.len() as u32,
            types.len() as u32,
            strings.len() as u32,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&types);
        bytes.extend_from_slice(&strings);
        bytes
    }

    fn source(bytes: &[u8]) -> Result<BtfSource> {
        let btf = Btf::parse("sample", bytes.into(), None)?;
        let environment = Environment {
            pointer_size: 8,
            char_is_signed: true,
            arrays: ArrayOrder::OutermostFirst,
            module: None,
        };
        BtfSource::new(Arc::new(btf), environment)
    }

    #[test]
    fn members_have_their_bit_fields() {
        let source = source(&sample()).expect("the sample is valid");
        let found = source
            .find_types(TypeKinds::STRUCT, "s", None)
            .expect("names are sorted");
        assert_eq!(found, [TypeId(3), TypeId(4)], "the definition comes first");
        for id in found {
            let members = source.members(id).expect("both are the definition");
            let places: Vec<_> = members
                .iter()
                .map(|member| {
                    (
                        member.name.as_deref(),
                        member.bit_offset,
                        member.bit_field_size,
                    )
                })
                .collect();
            assert_eq!(places, [(Some("a"), 5, Some(3)), (Some("p"), 64, None)]);
            let Ok(TypeDescription {
                shape: Shape::Compound { size, .. },
                ..
            }) = source.describe(id)
            else {
                panic!("a structure is described as one");
            };
            assert_eq!(size, Some(16));
        }
    }

    #[test]
    fn functions_enumerators_and_per_cpu_variables_are_found() {
        let source = source(&sample()).expect("the sample is valid");
        let Shape::Function {
            parameters,
            is_variadic,
            returns,
        } = source.describe(TypeId(7)).expect("a function").shape
        else {
            panic!("a function is described as one");
        };
        assert_eq!(
            (parameters.len(), is_variadic, returns),
            (1, true, Some(TypeId(1)))
        );
        let object = |kinds, name| {
            let found = source.find_objects(kinds, name, None).expect("a lookup");
            found.first().map(|object| object.location.clone())
        };
        assert_eq!(
            object(ObjectKinds::CONSTANT, "BIG"),
            Some(Location::Constant(ConstantValue::Integer(1 << 40)))
        );
        assert_eq!(
            object(ObjectKinds::VARIABLE, "v"),
            Some(Location::PerCpu(0x40))
        );
        assert_eq!(object(ObjectKinds::VARIABLE, "nope"), None);
    }

    #[test]
    fn damaged_tables_are_errors() {
        let whole = sample();
        let visit = |source: &BtfSource| {
            for id in 0..16 {
                let _ = source.describe(TypeId(id));
                let _ = source.members(TypeId(id));
                let _ = source.enumerators(TypeId(id));
            }
            let _ = source.find_objects(ObjectKinds::all(), "v", None);
        };
        for length in 0..whole.len() {
            assert!(source(&whole[..length]).is_err(), "cut to {length} bytes");
        }
        for position in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[position] = value;
                if let Ok(source) = source(&damaged) {
                    visit(&source);
                }
            }
        }
    }
}
