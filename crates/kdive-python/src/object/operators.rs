//! Operators of objects, and their conversion to Python's numbers.

use std::borrow::Cow;
use std::cmp::Ordering;

use kdive_engine as engine;
use kdive_engine::TypeKind;
use kdive_engine::object::{BinaryOperator, Number, UnaryOperator};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pyclass::CompareOp;
use pyo3::types::{PyBool, PyInt};

use super::{Object, storage};
use crate::arguments::{
    literal_to_python, number_of, number_to_python, small_integer, word_to_python,
};
use crate::errors::OrRaise;

impl Object {
    /// The other operand; none if Python should ask the other operand, or give up.
    fn operand<'a>(
        &self,
        other: &'a Bound<'_, PyAny>,
    ) -> PyResult<Option<Cow<'a, engine::Object>>> {
        if let Some(other) = storage::of(other) {
            return Ok(Some(Cow::Borrowed(&other.inner)));
        }
        match number_of(other)? {
            Some(number) => {
                let ty = self.inner.ty();
                let is_wide = ty.unaliased_kind().is_ok_and(|kind| kind == TypeKind::Int)
                    && ty.size().is_ok_and(|size| size > 8);
                engine::Object::from_literal_number(self.inner.program(), number, is_wide)
                    .or_raise()
                    .map(|operand| Some(Cow::Owned(operand)))
            }
            None => Ok(None),
        }
    }

    fn binary(
        &self,
        other: &Bound<'_, PyAny>,
        operator: BinaryOperator,
        is_reflected: bool,
    ) -> PyResult<Py<PyAny>> {
        let py = other.py();
        // Python asks for a reflected operator only if the other operand is no object.
        let simple = if let Some(other) = storage::of(other) {
            self.inner.binary_word(operator, &other.inner)
        } else if let Some(literal) = small_integer(other) {
            self.inner
                .binary_with_integer(operator, literal, is_reflected)
        } else {
            Ok(None)
        };
        if let Some(result) = simple.or_raise()? {
            return self.make(result.into_object(self.inner.program()), py);
        }
        let Some(operand) = self.operand(other)? else {
            return Ok(py.NotImplemented());
        };
        let result = if is_reflected {
            operand.binary(operator, &self.inner)
        } else {
            self.inner.binary(operator, &operand)
        };
        self.make(result.or_raise()?, py)
    }

    fn unary(&self, py: Python<'_>, operator: UnaryOperator) -> PyResult<Py<PyAny>> {
        self.make(self.inner.unary(operator).or_raise()?, py)
    }

    /// The number that Python takes it for: a boolean is 0 or 1, whatever is in memory.
    fn plain_number(&self) -> PyResult<Number> {
        let number = self.inner.number().or_raise()?;
        Ok(match self.inner.ty().unaliased_kind().or_raise()? {
            TypeKind::Bool => Number::from(i128::from(!number.is_zero())),
            _ => number,
        })
    }

    /// The number that a rounding function starts from.
    fn roundable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.inner.ty().unaliased_kind().or_raise()? {
            TypeKind::Int | TypeKind::Bool | TypeKind::Float | TypeKind::Enum => {
                Ok(literal_to_python(py, self.inner.value().or_raise()?)?.into_bound(py))
            }
            _ => Err(self.type_error("cannot round '{}'")),
        }
    }

    fn rounded<'py>(
        &self,
        py: Python<'py>,
        method: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let number = self.roundable(py)?;
        if number.is_instance_of::<PyBool>() {
            return Ok(number);
        }
        method.call1((number,))
    }
}

#[pymethods]
impl Object {
    fn __richcmp__(&self, other: &Bound<'_, PyAny>, operator: CompareOp) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let ordering = if let Some(other) = storage::of(other) {
            self.inner.compare_word(&other.inner)
        } else if let Some(literal) = small_integer(other) {
            self.inner.compare_with_integer(literal)
        } else {
            Ok(None)
        };
        let ordering = ordering.or_raise()?;
        let ordering = if ordering.is_some() {
            ordering
        } else {
            let Some(operand) = self.operand(other)? else {
                return Ok(py.NotImplemented());
            };
            self.inner.compare(&operand).or_raise()?
        };
        let result = match operator {
            CompareOp::Eq => ordering == Some(Ordering::Equal),
            CompareOp::Ne => ordering != Some(Ordering::Equal),
            CompareOp::Lt => ordering == Some(Ordering::Less),
            CompareOp::Gt => ordering == Some(Ordering::Greater),
            CompareOp::Le => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            CompareOp::Ge => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        };
        Ok(result.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __add__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Add, false)
    }

    fn __radd__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Add, true)
    }

    fn __sub__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Subtract, false)
    }

    fn __rsub__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Subtract, true)
    }

    fn __mul__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Multiply, false)
    }

    fn __rmul__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Multiply, true)
    }

    fn __truediv__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Divide, false)
    }

    fn __rtruediv__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Divide, true)
    }

    fn __mod__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Remainder, false)
    }

    fn __rmod__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Remainder, true)
    }

    fn __lshift__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::ShiftLeft, false)
    }

    fn __rlshift__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::ShiftLeft, true)
    }

    fn __rshift__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::ShiftRight, false)
    }

    fn __rrshift__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::ShiftRight, true)
    }

    fn __and__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::And, false)
    }

    fn __rand__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::And, true)
    }

    fn __or__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Or, false)
    }

    fn __ror__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Or, true)
    }

    fn __xor__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Xor, false)
    }

    fn __rxor__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.binary(other, BinaryOperator::Xor, true)
    }

    fn __neg__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.unary(py, UnaryOperator::Minus)
    }

    fn __pos__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.unary(py, UnaryOperator::Plus)
    }

    fn __invert__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.unary(py, UnaryOperator::Not)
    }

    fn __bool__(&self) -> PyResult<bool> {
        self.inner.is_truthy().or_raise()
    }

    fn __int__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(word) = self.plain_word()? {
            return word_to_python(py, word);
        }
        match self.inner.ty().unaliased_kind().or_raise()? {
            TypeKind::Int | TypeKind::Bool | TypeKind::Enum | TypeKind::Pointer => {
                let value = self.inner.value().or_raise()?;
                return literal_to_python(py, value).map(|value| value.into_bound(py));
            }
            TypeKind::Float => {}
            _ => return Err(self.type_error("cannot convert '{}' to int")),
        }
        match self.plain_number()? {
            number @ (Number::Float(_) | Number::Wide(_)) => {
                let float = number_to_python(py, number)?.into_bound(py);
                py.get_type::<PyInt>().call1((float,))
            }
            number => Ok(number_to_python(py, number)?.into_bound(py)),
        }
    }

    fn __index__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(word) = self.plain_word()? {
            return word_to_python(py, word).map(Bound::unbind);
        }
        match self.inner.ty().unaliased_kind().or_raise()? {
            TypeKind::Int | TypeKind::Bool | TypeKind::Enum | TypeKind::Pointer => {
                literal_to_python(py, self.inner.value().or_raise()?)
            }
            _ => Err(self.type_error("'{}' object cannot be interpreted as an integer")),
        }
    }

    fn __float__(&self) -> PyResult<f64> {
        match self.inner.ty().unaliased_kind().or_raise()? {
            TypeKind::Int | TypeKind::Bool | TypeKind::Enum | TypeKind::Float => {
                Ok(self.plain_number()?.to_f64())
            }
            _ => Err(self.type_error("cannot convert '{}' to float")),
        }
    }

    #[pyo3(signature = (ndigits=None))]
    fn __round__(slf: &Bound<'_, Self>, ndigits: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let object = slf.get();
        let number = object.roundable(py)?;
        let Some(ndigits) = ndigits else {
            return Ok(number.call_method0(intern!(py, "__round__"))?.unbind());
        };
        let rounded = number.call_method1(intern!(py, "__round__"), (ndigits,))?;
        let inner = &object.inner;
        let number = number_of(&rounded)?.unwrap_or(Number::Float(0.0));
        let rounded =
            engine::Object::from_number(inner.program(), inner.ty().clone(), number, None);
        object.make(rounded.or_raise()?, py)
    }

    fn __trunc__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.rounded(py, &py.import("math")?.getattr("trunc")?)
    }

    fn __floor__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.rounded(py, &py.import("math")?.getattr("floor")?)
    }

    fn __ceil__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.rounded(py, &py.import("math")?.getattr("ceil")?)
    }
}
