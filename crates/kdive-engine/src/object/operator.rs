//! C's operators by name, and what they do to the bits of integers, whatever their width.

/// A binary operator that gives a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are the operators' names")]
pub enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    ShiftLeft,
    ShiftRight,
    And,
    Or,
    Xor,
}

impl BinaryOperator {
    /// The operator as it is written in C.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
        }
    }

    /// Whether its operands keep their own types.
    pub(super) fn is_shift(self) -> bool {
        matches!(self, Self::ShiftLeft | Self::ShiftRight)
    }

    pub(super) fn takes_floats(self) -> bool {
        matches!(
            self,
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide
        )
    }
}

/// A unary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are the operators' names")]
pub enum UnaryOperator {
    Plus,
    Minus,
    Not,
}

impl UnaryOperator {
    /// The operator as it is written in C.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Not => "~",
        }
    }
}

/// Computes with two integers of one type, each with its sign or zeros above its width; the caller
/// cuts the result to its width. It is none for a division by zero, and for shifts, whose operands
/// have types of their own.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "a number that is returned in memory costs as much as computing it"
)]
pub(super) fn integers(
    operator: BinaryOperator,
    l: u128,
    r: u128,
    is_signed: bool,
) -> Option<u128> {
    Some(match operator {
        BinaryOperator::Add => l.wrapping_add(r),
        BinaryOperator::Subtract => l.wrapping_sub(r),
        BinaryOperator::Multiply => l.wrapping_mul(r),
        BinaryOperator::And => l & r,
        BinaryOperator::Or => l | r,
        BinaryOperator::Xor => l ^ r,
        BinaryOperator::Divide if is_signed && r != 0 => {
            (l as i128).wrapping_div(r as i128) as u128
        }
        BinaryOperator::Remainder if is_signed && r != 0 => {
            (l as i128).wrapping_rem(r as i128) as u128
        }
        BinaryOperator::Divide => l.checked_div(r)?,
        BinaryOperator::Remainder => l.checked_rem(r)?,
        BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight => return None,
    })
}

/// Shifts an integer of at most 128 bits, which has its sign or zeros above its width; by its width
/// or more, everything is shifted out.
#[inline]
pub(super) fn shifted(
    operator: BinaryOperator,
    bits: u128,
    width: u64,
    is_signed: bool,
    count: u128,
) -> u128 {
    let is_out = count >= u128::from(width);
    match operator {
        BinaryOperator::ShiftLeft if is_out => 0,
        BinaryOperator::ShiftLeft => bits << count,
        _ if is_signed => (bits as i128 >> count.min(127)) as u128,
        _ if is_out => 0,
        _ => bits >> count,
    }
}
