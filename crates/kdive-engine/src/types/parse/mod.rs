//! The parser of type names: what `sizeof` and casts take in C and C++.
//!
//! The words of a name come from `lexer`, the keywords of C's own types are combined in
//! `keywords`. Which types have which names is the matter of [`crate::program`].

mod keywords;
mod lexer;
mod names;

use std::sync::Arc;

use super::{Content, Language, MAX_DEPTH, Parameter, PointerKind, Qualifiers, Type, TypeKind};
use crate::program::Program;
use crate::{Error, Result};
use keywords::Keyword;
pub(super) use keywords::primitive_of_words;
use lexer::{Token, TokenKind};

/// How deep parentheses may nest.
const MAX_NESTING: usize = 100;

/// The type that a C or C++ type name means: `const struct list_head *`, `int (*)(void)`.
///
/// Parameters of functions may have names, as in [`Type::type_name`], so that what it gives can
/// be parsed.
pub fn parse_type_name(
    program: &Arc<Program>,
    name: &str,
    file_name: Option<&str>,
) -> Result<Type> {
    let parse = || -> Parsed<Type> {
        let mut parser = Parser {
            program,
            file_name,
            is_cpp: program.language() == Language::Cpp,
            tokens: lexer::tokenize(name)?,
            next: 0,
            only_checks: true,
        };
        // A malformed name is malformed whether or not there are such types.
        parser.type_name()?;
        parser.only_checks = false;
        parser.next = 0;
        parser.type_name()
    };
    parse().map_err(|failure| failure.explain(name))
}

/// Why a type name means nothing.
pub(super) enum Failure {
    /// The character at this position is wrong.
    At {
        position: usize,
        message: String,
        is_overflow: bool,
    },
    /// The name is well-formed, but something else went wrong.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Failure {
    pub(super) fn syntax(position: usize, message: String) -> Self {
        Self::At {
            position,
            message,
            is_overflow: false,
        }
    }

    pub(super) fn overflow(position: usize, message: String) -> Self {
        Self::At {
            position,
            message,
            is_overflow: true,
        }
    }

    /// The error, with the name and a mark below the character that is wrong.
    fn explain(self, name: &str) -> Error {
        /// How much of a long name is shown on either side of the mark, in characters.
        const SHOWN: usize = 60;
        match self {
            Self::Other(error) => error,
            Self::At {
                position,
                message,
                is_overflow,
            } => {
                let before = name.get(..position).unwrap_or(name).chars();
                let first = before.clone().count().saturating_sub(SHOWN);
                let column = before.count() - first;
                let shown: String = name
                    .chars()
                    .skip(first)
                    .take(column + SHOWN)
                    .map(|character| {
                        if character.is_control() {
                            ' '
                        } else {
                            character
                        }
                    })
                    .collect();
                let message = format!("{message}\n  {shown}\n  {:column$}^", "");
                if is_overflow {
                    Error::Value(message)
                } else {
                    Error::Syntax(message)
                }
            }
        }
    }
}

type Parsed<T> = std::result::Result<T, Failure>;

/// One step from the type of the specifiers to the type of the declarator.
enum Derivation {
    Pointer(PointerKind, Qualifiers, usize),
    Array(Option<u64>, usize),
    Function(Vec<Parameter>, bool, usize),
}

struct Parser<'a> {
    program: &'a Arc<Program>,
    file_name: Option<&'a str>,
    is_cpp: bool,
    tokens: Vec<Token<'a>>,
    next: usize,
    /// Whether no type is looked up: each is then taken for `void`.
    only_checks: bool,
}

/// A declarator: its derivations, the one that is applied first at the front, and the name.
struct Declarator<'a> {
    derivations: Vec<Derivation>,
    name: Option<&'a str>,
}

impl<'a> Parser<'a> {
    /// The whole text.
    fn type_name(&mut self) -> Parsed<Type> {
        let base = self.specifiers(0)?;
        let declarator = self.declarator(false, 0)?;
        self.expect_end()?;
        self.apply(base, declarator)
    }

    /// The type that `find` gives, unless types are not looked up.
    fn found(&self, find: impl FnOnce() -> crate::Result<Type>) -> Parsed<Type> {
        if self.only_checks {
            return Ok(Type::void(self.program.language()));
        }
        Ok(find()?)
    }

    fn peek_at(&self, ahead: usize) -> Token<'a> {
        let last = self.tokens.len().saturating_sub(1);
        let index = self.next.saturating_add(ahead).min(last);
        self.tokens.get(index).copied().unwrap_or(Token {
            kind: TokenKind::End,
            start: 0,
        })
    }

    fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    fn advance(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next = self.next.saturating_add(1);
        token
    }

    fn take_sign(&mut self, sign: u8) -> bool {
        let is_next = self.peek().kind == TokenKind::Sign(sign);
        if is_next {
            self.advance();
        }
        is_next
    }

    fn expect_sign(&mut self, sign: u8, place: &str) -> Parsed<()> {
        if self.take_sign(sign) {
            return Ok(());
        }
        let sign = char::from(sign);
        Err(self.unexpected(&format!("expected '{sign}' {place}")))
    }

    fn unexpected(&self, message: &str) -> Failure {
        Failure::syntax(self.peek().start, message.to_owned())
    }

    fn expect_end(&mut self) -> Parsed<()> {
        match self.peek().kind {
            TokenKind::End => Ok(()),
            TokenKind::Word(word) => {
                Err(self.unexpected(&format!("unexpected '{word}' after type name")))
            }
            _ => Err(self.unexpected("expected '*', '[', '(' or the end of the type name")),
        }
    }

    /// Keywords, names and qualifiers: everything before the declarator.
    fn specifiers(&mut self, depth: usize) -> Parsed<Type> {
        let mut qualifiers = Qualifiers::empty();
        let mut keywords: Vec<Keyword> = Vec::new();
        let mut keyword_text = "";
        let mut named: Option<(Type, &str)> = None;
        while let TokenKind::Word(word) = self.peek().kind {
            if let Some(qualifier) = keywords::qualifier(word) {
                self.advance();
                qualifiers |= qualifier;
                let is_call = self.peek().kind == TokenKind::Sign(b'(');
                if qualifier == Qualifiers::ATOMIC
                    && is_call
                    && named.is_none()
                    && keywords.is_empty()
                {
                    named = Some((self.atomic(depth)?, "_Atomic()"));
                }
            } else if let Some(keyword) = Keyword::parse(word, self.is_cpp) {
                let conflict = if let Some((_, other)) = &named {
                    Some(*other)
                } else {
                    keywords.push(keyword);
                    keywords::combine(&keywords)
                        .is_none()
                        .then_some(keyword_text)
                };
                if let Some(other) = conflict {
                    return Err(self.unexpected(&format!("cannot combine '{word}' with '{other}'")));
                }
                keyword_text = word;
                self.advance();
            } else if named.is_some() || !keywords.is_empty() {
                break;
            } else if let Some(kind) = self.compound_keyword(word) {
                self.advance();
                named = Some((self.tagged(kind)?, word));
            } else {
                self.advance();
                named = Some((
                    self.found(|| names::find_plain(self.program, word, self.file_name))?,
                    word,
                ));
            }
        }
        let ty = match named {
            Some((ty, _)) => ty,
            None => match keywords::combine(&keywords) {
                Some(found) if !keywords.is_empty() => {
                    self.found(|| names::find_own(self.program, found))?
                }
                _ => return Err(self.unexpected("expected type specifier")),
            },
        };
        Ok(ty.qualified(ty.qualifiers() | qualifiers))
    }

    /// The type in `_Atomic(type)`.
    fn atomic(&mut self, depth: usize) -> Parsed<Type> {
        self.check_nesting(depth)?;
        self.advance();
        let base = self.specifiers(depth + 1)?;
        let declarator = self.declarator(false, depth + 1)?;
        self.expect_sign(b')', "after the type of '_Atomic'")?;
        self.apply(base, declarator)
    }

    fn check_nesting(&self, depth: usize) -> Parsed<()> {
        if depth >= MAX_NESTING {
            return Err(self.unexpected("parentheses are nested too deeply"));
        }
        Ok(())
    }

    /// The kind of type that a keyword introduces. `class` is a name like any other in C.
    fn compound_keyword(&self, word: &str) -> Option<TypeKind> {
        Some(match word {
            "struct" => TypeKind::Struct,
            "union" => TypeKind::Union,
            "enum" => TypeKind::Enum,
            "class" if matches!(self.peek_at(1).kind, TokenKind::Word(_)) => TypeKind::Class,
            _ => return None,
        })
    }

    fn tagged(&mut self, kind: TypeKind) -> Parsed<Type> {
        let keyword = kind.keyword().unwrap_or_default();
        match self.peek().kind {
            TokenKind::Word(tag)
                if keywords::qualifier(tag).is_none()
                    && Keyword::parse(tag, self.is_cpp).is_none() =>
            {
                self.advance();
                self.found(|| {
                    names::find_tagged(self.program, kind, tag, self.file_name, self.is_cpp)
                })
            }
            TokenKind::Anonymous => Err(self.unexpected(
                "an anonymous type can't be found by name; take it from the member or object \
                 that has it",
            )),
            _ => Err(self.unexpected(&format!("expected identifier after '{keyword}'"))),
        }
    }

    fn qualifiers(&mut self) -> Qualifiers {
        let mut qualifiers = Qualifiers::empty();
        while let TokenKind::Word(word) = self.peek().kind
            && let Some(qualifier) = keywords::qualifier(word)
        {
            self.advance();
            qualifiers |= qualifier;
        }
        qualifiers
    }

    /// Pointers, arrays and functions around a name, or around nothing.
    fn declarator(&mut self, may_have_name: bool, depth: usize) -> Parsed<Declarator<'a>> {
        self.check_nesting(depth)?;
        let mut derivations = Vec::new();
        loop {
            let start = self.peek().start;
            let kind = match self.peek().kind {
                TokenKind::Sign(b'*') => PointerKind::Pointer,
                TokenKind::Sign(b'&') => PointerKind::Reference,
                TokenKind::TwoAmpersands => PointerKind::RvalueReference,
                _ => break,
            };
            self.advance();
            derivations.push(Derivation::Pointer(kind, self.qualifiers(), start));
        }
        let mut inner = Declarator {
            derivations: Vec::new(),
            name: None,
        };
        if self.opens_declarator() {
            self.advance();
            inner = self.declarator(may_have_name, depth + 1)?;
            self.expect_sign(b')', "after declarator")?;
        } else if may_have_name && let TokenKind::Word(name) = self.peek().kind {
            self.advance();
            inner.name = Some(name);
        }
        let mut suffixes = Vec::new();
        loop {
            let start = self.peek().start;
            if self.take_sign(b'[') {
                self.qualifiers();
                let length = match self.peek().kind {
                    TokenKind::Number(None) => {
                        let message = "the length does not fit into 64 bits".to_owned();
                        return Err(Failure::overflow(self.peek().start, message));
                    }
                    TokenKind::Number(length) => {
                        self.advance();
                        length
                    }
                    _ => None,
                };
                let place = if length.is_some() {
                    "after array length"
                } else {
                    "or array length"
                };
                self.expect_sign(b']', place)?;
                suffixes.push(Derivation::Array(length, start));
            } else if self.take_sign(b'(') {
                let (parameters, is_variadic) = self.parameters(depth + 1)?;
                suffixes.push(Derivation::Function(parameters, is_variadic, start));
            } else {
                break;
            }
        }
        derivations.extend(suffixes.into_iter().rev());
        derivations.extend(inner.derivations);
        Ok(Declarator {
            derivations,
            name: inner.name,
        })
    }

    /// Whether a parenthesis comes next that groups, rather than one before parameters.
    fn opens_declarator(&self) -> bool {
        self.peek().kind == TokenKind::Sign(b'(')
            && matches!(
                self.peek_at(1).kind,
                TokenKind::Sign(b'*' | b'&' | b'(' | b'[') | TokenKind::TwoAmpersands
            )
    }

    /// The parameters of a function, after the opening parenthesis.
    fn parameters(&mut self, depth: usize) -> Parsed<(Vec<Parameter>, bool)> {
        self.check_nesting(depth)?;
        if self.take_sign(b')') {
            // In C, empty parentheses say nothing about the parameters.
            return Ok((Vec::new(), !self.is_cpp));
        }
        if self.peek().kind == TokenKind::Word("void")
            && self.peek_at(1).kind == TokenKind::Sign(b')')
        {
            self.advance();
            self.advance();
            return Ok((Vec::new(), false));
        }
        let mut parameters = Vec::new();
        loop {
            if self.peek().kind == TokenKind::Ellipsis {
                self.advance();
                self.expect_sign(b')', "after '...'")?;
                return Ok((parameters, true));
            }
            let base = self.specifiers(depth)?;
            let declarator = self.declarator(true, depth)?;
            let name = declarator.name;
            let ty = self.apply(base, declarator)?;
            parameters.push(Parameter {
                name: name.map(Arc::from),
                content: Content::from_type(ty),
            });
            if !self.take_sign(b',') {
                self.expect_sign(b')', "or ',' after parameter")?;
                return Ok((parameters, false));
            }
        }
    }

    fn apply(&self, base: Type, declarator: Declarator<'a>) -> Parsed<Type> {
        let language = self.program.language();
        if let Some(extra) = declarator.derivations.get(MAX_DEPTH) {
            let (Derivation::Pointer(_, _, position)
            | Derivation::Array(_, position)
            | Derivation::Function(_, _, position)) = extra;
            let message = format!("the type has more than {MAX_DEPTH} pointers and arrays");
            return Err(Failure::syntax(*position, message));
        }
        if self.only_checks {
            return Ok(base);
        }
        let mut ty = base;
        for derivation in declarator.derivations {
            let real = ty.pointer_kind();
            let is_reference = real.is_some_and(|kind| kind != PointerKind::Pointer);
            ty = match derivation {
                Derivation::Pointer(kind, _, position) if is_reference => {
                    let what = match kind {
                        PointerKind::Pointer => "pointers",
                        _ => "references",
                    };
                    let message = format!("there are no {what} to references");
                    return Err(Failure::syntax(position, message));
                }
                Derivation::Array(_, position) if is_reference => {
                    let message = "there are no arrays of references".to_owned();
                    return Err(Failure::syntax(position, message));
                }
                Derivation::Pointer(kind, qualifiers, _) => {
                    self.program.pointer_type(&ty, kind)?.qualified(qualifiers)
                }
                Derivation::Array(_, position) if ty.kind() == TypeKind::Function => {
                    let message = "there are no arrays of functions".to_owned();
                    return Err(Failure::syntax(position, message));
                }
                Derivation::Array(length, _) => Type::array(ty, length, language),
                Derivation::Function(_, _, position)
                    if matches!(ty.kind(), TypeKind::Function | TypeKind::Array) =>
                {
                    let message = "functions return neither arrays nor functions".to_owned();
                    return Err(Failure::syntax(position, message));
                }
                Derivation::Function(parameters, is_variadic, _) => {
                    Type::function(ty, parameters, is_variadic, Vec::new(), language)
                }
            };
        }
        Ok(ty)
    }
}
