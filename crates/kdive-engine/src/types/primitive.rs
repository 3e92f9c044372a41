//! The types that C itself names, however they are spelled.

/// One of C's own types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the variants are the types' names")]
pub enum PrimitiveType {
    Void,
    Char,
    SignedChar,
    UnsignedChar,
    Short,
    UnsignedShort,
    Int,
    UnsignedInt,
    Long,
    UnsignedLong,
    LongLong,
    UnsignedLongLong,
    Bool,
    Float,
    Double,
    LongDouble,
    SizeT,
    PtrdiffT,
}

impl PrimitiveType {
    /// Every primitive type, in the order of C's standard.
    pub const ALL: [PrimitiveType; 18] = [
        Self::Void,
        Self::Char,
        Self::SignedChar,
        Self::UnsignedChar,
        Self::Short,
        Self::UnsignedShort,
        Self::Int,
        Self::UnsignedInt,
        Self::Long,
        Self::UnsignedLong,
        Self::LongLong,
        Self::UnsignedLongLong,
        Self::Bool,
        Self::Float,
        Self::Double,
        Self::LongDouble,
        Self::SizeT,
        Self::PtrdiffT,
    ];

    /// The usual spelling.
    pub fn spelling(self) -> &'static str {
        self.spellings()[0]
    }

    /// Every spelling that compilers put into debug information, the usual one first.
    pub fn spellings(self) -> &'static [&'static str] {
        match self {
            Self::Void => &["void"],
            Self::Char => &["char"],
            Self::SignedChar => &["signed char"],
            Self::UnsignedChar => &["unsigned char"],
            Self::Short => &["short", "short int", "signed short", "signed short int"],
            Self::UnsignedShort => &["unsigned short", "short unsigned int", "unsigned short int"],
            Self::Int => &["int", "signed int", "signed"],
            Self::UnsignedInt => &["unsigned int", "unsigned"],
            Self::Long => &["long", "long int", "signed long", "signed long int"],
            Self::UnsignedLong => &["unsigned long", "long unsigned int", "unsigned long int"],
            Self::LongLong => &[
                "long long",
                "long long int",
                "signed long long",
                "signed long long int",
            ],
            Self::UnsignedLongLong => &[
                "unsigned long long",
                "long long unsigned int",
                "unsigned long long int",
            ],
            Self::Bool => &["_Bool", "bool"],
            Self::Float => &["float"],
            Self::Double => &["double"],
            Self::LongDouble => &["long double"],
            Self::SizeT => &["size_t"],
            Self::PtrdiffT => &["ptrdiff_t"],
        }
    }

    /// The primitive type that is spelled so, its words in any order.
    pub fn from_spelling(spelling: &str) -> Option<Self> {
        match spelling {
            "size_t" => Some(Self::SizeT),
            "ptrdiff_t" => Some(Self::PtrdiffT),
            _ => super::parse::primitive_of_words(spelling),
        }
    }

    /// Whether it is a signed integer as written; `char` depends on the platform.
    pub fn is_signed_integer(self) -> bool {
        matches!(
            self,
            Self::SignedChar
                | Self::Short
                | Self::Int
                | Self::Long
                | Self::LongLong
                | Self::PtrdiffT
        )
    }

    /// Whether it is an unsigned integer as written; `char` depends on the platform.
    pub fn is_unsigned_integer(self) -> bool {
        matches!(
            self,
            Self::UnsignedChar
                | Self::UnsignedShort
                | Self::UnsignedInt
                | Self::UnsignedLong
                | Self::UnsignedLongLong
                | Self::SizeT
        )
    }

    /// The integer conversion rank of C (6.3.1.1), lowest first; none for other types.
    pub fn rank(self) -> Option<u8> {
        Some(match self {
            Self::Bool => 0,
            Self::Char | Self::SignedChar | Self::UnsignedChar => 1,
            Self::Short | Self::UnsignedShort => 2,
            Self::Int | Self::UnsignedInt => 3,
            Self::Long | Self::UnsignedLong => 4,
            Self::LongLong | Self::UnsignedLongLong => 5,
            _ => return None,
        })
    }
}
