//! Combinations of the keywords that name C's own types.

use crate::types::{PrimitiveType, Qualifiers};

/// A keyword that, with others and in any order, names one of C's own types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Void,
    Bool,
    Char,
    Short,
    Int,
    Long,
    Int128,
    Float,
    Double,
    Signed,
    Unsigned,
}

impl Keyword {
    pub(super) fn parse(word: &str, is_cpp: bool) -> Option<Self> {
        Some(match word {
            "void" => Self::Void,
            "_Bool" => Self::Bool,
            "bool" if is_cpp => Self::Bool,
            "char" => Self::Char,
            "short" => Self::Short,
            "int" => Self::Int,
            "long" => Self::Long,
            "__int128" => Self::Int128,
            "float" => Self::Float,
            "double" => Self::Double,
            "signed" | "__signed" | "__signed__" => Self::Signed,
            "unsigned" => Self::Unsigned,
            _ => return None,
        })
    }
}

pub(super) fn qualifier(word: &str) -> Option<Qualifiers> {
    Some(match word {
        "const" | "__const" | "__const__" => Qualifiers::CONST,
        "volatile" | "__volatile" | "__volatile__" => Qualifiers::VOLATILE,
        "restrict" | "__restrict" | "__restrict__" => Qualifiers::RESTRICT,
        "_Atomic" => Qualifiers::ATOMIC,
        _ => return None,
    })
}

/// The one of C's own types that these words name; none if they name none.
pub(in crate::types) fn primitive_of_words(words: &str) -> Option<PrimitiveType> {
    let keywords: Vec<Keyword> = words
        .split_ascii_whitespace()
        .map(|word| Keyword::parse(word, true))
        .collect::<Option<_>>()?;
    match combine(&keywords)? {
        Named::Primitive(primitive) if !keywords.is_empty() => Some(primitive),
        _ => None,
    }
}

/// The type that keywords name together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Primitive(PrimitiveType),
    /// `__int128`
    Int128 {
        is_signed: bool,
    },
}

/// The type that the keywords name; none if C does not combine them so.
pub(super) fn combine(keywords: &[Keyword]) -> Option<Named> {
    use Keyword as K;
    use PrimitiveType as P;

    let count = |keyword| keywords.iter().filter(|other| **other == keyword).count();
    if count(K::Long) > 2
        || keywords
            .iter()
            .any(|each| *each != K::Long && count(*each) > 1)
    {
        return None;
    }
    let has = |keyword| count(keyword) > 0;
    if has(K::Signed) && has(K::Unsigned) {
        return None;
    }
    let has_sign = has(K::Signed) || has(K::Unsigned);
    let has_length = has(K::Short) || has(K::Long);
    let bases: Vec<K> = keywords
        .iter()
        .copied()
        .filter(|keyword| !matches!(keyword, K::Signed | K::Unsigned | K::Short | K::Long))
        .collect();
    let base = match bases.as_slice() {
        [] => K::Int,
        [base] => *base,
        _ => return None,
    };
    let is_unsigned = has(K::Unsigned);
    let primitive = match base {
        K::Void if !has_sign && !has_length => P::Void,
        K::Bool if !has_sign && !has_length => P::Bool,
        K::Float if !has_sign && !has_length => P::Float,
        K::Double if !has_sign && !has_length => P::Double,
        K::Double if !has_sign && keywords.len() == 2 && has(K::Long) => P::LongDouble,
        K::Char if has_length => return None,
        K::Char if is_unsigned => P::UnsignedChar,
        K::Char if has_sign => P::SignedChar,
        K::Char => P::Char,
        K::Int128 if !has_length => {
            return Some(Named::Int128 {
                is_signed: !is_unsigned,
            });
        }
        K::Int => match (has(K::Short), count(K::Long), is_unsigned) {
            (true, 0, false) => P::Short,
            (true, 0, true) => P::UnsignedShort,
            (false, 0, false) => P::Int,
            (false, 0, true) => P::UnsignedInt,
            (false, 1, false) => P::Long,
            (false, 1, true) => P::UnsignedLong,
            (false, 2, false) => P::LongLong,
            (false, 2, true) => P::UnsignedLongLong,
            _ => return None,
        },
        _ => return None,
    };
    Some(Named::Primitive(primitive))
}
