//! The names of types and the declarations of variables, as C writes them.

use super::Type;
use crate::Result;

impl Type {
    /// The name of the type as it is written in a cast.
    pub fn type_name(&self) -> Result<String> {
        Ok(self.kind_article())
    }

    /// The declaration of a variable of this type.
    pub fn variable_declaration(&self, name: &str) -> Result<String> {
        Ok(format!("{} {name}", self.type_name()?))
    }
}
