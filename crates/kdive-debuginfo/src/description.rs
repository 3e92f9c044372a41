//! Shallow descriptions of types and objects, the same for every format of debug information.
//!
//! A description holds what one record of the format says, and names other types by [`TypeId`];
//! nothing is followed until somebody asks.

use std::sync::Arc;

use kdive_target::ByteOrder;

/// A type within one [`TypeSource`](crate::TypeSource): the offset of its DIE, its BTF or CTF ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u64);

bitflags::bitflags! {
    /// A set of kinds of types, to look for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct TypeKinds: u16 {
        /// `void`.
        const VOID = 1;
        /// Integers, `char` included.
        const INT = 1 << 1;
        /// `_Bool` and `bool`.
        const BOOL = 1 << 2;
        /// Floating-point numbers.
        const FLOAT = 1 << 3;
        /// Structures.
        const STRUCT = 1 << 4;
        /// Unions.
        const UNION = 1 << 5;
        /// Classes.
        const CLASS = 1 << 6;
        /// Enumerations.
        const ENUM = 1 << 7;
        /// Type aliases.
        const TYPEDEF = 1 << 8;
        /// Pointers and references.
        const POINTER = 1 << 9;
        /// Arrays.
        const ARRAY = 1 << 10;
        /// Functions.
        const FUNCTION = 1 << 11;
    }
}

bitflags::bitflags! {
    /// A set of kinds of objects, to look for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct ObjectKinds: u8 {
        /// Enumerators and macros.
        const CONSTANT = 1;
        /// Functions.
        const FUNCTION = 1 << 1;
        /// Variables.
        const VARIABLE = 1 << 2;
    }
}

bitflags::bitflags! {
    /// Qualifiers of a type.
    ///
    /// As wide as a pointer: a type is a pointer and these, and one that is half padding is slow
    /// to move, since it is read back otherwise than it was written.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Qualifiers: u64 {
        /// `const`
        const CONST = 1;
        /// `volatile`
        const VOLATILE = 1 << 1;
        /// `restrict`
        const RESTRICT = 1 << 2;
        /// `_Atomic`
        const ATOMIC = 1 << 3;
    }
}

/// A programming language, as far as its types are printed and named differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// C, and what is not known to be anything else.
    #[default]
    C,
    /// C++.
    Cpp,
}

/// Which keyword declares a type with members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompoundKind {
    /// `struct`
    Struct,
    /// `union`
    Union,
    /// `class`
    Class,
}

/// How a pointer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PointerKind {
    /// `*`
    #[default]
    Pointer,
    /// `&`
    Reference,
    /// `&&`
    RvalueReference,
}

/// One type.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeDescription {
    /// The language of the unit that the type comes from.
    pub language: Language,
    /// What the type is.
    pub shape: Shape,
    /// The alignment in bytes that the source demands for it, if that is said.
    pub alignment: Option<u64>,
}

/// What a type is. A `None` in place of a [`TypeId`] means `void`.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// `void`
    Void,
    /// An integer.
    Int {
        /// Its name, such as `unsigned int`.
        name: Arc<str>,
        /// Its size in bytes.
        size: u64,
        /// Whether it has negative values.
        is_signed: bool,
        /// The order of its bytes.
        byte_order: ByteOrder,
    },
    /// A truth value.
    Bool {
        /// Its name.
        name: Arc<str>,
        /// Its size in bytes.
        size: u64,
        /// The order of its bytes.
        byte_order: ByteOrder,
    },
    /// A floating-point number.
    Float {
        /// Its name.
        name: Arc<str>,
        /// Its size in bytes.
        size: u64,
        /// The order of its bytes.
        byte_order: ByteOrder,
    },
    /// A structure, union or class. Its members come from
    /// [`TypeSource::members`](crate::TypeSource::members).
    Compound {
        /// The keyword.
        kind: CompoundKind,
        /// Its tag with the enclosing scopes (`std::vector<int>`); none if anonymous.
        tag: Option<Arc<str>>,
        /// Its size in bytes; none if it is only declared.
        size: Option<u64>,
    },
    /// An enumeration. Its enumerators come from
    /// [`TypeSource::enumerators`](crate::TypeSource::enumerators).
    Enum {
        /// Its tag with the enclosing scopes; none if anonymous.
        tag: Option<Arc<str>>,
        /// The integer that holds it; none if it is only declared.
        integer: Option<EnumInteger>,
    },
    /// A type alias.
    Typedef {
        /// Its name with the enclosing scopes.
        name: Arc<str>,
        /// The type that it names.
        target: Option<TypeId>,
    },
    /// A pointer or reference.
    Pointer {
        /// Pointer or reference.
        kind: PointerKind,
        /// What it points to.
        target: Option<TypeId>,
        /// Its size in bytes.
        size: u64,
        /// The order of its bytes.
        byte_order: ByteOrder,
    },
    /// A C++ pointer to a member: an offset into the class, or a function and what to add to the
    /// address of the object that it is called for.
    MemberPointer {
        /// The class.
        class: Option<TypeId>,
        /// The type of the member.
        target: Option<TypeId>,
        /// The size of an address in bytes.
        address_size: u8,
    },
    /// An array. Arrays of arrays are described one dimension at a time.
    Array {
        /// The type of its elements.
        element: Option<TypeId>,
        /// The number of elements, outermost dimension first; `None` for `[]`.
        dimensions: Vec<Option<u64>>,
    },
    /// A function.
    Function {
        /// What it returns.
        returns: Option<TypeId>,
        /// Its parameters.
        parameters: Vec<ParameterDescription>,
        /// Whether it takes more arguments (`...`).
        is_variadic: bool,
    },
    /// A type with qualifiers.
    Qualified {
        /// The qualifiers.
        qualifiers: Qualifiers,
        /// The type that they qualify.
        target: Option<TypeId>,
    },
}

impl Shape {
    /// The kind of type. `None` where it depends on the target: for types with qualifiers and for
    /// pointers to members.
    pub fn kind(&self) -> Option<TypeKinds> {
        Some(match self {
            Shape::Void => TypeKinds::VOID,
            Shape::Int { .. } => TypeKinds::INT,
            Shape::Bool { .. } => TypeKinds::BOOL,
            Shape::Float { .. } => TypeKinds::FLOAT,
            Shape::Compound {
                kind: CompoundKind::Struct,
                ..
            } => TypeKinds::STRUCT,
            Shape::Compound {
                kind: CompoundKind::Union,
                ..
            } => TypeKinds::UNION,
            Shape::Compound {
                kind: CompoundKind::Class,
                ..
            } => TypeKinds::CLASS,
            Shape::Enum { .. } => TypeKinds::ENUM,
            Shape::Typedef { .. } => TypeKinds::TYPEDEF,
            Shape::Pointer { .. } => TypeKinds::POINTER,
            Shape::Array { .. } => TypeKinds::ARRAY,
            Shape::Function { .. } => TypeKinds::FUNCTION,
            // Of which the two it is, its target tells.
            Shape::MemberPointer { .. } | Shape::Qualified { .. } => return None,
        })
    }
}

/// The integer behind an enumeration.
#[derive(Clone, Debug, PartialEq)]
pub enum EnumInteger {
    /// A type of its own.
    Type(TypeId),
    /// Only its form is known, as C compilers before DWARF 3 and BTF say it.
    Plain {
        /// Its size in bytes.
        size: u64,
        /// Whether it has negative values.
        is_signed: bool,
    },
}

/// A member of a structure, union or class.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberDescription {
    /// Its name; none for an anonymous structure or union.
    pub name: Option<Arc<str>>,
    /// Its type.
    pub type_id: Option<TypeId>,
    /// Its offset in bits, counted as C compilers of the type's byte order do.
    pub bit_offset: u64,
    /// Its size in bits, if it is a bit field.
    pub bit_field_size: Option<u64>,
    /// Whether it is a base class.
    pub is_base_class: bool,
    /// The alignment in bytes that the source demands for it, if that is said.
    pub alignment: Option<u64>,
}

/// An enumerator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumeratorDescription {
    /// Its name.
    pub name: Arc<str>,
    /// Its value; every 64-bit signed or unsigned number fits.
    pub value: i128,
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterDescription {
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// Its type.
    pub type_id: Option<TypeId>,
}

/// A template parameter of a C++ class or function.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateParameterDescription {
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// The type it stands for, or the type of its value.
    pub type_id: Option<TypeId>,
    /// Its value, if it is not a type: an integer, or the bytes of anything else.
    pub value: Option<ConstantValue>,
    /// Whether the argument is the default one.
    pub is_default: bool,
}

/// The value of something that has no address.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstantValue {
    /// An integer.
    Integer(i128),
    /// The bytes of a value, in the byte order of its type.
    Bytes(Vec<u8>),
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq)]
pub enum Location {
    /// In memory, at this address of the running program.
    Address(u64),
    /// In memory, where the symbol of this name says: the format has types and no addresses.
    Symbol(Arc<str>),
    /// The same, where the symbol is that of a kernel module, which may be built in.
    ModuleSymbol {
        /// The name of the module.
        module: Arc<str>,
        /// The name of the symbol.
        name: Arc<str>,
    },
    /// In each CPU's memory, at this offset from the first per-CPU variable of the kernel.
    PerCpu(u64),
    /// Nowhere: its value is known.
    Constant(ConstantValue),
    /// In thread-local storage, at this offset within that of its module.
    ThreadLocal(u64),
    /// Where an expression of DWARF says, or in the pieces that it tells.
    Expression {
        /// An entry of the unit that the expression is of.
        entry: TypeId,
        /// Its operations.
        operations: Vec<u8>,
    },
    /// Nowhere, for this reason.
    Absent(AbsenceReason),
}

/// Why an object is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbsenceReason {
    /// Another reason than those below.
    Other,
    /// The compiler optimised it out.
    OptimizedOut,
    /// kdive can't evaluate the location.
    NotImplemented,
}

/// A variable, function or enumerator that was found by name.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectDescription {
    /// Its type; an enumerator's is the enumeration.
    pub type_id: Option<TypeId>,
    /// Where it is.
    pub location: Location,
}
