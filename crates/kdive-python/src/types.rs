//! Types.

use kdive_debuginfo::description::Qualifiers;
use kdive_engine::{Type as Inner, TypeKind};
use kdive_target::ByteOrder;
use pyo3::exceptions::{PyAttributeError, PyLookupError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::enums::{Enumeration, Flags};
use crate::errors::OrRaise;
use crate::language::{self, Language};
use crate::parts::{TypeEnumerator, TypeMember, TypeParameter, TypeTemplateParameter};
use crate::program::Program;

/// A type.
#[pyclass(frozen, module = "kdive")]
pub(crate) struct Type {
    pub(crate) inner: Inner,
    pub(crate) prog: Py<Program>,
}

impl Type {
    pub(crate) fn new(inner: Inner, prog: &Py<Program>, py: Python<'_>) -> Self {
        Self {
            inner,
            prog: prog.clone_ref(py),
        }
    }

    fn other(&self, inner: Inner, py: Python<'_>) -> Self {
        Self::new(inner, &self.prog, py)
    }

    /// The structure, union or class that this type is or stands for.
    fn compound(&self) -> kdive_engine::Result<Inner> {
        let real = self.inner.unaliased()?;
        if real.kind().is_compound() {
            return Ok(real);
        }
        Err(kdive_engine::Error::Type(format!(
            "'{}' is not a structure, union, or class",
            self.inner.unqualified().type_name()?
        )))
    }

    /// The error for an attribute that types of this kind do not have.
    fn lacks(&self, what: &str) -> PyErr {
        let kind = kind_name(self.inner.kind());
        PyAttributeError::new_err(format!("{kind} type does not have {what}"))
    }
}

fn kind_name(kind: TypeKind) -> &'static str {
    match kind {
        TypeKind::Void => "void",
        TypeKind::Int => "int",
        TypeKind::Bool => "bool",
        TypeKind::Float => "float",
        TypeKind::Struct => "struct",
        TypeKind::Union => "union",
        TypeKind::Class => "class",
        TypeKind::Enum => "enum",
        TypeKind::Typedef => "typedef",
        TypeKind::Pointer => "pointer",
        TypeKind::Array => "array",
        TypeKind::Function => "function",
    }
}

#[pymethods]
impl Type {
    /// The program that it belongs to.
    #[getter]
    fn prog(&self, py: Python<'_>) -> Py<Program> {
        self.prog.clone_ref(py)
    }

    /// Its kind.
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.inner.kind().to_python(py)
    }

    /// Which of C's own types it is, if it is one.
    #[getter]
    fn primitive(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.inner
            .primitive()
            .map(|primitive| primitive.to_python(py))
            .transpose()
    }

    /// Its qualifiers.
    #[getter]
    fn qualifiers(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.inner.qualifiers().to_python(py)
    }

    /// Its language.
    #[getter]
    fn language(&self, py: Python<'_>) -> PyResult<Py<Language>> {
        language::to_python(py, self.inner.language())
    }

    /// The name of an integer, truth value, floating-point type or alias.
    #[getter]
    fn name(&self) -> PyResult<&str> {
        self.inner
            .name()
            .map(|name| &**name)
            .ok_or_else(|| self.lacks("a name"))
    }

    /// The name of a structure, union, class or enumeration; none if it is anonymous.
    #[getter]
    fn tag(&self) -> PyResult<Option<&str>> {
        match self.inner.kind() {
            TypeKind::Struct | TypeKind::Union | TypeKind::Class | TypeKind::Enum => {
                Ok(self.inner.tag().map(|tag| &**tag))
            }
            _ => Err(self.lacks("a tag")),
        }
    }

    /// Its size in bytes; none if it is incomplete.
    #[getter]
    fn size(&self) -> PyResult<Option<u64>> {
        match self.inner.kind() {
            TypeKind::Int
            | TypeKind::Bool
            | TypeKind::Float
            | TypeKind::Struct
            | TypeKind::Union
            | TypeKind::Class
            | TypeKind::Pointer => Ok(self.inner.declared_size()),
            _ => Err(self.lacks("a size")),
        }
    }

    /// The number of elements of an array; none if it is not known.
    #[getter]
    fn length(&self) -> PyResult<Option<u64>> {
        match self.inner.kind() {
            TypeKind::Array => Ok(self.inner.length()),
            _ => Err(self.lacks("a length")),
        }
    }

    /// Whether an integer type has negative values.
    #[getter]
    fn is_signed(&self) -> PyResult<bool> {
        self.inner
            .is_signed()
            .ok_or_else(|| self.lacks("a signedness"))
    }

    /// The order of the bytes of a number or pointer.
    #[getter]
    fn byteorder(&self) -> PyResult<&'static str> {
        match self.inner.kind() {
            TypeKind::Int | TypeKind::Bool | TypeKind::Float | TypeKind::Pointer => {
                Ok(match self.inner.byte_order() {
                    ByteOrder::Little => "little",
                    ByteOrder::Big => "big",
                })
            }
            _ => Err(self.lacks("a byte order")),
        }
    }

    /// What a pointer points to, an alias names, an array holds or a function returns.
    #[getter]
    fn r#type(&self, py: Python<'_>) -> PyResult<Option<Self>> {
        match self.inner.kind() {
            TypeKind::Enum
            | TypeKind::Typedef
            | TypeKind::Pointer
            | TypeKind::Array
            | TypeKind::Function => {
                let target = py.detach(|| self.inner.target()).or_raise()?;
                Ok(target.map(|target| self.other(target, py)))
            }
            _ => Err(self.lacks("an underlying type")),
        }
    }

    /// The members of a structure, union or class; none if it is only declared.
    #[getter]
    fn members<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        if !self.inner.kind().is_compound() {
            return Err(self.lacks("members"));
        }
        let Some(members) = py.detach(|| self.inner.members()).or_raise()? else {
            return Ok(None);
        };
        let members = members
            .iter()
            .map(|member| Bound::new(py, TypeMember::from_engine(member.clone(), &self.prog, py)))
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, members).map(Some)
    }

    /// The enumerators of an enumeration; none if it is only declared.
    #[getter]
    fn enumerators<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        if self.inner.kind() != TypeKind::Enum {
            return Err(self.lacks("enumerators"));
        }
        let Some(enumerators) = py.detach(|| self.inner.enumerators()).or_raise()? else {
            return Ok(None);
        };
        let enumerators = enumerators
            .iter()
            .map(|enumerator| {
                Bound::new(
                    py,
                    TypeEnumerator {
                        inner: enumerator.clone(),
                    },
                )
            })
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, enumerators).map(Some)
    }

    /// The parameters of a function.
    #[getter]
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let parameters = self
            .inner
            .parameters()
            .ok_or_else(|| self.lacks("parameters"))?;
        let parameters = parameters
            .iter()
            .map(|parameter| {
                Bound::new(
                    py,
                    TypeParameter::from_engine(parameter.clone(), &self.prog, py),
                )
            })
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, parameters)
    }

    /// Whether a function takes more arguments than its parameters.
    #[getter]
    fn is_variadic(&self) -> PyResult<bool> {
        self.inner.is_variadic().ok_or_else(|| {
            let kind = kind_name(self.inner.kind());
            PyAttributeError::new_err(format!("{kind} type cannot be variadic"))
        })
    }

    /// The template arguments of a structure, union, class or function.
    #[getter]
    fn template_parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let parameters = py
            .detach(|| self.inner.template_parameters())
            .or_raise()?
            .ok_or_else(|| self.lacks("template parameters"))?;
        let parameters = parameters
            .iter()
            .map(|parameter| {
                Bound::new(
                    py,
                    TypeTemplateParameter::from_engine(parameter.clone(), &self.prog, py),
                )
            })
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, parameters)
    }

    /// Return its name as C source would write it, such as `"struct foo *"`.
    fn type_name(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.inner.type_name()).or_raise()
    }

    /// Return the declaration of a variable of this type, such as `"int name[2]"`.
    fn variable_declaration(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        py.detach(|| self.inner.variable_declaration(name))
            .or_raise()
    }

    /// Return whether its size is known: neither `void` nor only declared.
    fn is_complete(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| self.inner.is_complete()).or_raise()
    }

    /// Return this type with exactly these qualifiers.
    fn qualified(&self, py: Python<'_>, qualifiers: &Bound<'_, PyAny>) -> PyResult<Self> {
        let qualifiers = Qualifiers::from_python(qualifiers)?;
        Ok(self.other(self.inner.qualified(qualifiers), py))
    }

    /// Return this type without qualifiers.
    fn unqualified(&self, py: Python<'_>) -> Self {
        self.other(self.inner.unqualified(), py)
    }

    /// Return the type that is behind all aliases; with the qualifiers of all of them.
    fn unaliased(&self, py: Python<'_>) -> PyResult<Self> {
        let unaliased = py.detach(|| self.inner.unaliased()).or_raise()?;
        Ok(self.other(unaliased, py))
    }

    /// Return the kind of the type that is behind all aliases.
    fn unaliased_kind(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        py.detach(|| self.inner.unaliased_kind())
            .or_raise()?
            .to_python(py)
    }

    /// Return a member by name, also of anonymous members and base classes.
    fn member(&self, py: Python<'_>, name: &str) -> PyResult<TypeMember> {
        let found = py.detach(|| {
            let real = self.compound()?;
            if real.has_member(name)? {
                real.declared_member(name).map(Some)
            } else {
                Ok(None)
            }
        });
        match found.or_raise()? {
            Some(member) => Ok(TypeMember::from_engine(member, &self.prog, py)),
            None => Err(PyLookupError::new_err(format!(
                "'{}' has no member '{name}'",
                self.inner.unqualified().type_name().or_raise()?
            ))),
        }
    }

    /// Return whether it has a member of this name, also in anonymous members.
    fn has_member(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        py.detach(|| self.compound()?.has_member(name)).or_raise()
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.inner.definition()).or_raise()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let program = &self.prog.get().inner;
        py.detach(|| self.inner.constructor_call(program))
            .or_raise()
    }

    fn _repr_pretty_(
        slf: &Bound<'_, Self>,
        p: &Bound<'_, PyAny>,
        cycle: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        crate::pretty::print(slf.as_any(), p, cycle, "Type")
    }
}
