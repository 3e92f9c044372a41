//! Making types.

use kdive_debuginfo::description::Language as EngineLanguage;
use kdive_engine::types::{
    Enumerator, Member, Parameter, PointerKind, Qualifiers, TemplateParameter,
};
use kdive_engine::{Type as EngineType, TypeKind};
use kdive_target::ByteOrder;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use super::Program;
use crate::arguments::{Truth, byte_order};
use crate::enums::Flags;
use crate::errors::OrRaise;
use crate::language::Language;
use crate::parts::{TypeEnumerator, TypeMember, TypeParameter, TypeTemplateParameter};
use crate::types::Type;

/// The keyword arguments that all kinds of types take.
struct Common<'a, 'py> {
    prog: &'a Bound<'py, Program>,
    qualifiers: Qualifiers,
    language: EngineLanguage,
}

impl<'a, 'py> Common<'a, 'py> {
    /// The language is by default that of the program.
    fn new(
        prog: &'a Bound<'py, Program>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Self> {
        let default = prog.get().inner.language();
        Self::derived(prog, qualifiers, language, default)
    }

    fn derived(
        prog: &'a Bound<'py, Program>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
        default: EngineLanguage,
    ) -> PyResult<Self> {
        Ok(Self {
            prog,
            qualifiers: qualifiers.map_or(Ok(Qualifiers::empty()), Qualifiers::from_python)?,
            language: language.map_or(default, |language| language.get().inner),
        })
    }

    fn byte_order(&self, name: Option<&str>) -> PyResult<ByteOrder> {
        if let Some(order) = byte_order(name)? {
            return Ok(order);
        }
        let platform = self.prog.get().inner.platform();
        platform
            .map(|platform| platform.byte_order)
            .ok_or_else(|| PyValueError::new_err("program byte order is not known"))
    }

    fn finish(self, ty: &EngineType) -> Type {
        let ty = ty.qualified(self.qualifiers);
        Type::new(ty, self.prog.as_unbound(), self.prog.py())
    }

    fn compound(
        self,
        kind: TypeKind,
        tag: Option<&str>,
        size: Option<u64>,
        members: Option<&Bound<'py, PyAny>>,
        template_parameters: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Type> {
        let keyword = kind.keyword().unwrap_or_default();
        let definition = match (size, members) {
            (Some(size), Some(members)) => Some((size, members_of(members)?)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(PyValueError::new_err(format!(
                    "incomplete {keyword} type must not have size"
                )));
            }
            (None, Some(_)) => {
                return Err(PyValueError::new_err(format!(
                    "{keyword} type must have size"
                )));
            }
        };
        // Members have byte orders of their own.
        let order = self.byte_order(None).unwrap_or(ByteOrder::HOST);
        let parameters = template_parameters_of(template_parameters)?;
        let ty = EngineType::compound(kind, tag, definition, parameters, order, self.language);
        Ok(self.finish(&ty))
    }
}

/// The parts that the items of a sequence stand for.
fn parts<'py, T>(
    items: &Bound<'py, PyAny>,
    message: &'static str,
    part: impl Fn(&Bound<'py, PyAny>) -> Option<T>,
) -> PyResult<Vec<T>> {
    items
        .try_iter()
        .map_err(|_| PyTypeError::new_err(message))?
        .map(|item| part(&item?).ok_or_else(|| PyTypeError::new_err(message)))
        .collect()
}

fn members_of(members: &Bound<'_, PyAny>) -> PyResult<Vec<Member>> {
    parts(
        members,
        "members must be sequence of TypeMember",
        |member| Some(member.cast::<TypeMember>().ok()?.get().inner.clone()),
    )
}

fn enumerators_of(enumerators: &Bound<'_, PyAny>) -> PyResult<Vec<Enumerator>> {
    parts(
        enumerators,
        "enumerators must be sequence of TypeEnumerator",
        |enumerator| {
            Some(
                enumerator
                    .cast::<TypeEnumerator>()
                    .ok()?
                    .get()
                    .inner
                    .clone(),
            )
        },
    )
}

fn parameters_of(parameters: &Bound<'_, PyAny>) -> PyResult<Vec<Parameter>> {
    parts(
        parameters,
        "parameters must be sequence of TypeParameter",
        |parameter| Some(parameter.cast::<TypeParameter>().ok()?.get().inner.clone()),
    )
}

fn template_parameters_of(
    parameters: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<TemplateParameter>> {
    let Some(parameters) = parameters else {
        return Ok(Vec::new());
    };
    let message = "template_parameters must be sequence of TypeTemplateParameter";
    parts(parameters, message, |parameter| {
        Some(
            parameter
                .cast::<TypeTemplateParameter>()
                .ok()?
                .get()
                .inner
                .clone(),
        )
    })
}

#[pymethods]
impl Program {
    /// Make `void`.
    #[pyo3(signature = (*, qualifiers=None, language=None))]
    #[pyo3(text_signature = "($self, *, qualifiers=Qualifiers.NONE, language=None)")]
    fn void_type<'py>(
        slf: &Bound<'py, Self>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language)?;
        let ty = EngineType::void(common.language);
        Ok(common.finish(&ty))
    }

    /// Make an integer type.
    #[pyo3(signature = (
        name, size, is_signed, byteorder=None, *, qualifiers=None, language=None
    ))]
    #[pyo3(text_signature = "($self, name, size, is_signed, byteorder=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn int_type<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        size: u64,
        is_signed: Truth,
        byteorder: Option<&str>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language)?;
        let order = common.byte_order(byteorder)?;
        let ty = EngineType::int(name, size, is_signed.0, order, common.language);
        Ok(common.finish(&ty))
    }

    /// Make a truth value type; the arguments are those of `int_type`.
    #[pyo3(signature = (name, size, byteorder=None, *, qualifiers=None, language=None))]
    #[pyo3(text_signature = "($self, name, size, byteorder=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn bool_type<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        size: u64,
        byteorder: Option<&str>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language)?;
        let order = common.byte_order(byteorder)?;
        let ty = EngineType::bool(name, size, order, common.language);
        Ok(common.finish(&ty))
    }

    /// Make a floating-point type; the arguments are those of `int_type`.
    #[pyo3(signature = (name, size, byteorder=None, *, qualifiers=None, language=None))]
    #[pyo3(text_signature = "($self, name, size, byteorder=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn float_type<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        size: u64,
        byteorder: Option<&str>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language)?;
        let order = common.byte_order(byteorder)?;
        let ty = EngineType::float(name, size, order, common.language);
        Ok(common.finish(&ty))
    }

    /// Make a structure type; without size and members, one that is only declared.
    #[pyo3(signature = (
        tag, size=None, members=None, *, template_parameters=None, qualifiers=None, language=None
    ))]
    #[pyo3(
        text_signature = "($self, tag, size=None, members=None, *, template_parameters=(), \
        qualifiers=Qualifiers.NONE, language=None)"
    )]
    fn struct_type<'py>(
        slf: &Bound<'py, Self>,
        tag: Option<&str>,
        size: Option<u64>,
        members: Option<&Bound<'py, PyAny>>,
        template_parameters: Option<&Bound<'py, PyAny>>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        Common::new(slf, qualifiers, language)?.compound(
            TypeKind::Struct,
            tag,
            size,
            members,
            template_parameters,
        )
    }

    /// Make a union type; the arguments are those of `struct_type`.
    #[pyo3(signature = (
        tag, size=None, members=None, *, template_parameters=None, qualifiers=None, language=None
    ))]
    #[pyo3(
        text_signature = "($self, tag, size=None, members=None, *, template_parameters=(), \
        qualifiers=Qualifiers.NONE, language=None)"
    )]
    fn union_type<'py>(
        slf: &Bound<'py, Self>,
        tag: Option<&str>,
        size: Option<u64>,
        members: Option<&Bound<'py, PyAny>>,
        template_parameters: Option<&Bound<'py, PyAny>>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        Common::new(slf, qualifiers, language)?.compound(
            TypeKind::Union,
            tag,
            size,
            members,
            template_parameters,
        )
    }

    /// Make a class type; the arguments are those of `struct_type`.
    #[pyo3(signature = (
        tag, size=None, members=None, *, template_parameters=None, qualifiers=None, language=None
    ))]
    #[pyo3(
        text_signature = "($self, tag, size=None, members=None, *, template_parameters=(), \
        qualifiers=Qualifiers.NONE, language=None)"
    )]
    fn class_type<'py>(
        slf: &Bound<'py, Self>,
        tag: Option<&str>,
        size: Option<u64>,
        members: Option<&Bound<'py, PyAny>>,
        template_parameters: Option<&Bound<'py, PyAny>>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        Common::new(slf, qualifiers, language)?.compound(
            TypeKind::Class,
            tag,
            size,
            members,
            template_parameters,
        )
    }

    /// Make an enumeration type; without type and enumerators, one that is only declared.
    #[pyo3(signature = (
        tag, r#type=None, enumerators=None, *, qualifiers=None, language=None
    ))]
    #[pyo3(text_signature = "($self, tag, type=None, enumerators=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn enum_type<'py>(
        slf: &Bound<'py, Self>,
        tag: Option<&str>,
        r#type: Option<&Bound<'py, Type>>,
        enumerators: Option<&Bound<'py, PyAny>>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language)?;
        let definition = match (r#type, enumerators) {
            (Some(ty), Some(enumerators)) => {
                Some((ty.get().inner.clone(), enumerators_of(enumerators)?))
            }
            (None, None) => None,
            (Some(_), None) => {
                return Err(PyValueError::new_err(
                    "incomplete enum type must not have compatible type",
                ));
            }
            (None, Some(_)) => {
                return Err(PyValueError::new_err("enum type must have compatible type"));
            }
        };
        let order = common.byte_order(None).unwrap_or(ByteOrder::HOST);
        let ty = EngineType::enumeration(tag, definition, order, common.language).or_raise()?;
        Ok(common.finish(&ty))
    }

    /// Make a type alias.
    #[pyo3(signature = (name, r#type, *, qualifiers=None, language=None))]
    #[pyo3(text_signature = "($self, name, type, *, qualifiers=Qualifiers.NONE, language=None)")]
    fn typedef_type<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        r#type: &Bound<'py, Type>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language)?;
        let ty = EngineType::typedef(name, r#type.get().inner.clone(), common.language);
        Ok(common.finish(&ty))
    }

    /// Make a pointer type.
    #[pyo3(signature = (
        r#type, size=None, byteorder=None, *, qualifiers=None, language=None
    ))]
    #[pyo3(text_signature = "($self, type, size=None, byteorder=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn pointer_type<'py>(
        slf: &Bound<'py, Self>,
        r#type: &Bound<'py, Type>,
        size: Option<u64>,
        byteorder: Option<&str>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        let target = &r#type.get().inner;
        let common = Common::derived(slf, qualifiers, language, target.language())?;
        if size.is_none() && byteorder.is_none() && common.language == target.language() {
            let ty = slf
                .get()
                .inner
                .pointer_type(target, PointerKind::Pointer)
                .or_raise()?;
            return Ok(common.finish(&ty));
        }
        let size = match size {
            Some(size) => size,
            None => u64::from(slf.get().inner.address_size().or_raise()?),
        };
        let order = common.byte_order(byteorder)?;
        let kind = PointerKind::Pointer;
        let ty = EngineType::pointer(target.clone(), kind, size, order, common.language);
        Ok(common.finish(&ty))
    }

    /// Make an array type.
    #[pyo3(signature = (r#type, length=None, *, qualifiers=None, language=None))]
    #[pyo3(
        text_signature = "($self, type, length=None, *, qualifiers=Qualifiers.NONE, \
        language=None)"
    )]
    fn array_type<'py>(
        slf: &Bound<'py, Self>,
        r#type: &Bound<'py, Type>,
        length: Option<u64>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        let element = &r#type.get().inner;
        let common = Common::derived(slf, qualifiers, language, element.language())?;
        let ty = EngineType::array(element.clone(), length, common.language);
        Ok(common.finish(&ty))
    }

    /// Make a function type.
    #[pyo3(signature = (
        r#type, parameters, is_variadic=Truth(false), *, template_parameters=None,
        qualifiers=None, language=None
    ))]
    #[pyo3(text_signature = "($self, type, parameters, is_variadic=False, *, \
        template_parameters=(), qualifiers=Qualifiers.NONE, language=None)")]
    fn function_type<'py>(
        slf: &Bound<'py, Self>,
        r#type: &Bound<'py, Type>,
        parameters: &Bound<'py, PyAny>,
        is_variadic: Truth,
        template_parameters: Option<&Bound<'py, PyAny>>,
        qualifiers: Option<&Bound<'py, PyAny>>,
        language: Option<&Bound<'py, Language>>,
    ) -> PyResult<Type> {
        let returns = &r#type.get().inner;
        let common = Common::derived(slf, qualifiers, language, returns.language())?;
        let ty = EngineType::function(
            returns.clone(),
            parameters_of(parameters)?,
            is_variadic.0,
            template_parameters_of(template_parameters)?,
            common.language,
        );
        Ok(common.finish(&ty))
    }
}
