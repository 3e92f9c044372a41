//! The words of type names.

use super::Failure;

/// A word of a type name and where it starts, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind<'a>,
    pub(super) start: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TokenKind<'a> {
    /// A keyword or a name, with its scopes and template arguments.
    Word(&'a str),
    /// None if it does not fit into 64 bits.
    Number(Option<u64>),
    /// One of `( ) [ ] * & ,`.
    Sign(u8),
    /// `&&`
    TwoAmpersands,
    /// `...`
    Ellipsis,
    /// `<anonymous>`, as anonymous types are printed.
    Anonymous,
    End,
}

/// What may stand in a name in place of an identifier.
const UNNAMED_NAMESPACE: &str = "(anonymous namespace)";

/// Takes a type name apart.
pub(super) fn tokenize(text: &str) -> Result<Vec<Token<'_>>, Failure> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut position = 0;
    while let Some(byte) = bytes.get(position).copied() {
        if byte.is_ascii_whitespace() {
            position += 1;
            continue;
        }
        let rest = &text[position..];
        let (kind, length) = match byte {
            b'0'..=b'9' => number(rest, position)?,
            b'.' if rest.starts_with("...") => (TokenKind::Ellipsis, 3),
            b'&' if rest.starts_with("&&") => (TokenKind::TwoAmpersands, 2),
            b'<' if rest.starts_with("<anonymous>") => (TokenKind::Anonymous, "<anonymous>".len()),
            _ => match word_length(rest, position)? {
                0 if matches!(byte, b'(' | b')' | b'[' | b']' | b'*' | b'&' | b',') => {
                    (TokenKind::Sign(byte), 1)
                }
                0 => {
                    let character = rest.chars().next().unwrap_or_default();
                    return Err(Failure::syntax(
                        position,
                        format!("invalid character {character:?}"),
                    ));
                }
                length => (TokenKind::Word(&rest[..length]), length),
            },
        };
        tokens.push(Token {
            kind,
            start: position,
        });
        position += length;
    }
    tokens.push(Token {
        kind: TokenKind::End,
        start: text.len(),
    });
    Ok(tokens)
}

fn number(rest: &str, position: usize) -> Result<(TokenKind<'_>, usize), Failure> {
    let length = rest
        .find(|character: char| !character.is_alphanumeric())
        .unwrap_or(rest.len());
    let text = &rest[..length];
    let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    match u64::from_str_radix(digits, radix) {
        Ok(number) => Ok((TokenKind::Number(Some(number)), length)),
        Err(_) if !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix)) => {
            Ok((TokenKind::Number(None), length))
        }
        Err(_) => Err(Failure::syntax(
            position,
            format!("invalid number '{text}'"),
        )),
    }
}

/// The length of the name at the start of `rest`; 0 if there is none.
fn word_length(rest: &str, position: usize) -> Result<usize, Failure> {
    let mut end = scope_length(rest);
    loop {
        let part = &rest[end..];
        let length = if part.starts_with(UNNAMED_NAMESPACE) {
            UNNAMED_NAMESPACE.len()
        } else if part.starts_with('{') {
            // The name that compilers give to a lambda or an implementation block.
            bracketed(part, position + end)?
        } else {
            let identifier = identifier_length(part);
            let arguments = if identifier > 0 && part[identifier..].starts_with('<') {
                bracketed(&part[identifier..], position + end + identifier)?
            } else {
                0
            };
            identifier + arguments
        };
        if length == 0 {
            return if end == 0 {
                Ok(0)
            } else {
                Err(Failure::syntax(
                    position + end,
                    "expected identifier after '::'".to_owned(),
                ))
            };
        }
        end += length;
        match scope_length(&rest[end..]) {
            0 => return Ok(end),
            scope => end += scope,
        }
    }
}

fn scope_length(rest: &str) -> usize {
    if rest.starts_with("::") { 2 } else { 0 }
}

fn identifier_length(rest: &str) -> usize {
    let mut characters = rest.char_indices();
    match characters.next() {
        Some((_, first)) if first.is_alphabetic() || first == '_' => {}
        _ => return 0,
    }
    characters
        .find(|(_, character)| !(character.is_alphanumeric() || matches!(character, '_' | '$')))
        .map_or(rest.len(), |(index, _)| index)
}

/// The length of the text in brackets of any kind at the start of `rest`.
fn bracketed(rest: &str, position: usize) -> Result<usize, Failure> {
    let mut open = Vec::new();
    let mut previous = b' ';
    for (index, byte) in rest.bytes().enumerate() {
        match byte {
            b'(' => open.push(b')'),
            b'[' => open.push(b']'),
            b'{' => open.push(b'}'),
            // Between parentheses it means "less than".
            b'<' if open.last() != Some(&b')') => open.push(b'>'),
            b'>' if previous == b'-' || open.last() != Some(&b'>') => {}
            b')' | b']' | b'}' | b'>' => {
                if open.pop() != Some(byte) {
                    return Err(Failure::syntax(
                        position + index,
                        format!("unexpected '{}' in template arguments", char::from(byte)),
                    ));
                }
                if open.is_empty() {
                    return Ok(index + 1);
                }
            }
            _ => {}
        }
        previous = byte;
    }
    Err(Failure::syntax(
        position,
        "template arguments are not closed".to_owned(),
    ))
}
