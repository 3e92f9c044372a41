//! The preprocessor: macros are replaced by what they stand for.

use std::collections::VecDeque;
use std::sync::Arc;

use kdive_debuginfo::MacroSource;
use kdive_debuginfo::macros::{MacroDefinition, MacroUnit};

use super::tokens::{Hidden, Token, TokenKind, tokenize};
use crate::Result;

/// How many words an expansion may have, and pass on its way there. Constants have a handful.
const GREATEST_LENGTH: usize = 1 << 12;
/// How deep arguments may hold macros with arguments.
const GREATEST_DEPTH: u32 = 32;

/// What a macro stands for, with all macros in that replaced. None if it is written like a
/// function, or is no proper C.
pub(super) fn expand(
    source: &dyn MacroSource,
    unit: MacroUnit,
    name: &str,
) -> Result<Option<Vec<TokenKind>>> {
    let is_like_object = source
        .macro_in(unit, name)?
        .is_some_and(|definition| definition.parameters.is_none());
    if !is_like_object {
        return Ok(None);
    }
    let mut expansion = Expansion {
        source,
        unit,
        left: GREATEST_LENGTH,
    };
    let name = Token {
        kind: TokenKind::Name(name.into()),
        hidden: Hidden::default(),
        is_apart: false,
    };
    let expanded = expansion.all(vec![name], 0)?;
    Ok(expanded.map(|tokens| tokens.into_iter().map(|token| token.kind).collect()))
}

struct Expansion<'a> {
    source: &'a dyn MacroSource,
    unit: MacroUnit,
    /// How many words may still be passed.
    left: usize,
}

impl Expansion<'_> {
    /// Replaces all macros in `tokens`. None if that is not possible, or has no end.
    fn all(&mut self, tokens: Vec<Token>, depth: u32) -> Result<Option<Vec<Token>>> {
        if depth == GREATEST_DEPTH {
            return Ok(None);
        }
        let mut waiting = VecDeque::from(tokens);
        let mut done = Vec::new();
        while let Some(token) = waiting.pop_front() {
            let Some(left) = self.left.checked_sub(1) else {
                return Ok(None);
            };
            self.left = left;
            let TokenKind::Name(name) = &token.kind else {
                done.push(token);
                continue;
            };
            let definition = if token.hidden.contains(name) {
                None
            } else {
                self.source.macro_in(self.unit, name)?
            };
            let Some(definition) = definition else {
                done.push(token);
                continue;
            };
            let (arguments, hidden) = if definition.parameters.is_some() {
                if !is_sign(waiting.front(), "(") {
                    // Without arguments the name stands for itself.
                    done.push(token);
                    continue;
                }
                let Some((arguments, last)) = take_arguments(&mut waiting) else {
                    return Ok(None);
                };
                (arguments, token.hidden.intersection(&last).with(name))
            } else {
                (Vec::new(), token.hidden.with(name))
            };
            let Some(replaced) = self.replace(&definition, &arguments, &hidden, depth)? else {
                return Ok(None);
            };
            if replaced.len() + waiting.len() > GREATEST_LENGTH {
                return Ok(None);
            }
            for token in replaced.into_iter().rev() {
                waiting.push_front(token);
            }
        }
        Ok(Some(done))
    }

    /// The body of a macro with its arguments in it.
    fn replace(
        &mut self,
        definition: &MacroDefinition,
        arguments: &[Vec<Token>],
        hidden: &Hidden,
        depth: u32,
    ) -> Result<Option<Vec<Token>>> {
        let Some(body) = tokenize(&definition.body) else {
            return Ok(None);
        };
        let names = definition.parameters.as_deref().unwrap_or_default();
        let argument = |token: &Token| -> Option<Vec<Token>> {
            let TokenKind::Name(name) = &token.kind else {
                return None;
            };
            argument_of(names, arguments, name)
        };
        let mut replaced: Vec<Token> = Vec::new();
        let mut next = 0;
        while let Some(token) = body.get(next) {
            let is_pasted_to = is_sign(body.get(next + 1), "##");
            if token.kind == TokenKind::Sign("#")
                && definition.parameters.is_some()
                && let Some(text) = body.get(next + 1).and_then(argument)
            {
                replaced.push(Token {
                    kind: TokenKind::String(quote(&text)),
                    ..token.clone()
                });
                next += 2;
                continue;
            }
            if token.kind == TokenKind::Sign("##") && next != 0 {
                let Some(right) = body.get(next + 1) else {
                    return Ok(None);
                };
                let right = argument(right).unwrap_or_else(|| vec![right.clone()]);
                if paste(&mut replaced, right).is_none() {
                    return Ok(None);
                }
                next += 2;
                continue;
            }
            match argument(token) {
                // What is pasted is not expanded before.
                Some(text) if is_pasted_to => replaced.extend(text),
                Some(text) => match self.all(text, depth + 1)? {
                    Some(text) => replaced.extend(text),
                    None => return Ok(None),
                },
                None => replaced.push(token.clone()),
            }
            if replaced.len() > GREATEST_LENGTH {
                return Ok(None);
            }
            next += 1;
        }
        for token in &mut replaced {
            token.hidden = token.hidden.union(hidden);
        }
        Ok(Some(replaced))
    }
}

fn is_sign(token: Option<&Token>, sign: &str) -> bool {
    token.is_some_and(|token| matches!(token.kind, TokenKind::Sign(found) if found == sign))
}

/// Takes the arguments of a macro in parentheses, and gives what is hidden in the last one.
fn take_arguments(waiting: &mut VecDeque<Token>) -> Option<(Vec<Vec<Token>>, Hidden)> {
    waiting.pop_front();
    let mut arguments = vec![Vec::new()];
    let mut depth = 0u32;
    loop {
        let token = waiting.pop_front()?;
        match token.kind {
            TokenKind::Sign(")") if depth == 0 => return Some((arguments, token.hidden)),
            TokenKind::Sign(",") if depth == 0 => {
                arguments.push(Vec::new());
                continue;
            }
            TokenKind::Sign("(") => depth += 1,
            TokenKind::Sign(")") => depth -= 1,
            _ => {}
        }
        arguments.last_mut()?.push(token);
    }
}

/// The argument of a parameter; none if there is no such parameter.
fn argument_of(names: &[String], arguments: &[Vec<Token>], name: &str) -> Option<Vec<Token>> {
    let at = names.iter().position(|parameter| {
        let rest = parameter.strip_suffix("...");
        match rest {
            Some("") => name == "__VA_ARGS__",
            Some(rest) => name == rest,
            None => name == parameter,
        }
    })?;
    if !names.get(at)?.ends_with("...") {
        return Some(arguments.get(at).cloned().unwrap_or_default());
    }
    let rest = arguments.get(at..).unwrap_or_default();
    let comma = Token {
        kind: TokenKind::Sign(","),
        hidden: Hidden::default(),
        is_apart: false,
    };
    Some(rest.join(&comma))
}

/// The text of an argument as a string.
fn quote(tokens: &[Token]) -> Arc<str> {
    let mut text = String::from("\"");
    for (number, token) in tokens.iter().enumerate() {
        if token.is_apart && number != 0 {
            text.push(' ');
        }
        match &token.kind {
            TokenKind::String(inner) | TokenKind::Character(inner) => {
                text.push_str(&inner.replace('\\', "\\\\").replace('"', "\\\""));
            }
            other => text.push_str(other.text()),
        }
    }
    text.push('"');
    text.into()
}

/// Makes one word of the last one and the first one of `right`. None if that is none.
fn paste(left: &mut Vec<Token>, mut right: Vec<Token>) -> Option<()> {
    if right.is_empty() {
        return Some(());
    }
    if let Some(last) = left.pop() {
        let first = right.first_mut()?;
        let text = format!("{}{}", last.kind.text(), first.kind.text());
        let [joined] = <[Token; 1]>::try_from(tokenize(&text)?).ok()?;
        first.hidden = first.hidden.intersection(&last.hidden);
        first.kind = joined.kind;
    }
    left.append(&mut right);
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct Definitions(HashMap<String, MacroDefinition>);

    impl Definitions {
        fn new(lines: &[&str]) -> Definitions {
            let parsed = lines.iter().map(|line| {
                let (name, definition) = MacroDefinition::parse(line).unwrap();
                (name.to_owned(), definition)
            });
            Definitions(parsed.collect())
        }
    }

    impl MacroSource for Definitions {
        fn unit_with_macro(&self, name: &str, _: Option<&str>) -> Result2<Option<MacroUnit>> {
            Ok(self.0.contains_key(name).then_some(MacroUnit(0)))
        }

        fn macro_in(&self, _: MacroUnit, name: &str) -> Result2<Option<MacroDefinition>> {
            Ok(self.0.get(name).cloned())
        }
    }

    type Result2<T> = kdive_debuginfo::Result<T>;

    fn expanded(lines: &[&str], name: &str) -> Option<String> {
        let tokens = expand(&Definitions::new(lines), MacroUnit(0), name).unwrap()?;
        let words: Vec<&str> = tokens.iter().map(TokenKind::text).collect();
        Some(words.join(" "))
    }

    #[test]
    fn macros_are_replaced_as_the_preprocessor_does() {
        let kernel = [
            "PAGE_SIZE (_AC(1,UL) << PAGE_SHIFT)",
            "PAGE_SHIFT 12",
            "_AC(X,Y) __AC(X,Y)",
            "__AC(X,Y) (X##Y)",
        ];
        assert_eq!(
            expanded(&kernel, "PAGE_SIZE").as_deref(),
            Some("( ( 1UL ) << 12 )")
        );
        assert_eq!(expanded(&kernel, "_AC"), None);
        for (lines, expected) in [
            (&["A B", "B A"][..], Some("A")),
            (&["A A + 1"], Some("A + 1")),
            (&["A F", "F(x) x"], Some("F")),
            (&["A F (2)", "F(x) x + x"], Some("2 + 2")),
            (&["A F(F(1))", "F(x) <x>"], Some("< < 1 > >")),
            (&["A S(a \"b\" c)", "S(x) #x"], Some("\"a \\\"b\\\" c\"")),
            (&["A S(B)", "S(x) #x", "B 2"], Some("\"B\"")),
            (&["A T(B)", "T(x) S(x)", "S(x) #x", "B 2"], Some("\"2\"")),
            (&["A V(1, 2)", "V(...) f(__VA_ARGS__)"], Some("f ( 1 , 2 )")),
            (&["A V(1, 2)", "V(x...) f(x)"], Some("f ( 1 , 2 )")),
            (&["A P(,x)", "P(a,b) a##b"], Some("x")),
            (&["A F(1", "F(x) x"], None),
            (&["A +P(+,1)", "P(a,b) a##b"], None),
            (&["A G F(1)", "F(x) x", "G F"], Some("F 1")),
            (&["A G(1)", "F(x) [x]", "G F"], Some("[ 1 ]")),
        ] {
            assert_eq!(expanded(lines, "A").as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn expansions_without_bounds_are_given_up() {
        let mut lines = vec!["A0 x".to_owned()];
        for number in 1..64 {
            lines.push(format!("A{number} A{0} A{0}", number - 1));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(expanded(&lines, "A63"), None);
        let nested = format!("A {}1{}", "F(".repeat(1000), ")".repeat(1000));
        assert_eq!(expanded(&[&nested, "F(x) x"], "A"), None);
    }
}
