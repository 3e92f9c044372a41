//! The words of the preprocessor.

use std::sync::Arc;

/// A word, and the names of the macros that it came out of, which do not expand again in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) hidden: Hidden,
    /// Whether there is space before it.
    pub(super) is_apart: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Name(Arc<str>),
    /// Anything that starts with a digit, or a point and a digit.
    Number(Arc<str>),
    /// A character in quotation marks, as it is written.
    Character(Arc<str>),
    /// A string in quotation marks, as it is written.
    String(Arc<str>),
    Sign(&'static str),
}

impl TokenKind {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Name(text) | Self::Number(text) | Self::Character(text) | Self::String(text) => {
                text
            }
            Self::Sign(sign) => sign,
        }
    }
}

/// A set of names of macros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hidden(Option<Arc<(Arc<str>, Hidden)>>);

impl Hidden {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names().any(|hidden| &**hidden == name)
    }

    pub(super) fn with(&self, name: &Arc<str>) -> Hidden {
        Hidden(Some(Arc::new((Arc::clone(name), self.clone()))))
    }

    /// The names that are in another set, too.
    pub(super) fn intersection(&self, other: &Hidden) -> Hidden {
        let both = self.names().filter(|name| other.contains(name));
        both.fold(Hidden::default(), |set, name| set.with(name))
    }

    pub(super) fn union(&self, other: &Hidden) -> Hidden {
        let new = other.names().filter(|name| !self.contains(name));
        new.fold(self.clone(), |set, name| set.with(name))
    }

    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let mut next = self;
        std::iter::from_fn(move || {
            let (name, rest) = next.0.as_deref()?;
            next = rest;
            Some(name)
        })
    }
}

/// Longer ones first.
const SIGNS: [&str; 44] = [
    "...", "<<=", ">>=", "##", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->", "++", "--",
    "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "#", "(", ")", "[", "]", "{", "}", ",", ".",
    "?", ":", ";", "~", "!", "+", "-", "*", "/", "%", "<", ">",
];
const MORE_SIGNS: [&str; 4] = ["&", "|", "^", "="];

/// Takes text apart. None if it has what is no word of C.
pub(super) fn tokenize(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut is_apart = false;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
            is_apart = true;
            continue;
        }
        let (kind, length) = token(rest, first)?;
        tokens.push(Token {
            kind,
            hidden: Hidden::default(),
            is_apart: std::mem::take(&mut is_apart),
        });
        rest = rest.get(length..)?;
    }
    Some(tokens)
}

fn token(rest: &str, first: char) -> Option<(TokenKind, usize)> {
    let second = rest.chars().nth(1);
    if is_name_start(first) {
        let length = rest.find(|c| !is_in_name(c)).unwrap_or(rest.len());
        return Some((TokenKind::Name(rest.get(..length)?.into()), length));
    }
    if first.is_ascii_digit() || first == '.' && second.is_some_and(|c| c.is_ascii_digit()) {
        let length = number_length(rest);
        return Some((TokenKind::Number(rest.get(..length)?.into()), length));
    }
    if first == '"' || first == '\'' {
        let length = quoted_length(rest, first)?;
        let text = rest.get(..length)?.into();
        let kind = if first == '"' {
            TokenKind::String(text)
        } else {
            TokenKind::Character(text)
        };
        return Some((kind, length));
    }
    let sign = SIGNS
        .iter()
        .chain(&MORE_SIGNS)
        .find(|sign| rest.starts_with(**sign))?;
    Some((TokenKind::Sign(sign), sign.len()))
}

fn is_name_start(character: char) -> bool {
    character.is_alphabetic() || character == '_' || character == '$'
}

fn is_in_name(character: char) -> bool {
    is_name_start(character) || character.is_ascii_digit()
}

/// A number goes on with letters, digits, points, and signs after an exponent's letter.
fn number_length(text: &str) -> usize {
    let mut last = '0';
    let is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    text.find(|character: char| {
        let is_exponent = matches!(last, 'p' | 'P') || !is_hexadecimal && matches!(last, 'e' | 'E');
        last = character;
        !(is_in_name(character)
            || character == '.'
            || is_exponent && matches!(character, '+' | '-'))
    })
    .unwrap_or(text.len())
}

fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return Some(at + character.len_utf8()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        let tokens = tokenize(text)?;
        Some(
            tokens
                .iter()
                .map(|token| token.kind.text().to_owned())
                .collect(),
        )
    }

    #[test]
    fn text_is_taken_apart() {
        assert_eq!(
            words("(a##b<<=0x1e+2) 1.5e+3f '\\'' \"a\\\"b\" x->y"),
            Some(
                [
                    "(",
                    "a",
                    "##",
                    "b",
                    "<<=",
                    "0x1e",
                    "+",
                    "2",
                    ")",
                    "1.5e+3f",
                    "'\\''",
                    "\"a\\\"b\"",
                    "x",
                    "->",
                    "y"
                ]
                .map(str::to_owned)
                .to_vec()
            )
        );
        assert_eq!(words("'a"), None);
        assert_eq!(words("@"), None);
    }

    #[test]
    fn sets_of_names() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let both = Hidden::default().with(&a).with(&b);
        assert!(both.contains("a") && both.contains("b") && !both.contains("c"));
        let only = both.intersection(&Hidden::default().with(&b));
        assert!(!only.contains("a") && only.contains("b"));
        assert!(only.union(&both).contains("a"));
    }
}
