//! Random expressions without undefined behaviour.

use std::cmp::Ordering;
use std::sync::Arc;

use kdive_engine::object::{BinaryOperator, Number, Object, UnaryOperator, cast};
use kdive_engine::types::{Content, Language, Member, PrimitiveType};
use kdive_engine::{Program, Type, TypeKind};
use kdive_target::ByteOrder;

use crate::expression::{Expression, Result};

pub struct Generator {
    program: Arc<Program>,
    state: u64,
}

/// A part of an expression.
struct Part {
    text: String,
    object: Object,
    fields: Vec<(String, String)>,
}

const INTEGERS: [(PrimitiveType, &str); 12] = [
    (PrimitiveType::Bool, "_Bool"),
    (PrimitiveType::Char, "char"),
    (PrimitiveType::SignedChar, "signed char"),
    (PrimitiveType::UnsignedChar, "unsigned char"),
    (PrimitiveType::Short, "short"),
    (PrimitiveType::UnsignedShort, "unsigned short"),
    (PrimitiveType::Int, "int"),
    (PrimitiveType::UnsignedInt, "unsigned int"),
    (PrimitiveType::Long, "long"),
    (PrimitiveType::UnsignedLong, "unsigned long"),
    (PrimitiveType::LongLong, "long long"),
    (PrimitiveType::UnsignedLongLong, "unsigned long long"),
];

const FLOATS: [(PrimitiveType, &str); 3] = [
    (PrimitiveType::Float, "float"),
    (PrimitiveType::Double, "double"),
    (PrimitiveType::LongDouble, "long double"),
];

const ARITHMETIC: [BinaryOperator; 8] = [
    BinaryOperator::Add,
    BinaryOperator::Subtract,
    BinaryOperator::Multiply,
    BinaryOperator::Divide,
    BinaryOperator::Remainder,
    BinaryOperator::And,
    BinaryOperator::Or,
    BinaryOperator::Xor,
];

impl Generator {
    pub fn new(program: Arc<Program>, seed: u64) -> Self {
        Self {
            program,
            state: seed,
        }
    }

    /// xorshift64*
    fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random() % limit
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn primitive(&self, primitive: PrimitiveType) -> Type {
        self.program.primitive_type(primitive).expect("a type")
    }

    pub fn next_case(&mut self) -> Expression {
        match self.below(10) {
            0 => self.pointer_case(),
            1 | 2 => self.comparison(),
            _ => {
                let depth = 1 + self.below(3);
                let part = self.part(depth);
                // A bit field alone has no type that sizeof or _Generic could take.
                let part = if part.object.bit_field_size().is_some() && part.text.starts_with('@') {
                    self.unary(part)
                } else {
                    part
                };
                finish(part)
            }
        }
    }

    fn comparison(&mut self) -> Expression {
        let (left, right) = (self.part(1), self.part(1));
        let ordering = left.object.compare(&right.object).expect("a comparison");
        let (sign, is_true) = match self.below(6) {
            0 => ("==", ordering == Some(Ordering::Equal)),
            1 => ("!=", ordering != Some(Ordering::Equal)),
            2 => ("<", ordering == Some(Ordering::Less)),
            3 => (">", ordering == Some(Ordering::Greater)),
            4 => ("<=", ordering.is_some_and(Ordering::is_le)),
            _ => (">=", ordering.is_some_and(Ordering::is_ge)),
        };
        let (text, fields) = joined(&left, sign, &right);
        Expression {
            text,
            result: Result::Truth(is_true),
            fields,
        }
    }

    fn part(&mut self, depth: u64) -> Part {
        if depth == 0 {
            return self.leaf();
        }
        match self.below(8) {
            0 => {
                let part = self.part(depth - 1);
                self.unary(part)
            }
            1 => self.cast(depth),
            2 => self.shift(depth),
            _ => self.arithmetic(depth),
        }
    }

    fn unary(&mut self, part: Part) -> Part {
        let is_float = kind(&part) == TypeKind::Float;
        let operator = match self.below(if is_float { 2 } else { 3 }) {
            0 => UnaryOperator::Plus,
            1 => UnaryOperator::Minus,
            _ => UnaryOperator::Not,
        };
        Part {
            object: part.object.unary(operator).expect("a value"),
            text: format!("({} {})", operator.symbol(), part.text),
            fields: part.fields,
        }
    }

    fn cast(&mut self, depth: u64) -> Part {
        let part = self.part(depth - 1);
        let (primitive, name) = if self.below(4) == 0 {
            self.one_of(&FLOATS)
        } else {
            self.one_of(&INTEGERS)
        };
        let ty = self.primitive(primitive);
        if kind(&part) == TypeKind::Float && ty.kind() == TypeKind::Int {
            // Only what fits into every type is defined.
            let value = part.object.number().expect("a number").to_f64();
            if !(0.0..127.0).contains(&value) {
                return part;
            }
        }
        Part {
            object: cast(&ty, &part.object).expect("a value"),
            text: format!("(({name}) {})", part.text),
            fields: part.fields,
        }
    }

    fn shift(&mut self, depth: u64) -> Part {
        let left = self.part(depth - 1);
        if kind(&left) == TypeKind::Float {
            return left;
        }
        let promoted = left.object.unary(UnaryOperator::Plus).expect("a value");
        let width = promoted
            .bit_field_size()
            .unwrap_or_else(|| promoted.ty().size().expect("a size") * 8);
        let count = self.below(width);
        let right = self.constant(PrimitiveType::Int, "int", count.into());
        let operator = self.one_of(&[BinaryOperator::ShiftLeft, BinaryOperator::ShiftRight]);
        binary(&left, operator, &right)
    }

    fn arithmetic(&mut self, depth: u64) -> Part {
        let left = self.part(depth - 1);
        let operator = self.one_of(&ARITHMETIC);
        let takes_floats = matches!(
            operator,
            BinaryOperator::Add
                | BinaryOperator::Subtract
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
        );
        let is_division = matches!(operator, BinaryOperator::Divide | BinaryOperator::Remainder);
        let right = if is_division {
            let (primitive, name) = self.one_of(&INTEGERS);
            let value = 1 + self.below(if primitive == PrimitiveType::Bool {
                1
            } else {
                120
            });
            self.constant(primitive, name, value.into())
        } else {
            self.part(depth - 1)
        };
        let has_float = [&left, &right]
            .iter()
            .any(|part| kind(part) == TypeKind::Float);
        if has_float && !takes_floats {
            return left;
        }
        binary(&left, operator, &right)
    }

    fn leaf(&mut self) -> Part {
        match self.below(10) {
            0 | 1 => self.float(),
            2..=4 => self.bit_field(),
            5 => self.wide_integer(),
            _ => {
                let (primitive, name) = self.one_of(&INTEGERS);
                let value = self.interesting();
                self.constant(primitive, name, value)
            }
        }
    }

    /// Values at the edges of types, small ones, and any others.
    fn interesting(&mut self) -> i128 {
        let edge = 1i128 << self.one_of(&[0, 7, 8, 15, 16, 31, 32, 63, 64]);
        match self.below(6) {
            0 => edge,
            1 => edge - 1,
            2 => -edge,
            3 => i128::from(self.below(10)),
            4 => i128::from(self.random() as i32),
            _ => i128::from(self.random() as i64),
        }
    }

    fn constant(&mut self, primitive: PrimitiveType, name: &str, value: i128) -> Part {
        let object = Object::from_integer(&self.program, self.primitive(primitive), value)
            .expect("an integer");
        Part {
            text: format!("(({name}) {}UL)", value as u64),
            object: if primitive == PrimitiveType::Bool {
                // Only the lowest 64 bits are written out.
                let value = i128::from(value as u64);
                Object::from_integer(&self.program, self.primitive(primitive), value)
                    .expect("a truth value")
            } else {
                object
            },
            fields: Vec::new(),
        }
    }

    fn wide_integer(&mut self) -> Part {
        let is_signed = self.below(2) == 0;
        let (name, spelled) = if is_signed {
            ("__int128", "i128")
        } else {
            ("unsigned __int128", "u128")
        };
        let ty = Type::int(name, 16, is_signed, ByteOrder::Little, Language::C);
        let (high, low) = (self.interesting() as u64, self.interesting() as u64);
        let value = (u128::from(high) << 64 | u128::from(low)) as i128;
        Part {
            text: format!("(({spelled}) ((u128) {high}UL << 64 | {low}UL))"),
            object: Object::from_integer(&self.program, ty, value).expect("an integer"),
            fields: Vec::new(),
        }
    }

    fn float(&mut self) -> Part {
        let (primitive, name) = self.one_of(&FLOATS);
        let ty = self.primitive(primitive);
        let numerator = self.random() as i32;
        let exponent = self.below(60) as i32 - 30;
        let value = f64::from(numerator) * 2f64.powi(exponent);
        Part {
            text: format!("(({name}) ({numerator} * 0x1p{exponent}))"),
            object: Object::from_number(&self.program, ty, Number::Float(value), None)
                .expect("a number"),
            fields: Vec::new(),
        }
    }

    fn bit_field(&mut self) -> Part {
        let (primitive, name) = self.one_of(&INTEGERS);
        // Whether a plain bit field of type char is signed is the compiler's choice.
        let ty = self.primitive(primitive);
        let bits = match primitive {
            PrimitiveType::Bool => 1,
            _ => ty.size().expect("a size") * 8,
        };
        let size = 1 + self.below(bits);
        let value = self.interesting() as u64;
        let object = Object::from_number(
            &self.program,
            ty,
            Number::from(i128::from(value)),
            Some(size),
        )
        .expect("a bit field");
        Part {
            text: "@0@".to_owned(),
            object,
            fields: vec![(format!("{name} f : {size}"), format!("{value}UL"))],
        }
    }

    fn pointer_case(&mut self) -> Expression {
        let int = self.primitive(PrimitiveType::Int);
        let three = ["a", "b", "c"].iter().zip([0, 32, 64]);
        let members = three
            .map(|(name, bit_offset)| Member {
                name: Some((*name).into()),
                bit_offset,
                is_base_class: false,
                alignment: None,
                content: Content::from_type(int.clone()),
            })
            .collect();
        let three = Type::compound(
            TypeKind::Struct,
            Some("three"),
            Some((12, members)),
            Vec::new(),
            ByteOrder::Little,
            Language::C,
        );
        let (target, name) = match self.below(4) {
            0 => (self.primitive(PrimitiveType::Char), "char"),
            1 => (self.primitive(PrimitiveType::Long), "long"),
            2 => (self.primitive(PrimitiveType::Void), "void"),
            _ => (three, "struct three"),
        };
        let ty = self
            .program
            .pointer_type(&target, kdive_engine::types::PointerKind::Pointer)
            .expect("a pointer type");
        let pointer = |address: u64| Part {
            text: format!("(({name} *) {address}UL)"),
            object: Object::from_integer(&self.program, ty.clone(), address.into())
                .expect("a pointer"),
            fields: Vec::new(),
        };
        let base = 0xffff_8000_0000_0000 + 24 * 0x1000;
        let first = pointer(base);
        let second = pointer(base + 24 * 7);
        match self.below(4) {
            0 => {
                let index = self.index();
                finish(binary(&first, BinaryOperator::Add, &index))
            }
            1 => {
                let index = self.index();
                finish(binary(&index, BinaryOperator::Add, &first))
            }
            2 => {
                let index = self.index();
                finish(binary(&first, BinaryOperator::Subtract, &index))
            }
            _ if self.below(2) == 0 => finish(binary(&first, BinaryOperator::Subtract, &second)),
            _ => {
                let is_less =
                    first.object.compare(&second.object).expect("an order") == Some(Ordering::Less);
                let (text, fields) = joined(&first, "<", &second);
                Expression {
                    text,
                    result: Result::Truth(is_less),
                    fields,
                }
            }
        }
    }

    fn index(&mut self) -> Part {
        let (primitive, name) = self.one_of(&INTEGERS);
        let value = i128::from(self.below(100));
        self.constant(primitive, name, value)
    }
}

fn kind(part: &Part) -> TypeKind {
    part.object.ty().unaliased_kind().expect("a kind")
}

fn finish(part: Part) -> Expression {
    Expression {
        text: part.text,
        result: Result::Object(part.object),
        fields: part.fields,
    }
}

/// The text of an operator between two parts, whose bit fields are numbered anew.
fn joined(left: &Part, sign: &str, right: &Part) -> (String, Vec<(String, String)>) {
    let mut right_text = right.text.clone();
    for index in (0..right.fields.len()).rev() {
        let renamed = format!("@{}@", index + left.fields.len());
        right_text = right_text.replace(&format!("@{index}@"), &renamed);
    }
    let fields = left.fields.iter().chain(&right.fields).cloned().collect();
    (format!("({} {sign} {right_text})", left.text), fields)
}

fn binary(left: &Part, operator: BinaryOperator, right: &Part) -> Part {
    let (text, fields) = joined(left, operator.symbol(), right);
    Part {
        object: left
            .object
            .binary(operator, &right.object)
            .expect("a value"),
        text,
        fields,
    }
}
