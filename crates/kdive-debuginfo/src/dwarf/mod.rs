//! DWARF: the index of names, and types, objects and source lines read from entries when asked.
//!
//! The indexing pass ([`scan`], with [`abbreviations`] and [`encoding`]) has a parser of its own,
//! as it looks at millions of entries; everything else reads single entries through gimli.

mod abbreviations;
mod addresses;
mod code;
mod encoding;
mod entry;
mod file;
mod identity;
mod index;
mod languages;
mod line_rows;
mod lines;
mod macros;
mod objects;
mod scan;
mod scopes;
mod source;
mod split;
mod types;
mod variants;

pub(crate) use file::saved::layout as saved_layout;

pub use file::DwarfFile;
pub use source::DwarfSource;
pub use split::MissingFile;
