//! An expression as C text and as the object that kdive makes of it.

use kdive_engine::object::{Number, Object};
use kdive_engine::{Type, TypeKind};

/// What is compared.
pub enum Result {
    Object(Object),
    /// A comparison, which is an `int` in C.
    Truth(bool),
}

/// An expression: its text and what kdive computes for it.
pub struct Expression {
    pub text: String,
    pub result: Result,
    /// The declarations and values of the bit fields that the text mentions as `@0`, `@1`, …
    pub fields: Vec<(String, String)>,
}

pub enum Outcome {
    Agrees,
    Differs(String),
}

impl Expression {
    fn ty(&self) -> Option<Type> {
        match &self.result {
            Result::Object(object) => Some(object.ty().unaliased().expect("a type")),
            Result::Truth(_) => None,
        }
    }

    /// The statement that prints the value; its bit fields are added to those of the program.
    pub fn statement(&self, fields: &mut Vec<(String, String)>) -> String {
        let mut text = self.text.clone();
        for (index, field) in self.fields.iter().enumerate().rev() {
            text = text.replace(&format!("@{index}@"), &format!("field{}.f", fields.len()));
            fields.push(field.clone());
        }
        match self.ty() {
            Some(ty) if ty.kind() == TypeKind::Float => {
                let size = ty.size().expect("a size").min(10);
                format!("FLOATING({text}, {size})")
            }
            Some(ty) if ty.kind() == TypeKind::Pointer => format!("POINTER({text})"),
            _ => format!("INTEGER({text})"),
        }
    }

    /// Compares with the line that the program printed.
    pub fn check(&self, line: &str) -> Outcome {
        let found = self.describe();
        let (gcc_type, gcc_value) = line.rsplit_once(' ').expect("a type and a value");
        let (kdive_type, kdive_value) = found.rsplit_once(' ').expect("a type and a value");
        // A wide bit field has a type that C can't name.
        let same_type = gcc_type == "?" || kdive_type == gcc_type;
        if same_type && (gcc_value == kdive_value || self.is_nan()) {
            Outcome::Agrees
        } else {
            Outcome::Differs(found)
        }
    }

    fn is_nan(&self) -> bool {
        match &self.result {
            Result::Object(object) => object.number().expect("a number").to_f64().is_nan(),
            Result::Truth(_) => false,
        }
    }

    fn describe(&self) -> String {
        let object = match &self.result {
            Result::Truth(value) => return format!("int {:032x}", u8::from(*value)),
            Result::Object(object) => object,
        };
        let ty = object.ty().unaliased().expect("a type").unqualified();
        let name = match ty.kind() {
            TypeKind::Pointer => "pointer".to_owned(),
            _ => ty.type_name().expect("a name"),
        };
        let bits = match object.number().expect("a number") {
            Number::Integer { bits, is_negative } if is_negative => bits as i128 as u128,
            Number::Integer { bits, .. } => bits,
            _ => {
                let mut bytes = object.to_bytes().expect("bytes");
                bytes.truncate(10);
                bytes.resize(16, 0);
                u128::from_le_bytes(bytes.try_into().expect("16 bytes"))
            }
        };
        format!("{name} {bits:032x}")
    }
}
