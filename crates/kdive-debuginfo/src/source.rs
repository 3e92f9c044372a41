//! What every format of debug information can answer.

use std::sync::Arc;

use crate::Result;
use crate::description::{
    EnumeratorDescription, MemberDescription, ObjectDescription, ObjectKinds,
    TemplateParameterDescription, TypeDescription, TypeId, TypeKinds,
};

/// Types and objects of one module, from one format of debug information.
///
/// A source is immutable: the same question has the same answer, on any thread.
pub trait TypeSource: Send + Sync {
    /// The name of the format: `dwarf`, `btf` or `ctf`.
    fn format(&self) -> &'static str;

    /// The types of one of `kinds` that are called `name` (with scopes in C++), complete ones
    /// first. `file_name`, if given, must match the end of the path of the declaring file.
    fn find_types(
        &self,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Vec<TypeId>>;

    /// The objects of one of `kinds` that are called `name`, defined ones first.
    fn find_objects(
        &self,
        kinds: ObjectKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Vec<ObjectDescription>>;

    /// What is known of the module's code; none if the format knows nothing of code.
    fn code(&self) -> Option<&dyn crate::CodeSource> {
        None
    }

    /// What is known of the module's macros; none if the format knows nothing of them.
    fn macros(&self) -> Option<&dyn crate::MacroSource> {
        None
    }

    /// Whether the kernel module of this name (`vmlinux` for the kernel itself) is among what the
    /// types are of, if these are of several modules.
    fn has_kernel_module(&self, _name: &str) -> bool {
        false
    }

    /// Describes a type.
    fn describe(&self, id: TypeId) -> Result<TypeDescription>;

    /// The members of a structure, union or class, base classes first.
    fn members(&self, id: TypeId) -> Result<Vec<MemberDescription>>;

    /// The enumerators of an enumeration.
    fn enumerators(&self, id: TypeId) -> Result<Vec<EnumeratorDescription>>;

    /// The template parameters of a class or function.
    fn template_parameters(&self, _id: TypeId) -> Result<Vec<TemplateParameterDescription>> {
        Ok(Vec::new())
    }

    /// All names of types of one of `kinds`, for completion and listings; sorted.
    fn type_names(&self, kinds: TypeKinds) -> Result<Vec<Arc<str>>>;
}
