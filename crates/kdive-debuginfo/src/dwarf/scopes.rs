//! Names with scopes, such as `std::vector<ns::T>::iterator`.

/// Splits a name at the `::` that are not within template arguments: its scopes, outermost first,
/// and the name itself. A leading `::` is ignored.
pub(super) fn split(name: &str) -> (Vec<&str>, &str) {
    let mut parts = Vec::new();
    let mut depth = 0u32;
    let mut start = 0;
    let bytes = name.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'<' | b'(' => depth += 1,
            b'>' | b')' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && bytes.get(at + 1) == Some(&b':') => {
                parts.push(&name[start..at]);
                at += 1;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if parts.first() == Some(&"") {
        parts.remove(0);
    }
    (parts, &name[start..])
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn scopes_are_split_outside_template_arguments() {
        assert_eq!(split("list_head"), (vec![], "list_head"));
        assert_eq!(split("::a"), (vec![], "a"));
        assert_eq!(split("a::b::c"), (vec!["a", "b"], "c"));
        assert_eq!(split("v<a::b>::it<x::y>"), (vec!["v<a::b>"], "it<x::y>"));
        assert_eq!(split("f(a::b)::local"), (vec!["f(a::b)"], "local"));
    }
}
