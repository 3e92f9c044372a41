//! Paths of source files, as debug information and users spell them.

use std::path::Path;

/// Whether `path` ends with the components of `suffix`; an absolute suffix must be all of it.
pub fn path_ends_with(path: &str, suffix: &str) -> bool {
    Path::new(&normalize(path)).ends_with(normalize(suffix))
}

/// Removes `.` and, with the component before it, `..`.
pub(crate) fn normalize(path: &str) -> String {
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if components.last().is_some_and(|&last| last != "..") => {
                components.pop();
            }
            // The root is its own parent.
            ".." if !root.is_empty() => {}
            _ => components.push(component),
        }
    }
    format!("{root}{}", components.join("/"))
}

#[cfg(test)]
mod tests {
    use super::path_ends_with;

    #[test]
    fn compares_whole_components() {
        for (path, suffix) in [
            ("/usr/src/fs/inode.c", "fs/inode.c"),
            ("a//b", "a/b"),
            ("a/./b", "a/b"),
            ("a/b/../c", "a/c"),
            ("/../a", "/a"),
            ("../a", "a"),
            ("/a/b", "/a/b"),
            ("a", ""),
            ("a", "."),
        ] {
            assert!(path_ends_with(path, suffix), "{path} {suffix}");
        }
        for (path, suffix) in [
            ("/usr/src/fs/inode.c", "node.c"),
            ("/a/b", "/b"),
            ("b", "/b"),
            ("b", "a/b"),
            ("a/b", "../b"),
            ("", "x"),
            ("a", "/"),
        ] {
            assert!(!path_ends_with(path, suffix), "{path} {suffix}");
        }
    }
}
