//! Stacks and frames as text.

use std::fmt;

use super::{StackFrame, StackTrace};
use crate::Result;

impl fmt::Display for StackTrace {
    /// One line for each frame: `#0  function (file:line:column)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for frame in self.frames() {
            if frame.number() > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "#{:<2} {}", frame.number(), frame.short())?;
        }
        Ok(())
    }
}

impl fmt::Display for StackFrame {
    /// `#0 at address (symbol+offset/size) in function at file:line:column (inlined)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{} at {:#x}", self.number(), self.pc())?;
        if let Some(symbol) = self.symbol_and_offset() {
            write!(formatter, " ({symbol})")?;
        }
        if let Some(name) = self.function_name() {
            write!(formatter, " in {name}")?;
        }
        if let Some(source) = self.source_text() {
            write!(formatter, " at {source}")?;
        }
        if self.is_inline() {
            write!(formatter, " (inlined)")?;
        } else if self.is_tail_call() {
            write!(formatter, " (tail call)")?;
        }
        write!(formatter, "{}", self.guess_text())
    }
}

impl StackFrame {
    fn short(&self) -> String {
        let name = match self.function_name() {
            Some(name) => name.to_owned(),
            None => self
                .symbol_and_offset()
                .unwrap_or_else(|| format!("{:#x}", self.pc())),
        };
        let source = self
            .source_text()
            .map(|source| format!(" ({source})"))
            .unwrap_or_default();
        format!("{name}{source}{}", self.guess_text())
    }

    /// What a place in the source code is called: the function, or the symbol.
    pub fn location_name(&self) -> Result<Option<String>> {
        Ok(match self.function_name() {
            Some(name) => Some(name.to_owned()),
            None => self.symbol()?.map(|symbol| symbol.name.to_string()),
        })
    }

    fn guess_text(&self) -> &'static str {
        if self.is_guess() { " (guess)" } else { "" }
    }

    /// `symbol+0xoffset/0xsize`; unknown symbols and those that can't be read are left out.
    fn symbol_and_offset(&self) -> Option<String> {
        let symbol = self.symbol().ok()??;
        let offset = self.pc().wrapping_sub(symbol.address);
        Some(format!("{}+{offset:#x}/{:#x}", symbol.name, symbol.size))
    }

    fn source_text(&self) -> Option<String> {
        let source: Result<_> = self.source();
        let source = source.ok()??;
        Some(match (source.line, source.column) {
            (0, _) => source.file.to_string(),
            (line, 0) => format!("{}:{line}", source.file),
            (line, column) => format!("{}:{line}:{column}", source.file),
        })
    }
}
