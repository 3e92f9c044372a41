//! Constant expressions of C, whose names are enumerators and types.

use std::sync::Arc;

use super::super::{ObjectKinds, Program};
use super::tokens::TokenKind;
use crate::object::{BinaryOperator, Number, Object, UnaryOperator, cast};
use crate::types::{PrimitiveType, Type, parse_type_name};

/// How deep parentheses and operators may nest.
const GREATEST_DEPTH: u32 = 64;

/// The value of an expression. None if it is not constant, or not an expression.
pub(super) fn evaluate(program: &Arc<Program>, tokens: &[TokenKind]) -> Option<Object> {
    let mut parser = Parser {
        program,
        tokens,
        next: 0,
        depth: 0,
    };
    let value = parser.expression()?;
    (parser.next == tokens.len()).then_some(value)
}

struct Parser<'a> {
    program: &'a Arc<Program>,
    tokens: &'a [TokenKind],
    next: usize,
    depth: u32,
}

/// Binary operators from those that bind least to those that bind most.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Parser<'_> {
    fn sign(&self) -> Option<&'static str> {
        match self.tokens.get(self.next) {
            Some(TokenKind::Sign(sign)) => Some(sign),
            _ => None,
        }
    }

    fn take(&mut self, sign: &str) -> Option<()> {
        (self.sign()? == sign).then(|| self.next += 1)
    }

    fn int(&self, value: bool) -> Option<Object> {
        let ty = self.program.primitive_type(PrimitiveType::Int).ok()?;
        Object::from_integer(self.program, ty, value.into()).ok()
    }

    fn expression(&mut self) -> Option<Object> {
        self.depth += 1;
        if self.depth > GREATEST_DEPTH {
            return None;
        }
        let condition = self.binary(0)?;
        let value = if self.take("?").is_some() {
            let first = self.expression()?;
            self.take(":")?;
            let second = self.expression()?;
            if condition.is_truthy().ok()? {
                balanced(first, &second)
            } else {
                balanced(second, &first)
            }
        } else {
            condition
        };
        self.depth -= 1;
        Some(value)
    }

    fn binary(&mut self, level: usize) -> Option<Object> {
        let Some(signs) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(sign) = self.sign().filter(|sign| signs.contains(sign)) {
            self.next += 1;
            let right = self.binary(level + 1)?;
            left = self.apply(sign, &left, &right)?;
        }
        Some(left)
    }

    fn apply(&self, sign: &str, left: &Object, right: &Object) -> Option<Object> {
        let operator = match sign {
            "+" => BinaryOperator::Add,
            "-" => BinaryOperator::Subtract,
            "*" => BinaryOperator::Multiply,
            "/" => BinaryOperator::Divide,
            "%" => BinaryOperator::Remainder,
            "<<" => BinaryOperator::ShiftLeft,
            ">>" => BinaryOperator::ShiftRight,
            "&" => BinaryOperator::And,
            "|" => BinaryOperator::Or,
            "^" => BinaryOperator::Xor,
            "&&" => return self.int(left.is_truthy().ok()? && right.is_truthy().ok()?),
            "||" => return self.int(left.is_truthy().ok()? || right.is_truthy().ok()?),
            _ => {
                let order = left.compare(right).ok()?;
                return self.int(match sign {
                    "==" => order.is_some_and(std::cmp::Ordering::is_eq),
                    "!=" => !order.is_some_and(std::cmp::Ordering::is_eq),
                    "<" => order.is_some_and(std::cmp::Ordering::is_lt),
                    ">" => order.is_some_and(std::cmp::Ordering::is_gt),
                    "<=" => order.is_some_and(std::cmp::Ordering::is_le),
                    _ => order.is_some_and(std::cmp::Ordering::is_ge),
                });
            }
        };
        left.binary(operator, right).ok()
    }

    fn unary(&mut self) -> Option<Object> {
        self.depth += 1;
        if self.depth > GREATEST_DEPTH {
            return None;
        }
        let value = self.unary_at_depth()?;
        self.depth -= 1;
        Some(value)
    }

    fn unary_at_depth(&mut self) -> Option<Object> {
        if let Some(sign @ ("+" | "-" | "~" | "!")) = self.sign() {
            self.next += 1;
            let operand = self.unary()?;
            return match sign {
                "+" => operand.unary(UnaryOperator::Plus).ok(),
                "-" => operand.unary(UnaryOperator::Minus).ok(),
                "~" => operand.unary(UnaryOperator::Not).ok(),
                _ => self.int(!operand.is_truthy().ok()?),
            };
        }
        if self.tokens.get(self.next) == Some(&TokenKind::Name("sizeof".into())) {
            self.next += 1;
            let size = match self.type_in_parentheses() {
                Some(ty) => ty.size().ok()?,
                None => self.unary()?.ty().size().ok()?,
            };
            let ty = self.program.primitive_type(PrimitiveType::SizeT).ok()?;
            return Object::from_integer(self.program, ty, size.into()).ok();
        }
        if let Some(ty) = self.type_in_parentheses() {
            return cast(&ty, &self.unary()?).ok();
        }
        self.primary()
    }

    /// A type's name in parentheses, as before what is cast to it.
    fn type_in_parentheses(&mut self) -> Option<Type> {
        let rest = self.tokens.get(self.next..)?;
        let (TokenKind::Sign("("), Some(TokenKind::Name(first))) = (rest.first()?, rest.get(1))
        else {
            return None;
        };
        // A value in parentheses is what it looks like most often.
        if self.enumerator(first).is_some() {
            return None;
        }
        let mut depth = 0u32;
        let length = rest.iter().position(|token| {
            match token {
                TokenKind::Sign("(") => depth += 1,
                TokenKind::Sign(")") => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })?;
        let words: Vec<&str> = rest.get(1..length)?.iter().map(TokenKind::text).collect();
        let ty = parse_type_name(self.program, &words.join(" "), None).ok()?;
        self.next += length + 1;
        Some(ty)
    }

    fn primary(&mut self) -> Option<Object> {
        let token = self.tokens.get(self.next)?;
        self.next += 1;
        match token {
            TokenKind::Sign("(") => {
                let value = self.expression()?;
                self.take(")")?;
                Some(value)
            }
            TokenKind::Number(text) => self.number(text),
            TokenKind::Character(text) => {
                let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
                let [byte] = <[u8; 1]>::try_from(unescape(inner)?).ok()?;
                let character = self.program.primitive_type(PrimitiveType::Char).ok()?;
                let value = Object::from_integer(self.program, character, byte.into()).ok()?;
                let int = self.program.primitive_type(PrimitiveType::Int).ok()?;
                cast(&int, &value).ok()
            }
            TokenKind::String(text) => {
                let mut bytes = unescape(text.strip_prefix('"')?.strip_suffix('"')?)?;
                while let Some(TokenKind::String(more)) = self.tokens.get(self.next) {
                    self.next += 1;
                    bytes.extend(unescape(more.strip_prefix('"')?.strip_suffix('"')?)?);
                }
                bytes.push(0);
                Object::from_text(self.program, &bytes).ok()
            }
            TokenKind::Name(name) => self.enumerator(name),
            TokenKind::Sign(_) => None,
        }
    }

    /// An enumerator. What is left of macros now is not looked for as one again.
    fn enumerator(&self, name: &str) -> Option<Object> {
        let sources = self.program.debug_info.types();
        sources.iter().find_map(|types| {
            let found = types.find_object(self.program, name, ObjectKinds::CONSTANT, None);
            found.ok().flatten()
        })
    }

    fn number(&self, text: &str) -> Option<Object> {
        let is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
        let exponents: &[char] = if is_hexadecimal {
            &['p', 'P']
        } else {
            &['e', 'E']
        };
        if text.contains('.') || text.contains(exponents) {
            return self.float(text);
        }
        let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
        let suffix = text.get(digits.len()..)?.to_ascii_lowercase();
        let (digits, radix) = match digits.as_bytes() {
            [b'0', b'x' | b'X', ..] => (digits.get(2..)?, 16),
            [b'0', b'b' | b'B', ..] => (digits.get(2..)?, 2),
            [b'0', _, ..] => (digits.get(1..)?, 8),
            _ => (digits, 10),
        };
        let value = u64::from_str_radix(digits, radix).ok()?;
        let (is_unsigned, long) = match suffix.as_str() {
            "" => (false, 0),
            "u" => (true, 0),
            "l" => (false, 1),
            "ul" | "lu" => (true, 1),
            "ll" => (false, 2),
            "ull" | "llu" => (true, 2),
            _ => return None,
        };
        let types = [
            (PrimitiveType::Int, PrimitiveType::UnsignedInt),
            (PrimitiveType::Long, PrimitiveType::UnsignedLong),
            (PrimitiveType::LongLong, PrimitiveType::UnsignedLongLong),
        ];
        // The first type that holds it: decimal numbers are unsigned only if they say so.
        for (signed, unsigned) in types.into_iter().skip(long) {
            for (primitive, is_wanted, sign_bits) in [
                (signed, !is_unsigned, 1),
                (unsigned, is_unsigned || radix != 10, 0),
            ] {
                let ty = self.program.primitive_type(primitive).ok()?;
                let bits = ty.size().ok()?.checked_mul(8)?.min(64) - sign_bits;
                if is_wanted && value.checked_shr(bits as u32).unwrap_or(0) == 0 {
                    return Object::from_integer(self.program, ty, value.into()).ok();
                }
            }
        }
        None
    }

    fn float(&self, text: &str) -> Option<Object> {
        let (digits, primitive) = match text.as_bytes().last()? {
            b'f' | b'F' => (text.get(..text.len() - 1)?, PrimitiveType::Float),
            b'l' | b'L' => (text.get(..text.len() - 1)?, PrimitiveType::LongDouble),
            _ => (text, PrimitiveType::Double),
        };
        let ty = self.program.primitive_type(primitive).ok()?;
        let number = Number::Float(digits.parse().ok()?);
        Object::from_number(self.program, ty, number, None).ok()
    }
}

/// The value that was chosen by `?:`, in the type that both have in common.
fn balanced(chosen: Object, other: &Object) -> Object {
    // C converts both as for an addition; of other things than numbers it takes the one chosen.
    let Ok(zero) = other.binary(BinaryOperator::Subtract, other) else {
        return chosen;
    };
    chosen.binary(BinaryOperator::Add, &zero).unwrap_or(chosen)
}

/// The bytes of the inside of a string.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let mut characters = after.chars();
        let first = characters.next()?;
        rest = characters.as_str();
        let simple = match first {
            'n' => b'\n',
            't' => b'\t',
            'r' => b'\r',
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            'e' => 27,
            '\\' | '\'' | '"' | '?' => first as u8,
            'x' => {
                let digits = rest
                    .find(|c: char| !c.is_ascii_hexdigit())
                    .unwrap_or(rest.len());
                let value = u8::from_str_radix(rest.get(..digits)?, 16).ok()?;
                rest = rest.get(digits..)?;
                value
            }
            '0'..='7' => {
                let digits = after
                    .find(|c: char| !matches!(c, '0'..='7'))
                    .unwrap_or(after.len())
                    .min(3);
                let value = u8::from_str_radix(after.get(..digits)?, 8).ok()?;
                rest = after.get(digits..)?;
                value
            }
            _ => return None,
        };
        bytes.push(simple);
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use kdive_target::{Architecture, ByteOrder, Platform};

    use super::*;
    use crate::object::FormatOptions;
    use crate::program::macros::tokens::tokenize;

    fn value(text: &str) -> Option<String> {
        let program = Program::new(Some(Platform {
            architecture: Architecture::X86_64,
            is_64_bit: true,
            byte_order: ByteOrder::Little,
        }));
        let tokens: Vec<TokenKind> = tokenize(text)?
            .into_iter()
            .map(|token| token.kind)
            .collect();
        let options = FormatOptions::default();
        evaluate(&program, &tokens)?.format(&options).ok()
    }

    #[test]
    fn expressions_are_those_of_c() {
        for (text, expected) in [
            ("42", "(int)42"),
            ("(1UL << 12)", "(unsigned long)4096"),
            ("~((1UL << 12) - 1)", "(unsigned long)18446744073709547520"),
            ("0x80000000", "(unsigned int)2147483648"),
            ("2147483648", "(long)2147483648"),
            ("010 + 0b11", "(int)11"),
            ("'a'", "(int)97"),
            ("'\\xff'", "(int)-1"),
            ("'\\0'", "(int)0"),
            ("\"ab\" \"c\\n\"", "(const char [5])\"abc\\n\""),
            ("1 ? 2 : 3UL", "(unsigned long)2"),
            ("0 || 3 && 1", "(int)1"),
            ("3 > 2 == 1", "(int)1"),
            ("!5 - -2", "(int)2"),
            ("(unsigned char)300", "(unsigned char)44"),
            ("((void *)0)", "(void *)0x0"),
            ("sizeof(long) * 8", "(size_t)64"),
            ("sizeof 1 + 1", "(size_t)5"),
            ("1.5e1f", "(float)15.0"),
            ("7 % 4 * 2 - 1", "(int)5"),
            ("5ULL", "(unsigned long long)5"),
        ] {
            assert_eq!(value(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "1 +",
            "(1",
            "1)",
            "x",
            "f(1)",
            "1 / 0",
            "{ 1, 2 }",
            "do { } while (0)",
            "1 = 1",
            "09",
            "1lul",
            "'ab'",
            "(struct missing *)0",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
        assert_eq!(value(&"(".repeat(100_000)), None);
        assert_eq!(value(&"-".repeat(100_000)), None);
    }
}
