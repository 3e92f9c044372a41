//! The definitions of types, as C writes them.
