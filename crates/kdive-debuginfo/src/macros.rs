//! What debug information can tell of the preprocessor's macros.

use crate::Result;

/// A unit of translation, with the macros that are defined at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MacroUnit(pub u32);

/// What `#define` says of a macro.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacroDefinition {
    /// The names of its parameters, if it is written like a function; the last one may be `...`,
    /// or end in it.
    pub parameters: Option<Vec<String>>,
    /// What stands for the macro.
    pub body: String,
}

impl MacroDefinition {
    /// Takes a definition apart as it is written after `#define`: the name, at once the
    /// parameters if there are any, and after a space the body.
    pub fn parse(text: &str) -> Option<(&str, MacroDefinition)> {
        let name_length = text.find([' ', '(']).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(name_length)?;
        let (parameters, body) = match rest.strip_prefix('(') {
            None => (None, rest),
            Some(rest) => {
                let (list, body) = rest.split_once(')')?;
                let names = list.split(',').map(str::trim);
                let names = names.filter(|name| !name.is_empty());
                (Some(names.map(str::to_owned).collect()), body)
            }
        };
        let body = body.trim().to_owned();
        Some((name, MacroDefinition { parameters, body }))
    }
}

/// The macros of one module.
pub trait MacroSource {
    /// The first unit at whose end a macro is defined, in a file whose path ends with `file_name`
    /// if that is given.
    fn unit_with_macro(&self, name: &str, file_name: Option<&str>) -> Result<Option<MacroUnit>>;

    /// How a macro is defined at the end of a unit.
    fn macro_in(&self, unit: MacroUnit, name: &str) -> Result<Option<MacroDefinition>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_taken_apart_as_compilers_write_them() {
        for (text, name, parameters, body) in [
            ("A 1", "A", None, "1"),
            ("EMPTY ", "EMPTY", None, ""),
            ("EMPTY", "EMPTY", None, ""),
            ("P (1)", "P", None, "(1)"),
            ("F() x", "F", Some(vec![]), "x"),
            ("F(a, b) a b", "F", Some(vec!["a", "b"]), "a b"),
            ("V(...) x", "V", Some(vec!["..."]), "x"),
            ("N(args...) args", "N", Some(vec!["args..."]), "args"),
        ] {
            let (found, definition) = MacroDefinition::parse(text).unwrap();
            let parameters =
                parameters.map(|names: Vec<&str>| names.into_iter().map(str::to_owned).collect());
            let body = body.to_owned();
            assert_eq!(
                (found, definition),
                (name, MacroDefinition { parameters, body })
            );
        }
        assert_eq!(MacroDefinition::parse("F(a"), None);
    }
}
