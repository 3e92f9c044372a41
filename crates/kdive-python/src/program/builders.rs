//! Making types.

use kdive_debuginfo::description::Language as EngineLanguage;
use kdive_engine::types::{
    Enumerator, Member, Parameter, PointerKind, Qualifiers, TemplateParameter,
};
use kdive_engine::{Type as EngineType, TypeKind};
use kdive_target::ByteOrder;
use pyo3::PyClass;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PySequence;

use super::Program;
use crate::arguments::Truth;
use crate::enums::{Flags, wrong_type};
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
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> Self {
        let default = prog.get().inner.language();
        Self::derived(prog, qualifiers, language, default)
    }

    fn derived(
        prog: &'a Bound<'py, Program>,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
        default: EngineLanguage,
    ) -> Self {
        Self {
            prog,
            qualifiers: qualifiers.0,
            language: language.0.unwrap_or(default),
        }
    }

    fn byte_order(&self, given: Option<ByteOrder>) -> PyResult<ByteOrder> {
        if let Some(order) = given {
            return Ok(order);
        }
        let platform = self.prog.get().inner.platform();
        platform
            .map(|platform| platform.byte_order)
            .ok_or_else(|| PyValueError::new_err("program byte order is not known"))
    }

    /// What an argument that is a type is to the engine.
    fn own<'t>(&self, ty: &'t Bound<'py, Type>) -> PyResult<&'t EngineType> {
        if ty.get().prog.is(self.prog) {
            Ok(&ty.get().inner)
        } else {
            Err(PyValueError::new_err("type is from different program"))
        }
    }

    fn finish(self, ty: &EngineType) -> Type {
        let ty = ty.qualified(self.qualifiers);
        Type::new(ty, self.prog.as_unbound(), self.prog.py())
    }

    fn compound(
        self,
        kind: TypeKind,
        tag: &Bound<'py, PyAny>,
        size: Option<u64>,
        members: Option<&Bound<'py, PyAny>>,
        template_parameters: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Type> {
        let keyword = kind.keyword().unwrap_or_default();
        let tag = tag_of(tag, keyword)?;
        let definition = match (size, members) {
            (Some(size), Some(members)) => Some((size, self.members(members)?)),
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
        let parameters = self.template_parameters(template_parameters)?;
        let ty = EngineType::compound(
            kind,
            tag.as_deref(),
            definition,
            parameters,
            order,
            self.language,
        );
        Ok(self.finish(&ty))
    }
}

/// The qualifiers of a type to be made.
#[derive(Default)]
struct QualifiersArgument(Qualifiers);

impl<'py> FromPyObject<'_, 'py> for QualifiersArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Qualifiers::from_python(&object).map(Self)
    }
}

/// The language of a type to be made; none is that of the program, or of the type it refers to.
#[derive(Default)]
struct LanguageArgument(Option<EngineLanguage>);

impl<'py> FromPyObject<'_, 'py> for LanguageArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            return Ok(Self(None));
        }
        match object.cast::<Language>() {
            Ok(language) => Ok(Self(Some(language.get().inner))),
            Err(_) => Err(wrong_type("Language", &object)),
        }
    }
}

/// The name of a byte order; none is the program's.
#[derive(Default)]
struct ByteOrderArgument(Option<ByteOrder>);

impl<'py> FromPyObject<'_, 'py> for ByteOrderArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let name: Option<Option<&str>> = object.extract().ok();
        match name {
            Some(None) => Ok(Self(None)),
            Some(Some("little")) => Ok(Self(Some(ByteOrder::Little))),
            Some(Some("big")) => Ok(Self(Some(ByteOrder::Big))),
            _ => Err(PyValueError::new_err(
                "expected 'little', 'big', or None for byteorder",
            )),
        }
    }
}

/// The tag of a structure, union, class or enumeration.
fn tag_of(tag: &Bound<'_, PyAny>, keyword: &str) -> PyResult<Option<String>> {
    tag.extract()
        .map_err(|_| PyTypeError::new_err(format!("{keyword}_type() tag must be str or None")))
}

/// The parts that the items of a sequence stand for; `optional` is what may stand in its place.
fn parts<'py, T: PyClass>(
    items: &Bound<'py, PyAny>,
    name: &str,
    optional: &str,
) -> PyResult<Vec<Bound<'py, T>>> {
    let items = items
        .cast::<PySequence>()
        .map_err(|_| PyTypeError::new_err(format!("{name}s must be sequence{optional}")))?;
    items
        .try_iter()?
        .map(|item| {
            let item = item?.cast_into();
            item.map_err(|_| PyTypeError::new_err(format!("{name} must be {}", T::NAME)))
        })
        .collect()
}

impl Common<'_, '_> {
    fn members(&self, members: &Bound<'_, PyAny>) -> PyResult<Vec<Member>> {
        parts::<TypeMember>(members, "member", " or None")?
            .iter()
            .map(|member| member.get().inner_for(self.prog))
            .collect()
    }

    fn parameters(&self, parameters: &Bound<'_, PyAny>) -> PyResult<Vec<Parameter>> {
        parts::<TypeParameter>(parameters, "parameter", "")?
            .iter()
            .map(|parameter| parameter.get().inner_for(self.prog))
            .collect()
    }

    fn template_parameters(
        &self,
        parameters: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<TemplateParameter>> {
        let Some(parameters) = parameters else {
            return Ok(Vec::new());
        };
        parts::<TypeTemplateParameter>(parameters, "template parameter", "")?
            .iter()
            .map(|parameter| parameter.get().inner_for(self.prog))
            .collect()
    }
}

fn enumerators_of(enumerators: &Bound<'_, PyAny>) -> PyResult<Vec<Enumerator>> {
    let enumerators = parts::<TypeEnumerator>(enumerators, "enumerator", " or None")?;
    Ok(enumerators
        .iter()
        .map(|enumerator| enumerator.get().inner.clone())
        .collect())
}

#[pymethods]
impl Program {
    /// Make `void`.
    #[pyo3(signature = (*, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()))]
    #[pyo3(text_signature = "($self, *, qualifiers=Qualifiers.NONE, language=None)")]
    fn void_type(
        slf: &Bound<'_, Self>,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> Type {
        let common = Common::new(slf, qualifiers, language);
        let ty = EngineType::void(common.language);
        common.finish(&ty)
    }

    /// Make an integer type.
    #[pyo3(signature = (
        name, size, is_signed, byteorder=ByteOrderArgument::default(), *, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()
    ))]
    #[pyo3(text_signature = "($self, name, size, is_signed, byteorder=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn int_type(
        slf: &Bound<'_, Self>,
        name: &str,
        size: u64,
        is_signed: Truth,
        byteorder: ByteOrderArgument,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language);
        let order = common.byte_order(byteorder.0)?;
        let ty = EngineType::int(name, size, is_signed.0, order, common.language);
        Ok(common.finish(&ty))
    }

    /// Make a truth value type; the arguments are those of `int_type`.
    #[pyo3(signature = (name, size, byteorder=ByteOrderArgument::default(), *, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()))]
    #[pyo3(text_signature = "($self, name, size, byteorder=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn bool_type(
        slf: &Bound<'_, Self>,
        name: &str,
        size: u64,
        byteorder: ByteOrderArgument,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language);
        let order = common.byte_order(byteorder.0)?;
        let ty = EngineType::bool(name, size, order, common.language);
        Ok(common.finish(&ty))
    }

    /// Make a floating-point type; the arguments are those of `int_type`.
    #[pyo3(signature = (name, size, byteorder=ByteOrderArgument::default(), *, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()))]
    #[pyo3(text_signature = "($self, name, size, byteorder=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn float_type(
        slf: &Bound<'_, Self>,
        name: &str,
        size: u64,
        byteorder: ByteOrderArgument,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language);
        let order = common.byte_order(byteorder.0)?;
        let ty = EngineType::float(name, size, order, common.language);
        Ok(common.finish(&ty))
    }

    /// Make a structure type; without size and members, one that is only declared.
    #[pyo3(signature = (
        tag, size=None, members=None, *, template_parameters=None, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()
    ))]
    #[pyo3(
        text_signature = "($self, tag, size=None, members=None, *, template_parameters=(), \
        qualifiers=Qualifiers.NONE, language=None)"
    )]
    fn struct_type<'py>(
        slf: &Bound<'py, Self>,
        tag: &Bound<'py, PyAny>,
        size: Option<u64>,
        members: Option<&Bound<'py, PyAny>>,
        template_parameters: Option<&Bound<'py, PyAny>>,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        Common::new(slf, qualifiers, language).compound(
            TypeKind::Struct,
            tag,
            size,
            members,
            template_parameters,
        )
    }

    /// Make a union type; the arguments are those of `struct_type`.
    #[pyo3(signature = (
        tag, size=None, members=None, *, template_parameters=None, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()
    ))]
    #[pyo3(
        text_signature = "($self, tag, size=None, members=None, *, template_parameters=(), \
        qualifiers=Qualifiers.NONE, language=None)"
    )]
    fn union_type<'py>(
        slf: &Bound<'py, Self>,
        tag: &Bound<'py, PyAny>,
        size: Option<u64>,
        members: Option<&Bound<'py, PyAny>>,
        template_parameters: Option<&Bound<'py, PyAny>>,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        Common::new(slf, qualifiers, language).compound(
            TypeKind::Union,
            tag,
            size,
            members,
            template_parameters,
        )
    }

    /// Make a class type; the arguments are those of `struct_type`.
    #[pyo3(signature = (
        tag, size=None, members=None, *, template_parameters=None, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()
    ))]
    #[pyo3(
        text_signature = "($self, tag, size=None, members=None, *, template_parameters=(), \
        qualifiers=Qualifiers.NONE, language=None)"
    )]
    fn class_type<'py>(
        slf: &Bound<'py, Self>,
        tag: &Bound<'py, PyAny>,
        size: Option<u64>,
        members: Option<&Bound<'py, PyAny>>,
        template_parameters: Option<&Bound<'py, PyAny>>,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        Common::new(slf, qualifiers, language).compound(
            TypeKind::Class,
            tag,
            size,
            members,
            template_parameters,
        )
    }

    /// Make an enumeration type; without type and enumerators, one that is only declared.
    #[pyo3(signature = (
        tag, r#type=None, enumerators=None, *, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()
    ))]
    #[pyo3(text_signature = "($self, tag, type=None, enumerators=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn enum_type<'py>(
        slf: &Bound<'py, Self>,
        tag: &Bound<'py, PyAny>,
        r#type: Option<&Bound<'py, PyAny>>,
        enumerators: Option<&Bound<'py, PyAny>>,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language);
        let tag = tag_of(tag, "enum")?;
        let r#type = match r#type.map(Bound::cast::<Type>) {
            None => None,
            Some(Ok(ty)) => Some(ty),
            Some(Err(_)) => {
                return Err(PyTypeError::new_err(
                    "enum_type() compatible type must be Type or None",
                ));
            }
        };
        let definition = match (r#type, enumerators) {
            (Some(ty), Some(enumerators)) => {
                let ty = common.own(ty)?;
                if ty.kind() != TypeKind::Int {
                    return Err(PyValueError::new_err(
                        "enum_type() compatible type must be integer type",
                    ));
                }
                if !ty.qualifiers().is_empty() {
                    return Err(PyValueError::new_err(
                        "enum_type() compatible type must be unqualified",
                    ));
                }
                let enumerators = enumerators_of(enumerators)?;
                let is_negative = |enumerator: &Enumerator| enumerator.value < 0;
                if ty.is_signed() == Some(false) && enumerators.iter().any(is_negative) {
                    return Err(PyOverflowError::new_err(
                        "can't convert negative int to unsigned",
                    ));
                }
                let fits = |enumerator: &Enumerator| match ty.is_signed() {
                    Some(true) => i64::try_from(enumerator.value).is_ok(),
                    _ => u64::try_from(enumerator.value).is_ok(),
                };
                if ty.size().or_raise()? <= 8 && !enumerators.iter().all(fits) {
                    return Err(PyOverflowError::new_err("int too big to convert"));
                }
                Some((ty.clone(), enumerators))
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
        let ty = EngineType::enumeration(tag.as_deref(), definition, order, common.language)
            .or_raise()?;
        Ok(common.finish(&ty))
    }

    /// Make a type alias.
    #[pyo3(signature = (name, r#type, *, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()))]
    #[pyo3(text_signature = "($self, name, type, *, qualifiers=Qualifiers.NONE, language=None)")]
    fn typedef_type<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        r#type: &Bound<'py, Type>,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        let common = Common::new(slf, qualifiers, language);
        let ty = EngineType::typedef(name, common.own(r#type)?.clone(), common.language);
        Ok(common.finish(&ty))
    }

    /// Make a pointer type.
    #[pyo3(signature = (
        r#type, size=None, byteorder=ByteOrderArgument::default(), *, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()
    ))]
    #[pyo3(text_signature = "($self, type, size=None, byteorder=None, *, \
        qualifiers=Qualifiers.NONE, language=None)")]
    fn pointer_type<'py>(
        slf: &Bound<'py, Self>,
        r#type: &Bound<'py, Type>,
        size: Option<u64>,
        byteorder: ByteOrderArgument,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        let target = &r#type.get().inner;
        let common = Common::derived(slf, qualifiers, language, target.language());
        common.own(r#type)?;
        if size.is_none() && byteorder.0.is_none() && common.language == target.language() {
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
        let order = common.byte_order(byteorder.0)?;
        let kind = PointerKind::Pointer;
        let ty = EngineType::pointer(target.clone(), kind, size, order, common.language);
        Ok(common.finish(&ty))
    }

    /// Make an array type.
    #[pyo3(signature = (r#type, length=None, *, qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()))]
    #[pyo3(
        text_signature = "($self, type, length=None, *, qualifiers=Qualifiers.NONE, \
        language=None)"
    )]
    fn array_type<'py>(
        slf: &Bound<'py, Self>,
        r#type: &Bound<'py, Type>,
        length: Option<u64>,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        let element = &r#type.get().inner;
        let common = Common::derived(slf, qualifiers, language, element.language());
        common.own(r#type)?;
        let ty = EngineType::array(element.clone(), length, common.language);
        Ok(common.finish(&ty))
    }

    /// Make a function type.
    #[pyo3(signature = (
        r#type, parameters, is_variadic=Truth(false), *, template_parameters=None,
        qualifiers=QualifiersArgument::default(), language=LanguageArgument::default()
    ))]
    #[pyo3(text_signature = "($self, type, parameters, is_variadic=False, *, \
        template_parameters=(), qualifiers=Qualifiers.NONE, language=None)")]
    fn function_type<'py>(
        slf: &Bound<'py, Self>,
        r#type: &Bound<'py, Type>,
        parameters: &Bound<'py, PyAny>,
        is_variadic: Truth,
        template_parameters: Option<&Bound<'py, PyAny>>,
        qualifiers: QualifiersArgument,
        language: LanguageArgument,
    ) -> PyResult<Type> {
        let returns = &r#type.get().inner;
        let common = Common::derived(slf, qualifiers, language, returns.language());
        common.own(r#type)?;
        let ty = EngineType::function(
            returns.clone(),
            common.parameters(parameters)?,
            is_variadic.0,
            common.template_parameters(template_parameters)?,
            common.language,
        );
        Ok(common.finish(&ty))
    }
}
