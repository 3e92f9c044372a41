//! The parser of type names.

use std::sync::Arc;

use super::{Type, TypeKinds};
use crate::Result;
use crate::program::Program;

/// The type that a C or C++ type name means.
pub fn parse_type_name(
    program: &Arc<Program>,
    name: &str,
    file_name: Option<&str>,
) -> Result<Type> {
    program.find_named_type(TypeKinds::all(), name, file_name)
}
