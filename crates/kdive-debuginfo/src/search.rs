//! Where files of modules are looked for.
//!
//! This only decides: it gives the paths to try, best first, and touches no file. Whether a file
//! is the right one, its build ID tells.

use std::path::{Path, PathBuf};

use crate::elf::{DebugLink, SupplementaryLink};

/// A module whose files are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedModule<'a> {
    /// What kind of module it is.
    pub kind: WantedKind<'a>,
    /// Its build ID.
    pub build_id: Option<&'a [u8]>,
    /// The file that was loaded, as far as it is known, and the debug link that it has.
    pub debug_link: Option<(&'a Path, &'a DebugLink)>,
}

/// A kind of module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedKind<'a> {
    /// The kernel of a release, such as `6.1.0-56-amd64`.
    Kernel {
        /// `uname -r`.
        release: &'a str,
    },
    /// A module of the kernel.
    KernelModule {
        /// `uname -r`.
        release: &'a str,
        /// The path of the module below `/lib/modules/RELEASE`, if it is known; see
        /// [`module_path`].
        path: Option<&'a Path>,
    },
    /// A program or a shared library.
    Program {
        /// The path of the file that was loaded.
        path: &'a Path,
    },
}

/// The directories where files are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchDirectories {
    /// Directories of debug information that mirror the root directory, and have a `.build-id`.
    pub debug: Vec<PathBuf>,
    /// Where the file that a debug link names is looked for: `$ORIGIN` stands for the directory of
    /// the file with the link, and the empty path for that directory below those in `debug`.
    pub debug_link: Vec<String>,
    /// Where the kernel and its modules are looked for.
    pub kernel: KernelDirectory,
}

/// A directory with a kernel and its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelDirectory {
    /// It is laid out like the root directory; unless it is that, it may also be a directory like
    /// `/lib/modules/RELEASE` or the one that a kernel was built in.
    pub root: PathBuf,
    /// Directories of debug information that mirror `root`.
    pub debug: Vec<PathBuf>,
    /// The directory of the release's modules.
    pub modules: PathBuf,
}

impl KernelDirectory {
    /// The one of this machine.
    pub fn of_machine(release: &str, debug: Vec<PathBuf>) -> KernelDirectory {
        KernelDirectory {
            root: PathBuf::from("/"),
            debug,
            modules: Path::new("/lib/modules").join(release),
        }
    }

    /// The directories of modules of a release, with debug information first.
    pub fn module_directories(&self, release: &str) -> Vec<PathBuf> {
        let mut directories: Vec<PathBuf> = self
            .debug
            .iter()
            .flat_map(|debug| ["lib/modules", "usr/lib/modules"].map(|below| debug.join(below)))
            .map(|modules| modules.join(release))
            .collect();
        directories.push(self.modules.clone());
        directories
    }

    fn is_of_machine(&self) -> bool {
        self.root == Path::new("/")
    }
}

/// The paths where the debug information of a module may be, best first.
pub fn debug_file_paths(
    wanted: &WantedModule<'_>,
    directories: &SearchDirectories,
) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if let Some(name) = wanted.build_id.and_then(build_id_path) {
        paths.extend(directories.debug.iter().map(|directory| {
            directory
                .join(".build-id")
                .join(name.with_extension("debug"))
        }));
    }
    if let Some((file, link)) = wanted.debug_link {
        paths.extend(debug_link_paths(file, link, directories));
    }
    match wanted.kind {
        WantedKind::Kernel { release } => {
            paths.extend(kernel_paths(release, &directories.kernel));
        }
        WantedKind::KernelModule { path: None, .. } => {}
        WantedKind::KernelModule {
            release,
            path: Some(path),
        } => {
            paths.extend(kernel_module_paths(release, path, &directories.kernel));
        }
        WantedKind::Program { path } => {
            paths.extend(
                directories
                    .debug
                    .iter()
                    .map(|directory| below(directory, path, ".debug")),
            );
            paths.push(path.to_owned());
        }
    }
    let mut unique = Vec::with_capacity(paths.len());
    for path in paths {
        if !unique.contains(&path) {
            unique.push(path);
        }
    }
    unique
}

/// `ab/cdef…` for the build ID `abcdef…`.
fn build_id_path(build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    let rest = rest
        .iter()
        .fold(String::new(), |name, byte| name + &format!("{byte:02x}"));
    // The name gets an extension, which must not replace a part of it: it has no dot.
    (!rest.is_empty()).then(|| PathBuf::from(format!("{first:02x}")).join(rest))
}

/// With the standard directories, as gdb documents it: beside the file, in `.debug` beside it, and
/// below the debug directories.
fn debug_link_paths(
    file: &Path,
    link: &DebugLink,
    directories: &SearchDirectories,
) -> Vec<PathBuf> {
    let Some(origin) = file.parent() else {
        return Vec::new();
    };
    let mut paths = Vec::new();
    for directory in &directories.debug_link {
        let origin_name = origin.to_string_lossy();
        let expanded = directory
            .replace("${ORIGIN}", &origin_name)
            .replace("$ORIGIN", &origin_name);
        let path = match &*expanded {
            "" => origin.join(&link.file_name),
            expanded => Path::new(expanded).join(&link.file_name),
        };
        if !expanded.is_empty() && path.is_absolute() {
            paths.push(path);
        } else {
            let below_debug = directories.debug.iter();
            paths.extend(below_debug.map(|debug| below(debug, &path, "")));
        }
    }
    // A file may be linked to itself; it is not its own debug file.
    paths.retain(|path| path != file);
    paths
}

/// The paths where the file may be that a debug file shares contents with: where the debug file
/// says, by build ID, and where distributions install what dwz made.
pub fn supplementary_paths(
    debug_file: &Path,
    link: &SupplementaryLink,
    debug_directories: &[PathBuf],
) -> Vec<PathBuf> {
    let mut paths = vec![match debug_file.parent() {
        Some(directory) => directory.join(&link.path),
        None => link.path.clone(),
    }];
    let by_build_id = build_id_path(&link.checksum);
    for directory in debug_directories {
        if let Some(name) = &by_build_id {
            let name = name.with_extension("debug");
            paths.push(directory.join(".build-id").join(name));
        }
        if let Some(name) = link.path.file_name() {
            paths.push(directory.join(".dwz").join(name));
        }
    }
    paths
}

/// Debian and Ubuntu (`boot/vmlinux-RELEASE`), Fedora, RHEL and SUSE (`lib/modules/…`), and what
/// installing a kernel by hand leaves.
fn kernel_paths(release: &str, directory: &KernelDirectory) -> Vec<PathBuf> {
    let root = &directory.root;
    let mut paths = Vec::new();
    if !directory.is_of_machine() {
        paths.extend([root.join("build/vmlinux"), root.join("vmlinux")]);
    }
    for debug in &directory.debug {
        paths.push(debug.join(format!("boot/vmlinux-{release}")));
        paths.push(debug.join(format!("boot/vmlinux-{release}.debug")));
        for prefix in ["lib/modules", "usr/lib/modules"] {
            let modules = debug.join(prefix).join(release);
            paths.push(modules.join("vmlinux"));
            paths.push(modules.join("vmlinux.debug"));
        }
    }
    paths.push(root.join(format!("boot/vmlinux-{release}")));
    paths.push(directory.modules.join("build/vmlinux"));
    paths.push(directory.modules.join("vmlinux"));
    paths
}

fn kernel_module_paths(release: &str, path: &Path, directory: &KernelDirectory) -> Vec<PathBuf> {
    let uncompressed = without_compression(path);
    let mut paths = Vec::new();
    for debug in &directory.debug {
        for prefix in ["lib/modules", "usr/lib/modules"] {
            let modules = debug.join(prefix).join(release);
            // Fedora, RHEL, SUSE; then Debian and Ubuntu.
            paths.push(with_suffix(&modules.join(&uncompressed), ".debug"));
            paths.push(modules.join(&uncompressed));
        }
    }
    let modules = &directory.modules;
    paths.push(modules.join(path));
    paths.push(modules.join(&uncompressed));
    paths.extend(
        [".xz", ".zst", ".gz"].map(|suffix| with_suffix(&modules.join(&uncompressed), suffix)),
    );
    paths
}

/// `kernel/fs/btrfs/btrfs.ko` for `kernel/fs/btrfs/btrfs.ko.xz`.
fn without_compression(path: &Path) -> PathBuf {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz" | "gz" | "zst") => path.with_extension(""),
        _ => path.to_owned(),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// An absolute path moved below a directory.
fn below(directory: &Path, path: &Path, suffix: &str) -> PathBuf {
    with_suffix(
        &directory.join(path.strip_prefix("/").unwrap_or(path)),
        suffix,
    )
}

/// The path of the module `name` below `/lib/modules/RELEASE`, from the text of `modules.dep`
/// there. The kernel calls `nf-tables.ko` `nf_tables`.
pub fn module_path<'a>(modules_dep: &'a str, name: &str) -> Option<&'a Path> {
    let normalize = |name: &str| name.replace('-', "_");
    let wanted = normalize(name);
    modules_dep.lines().find_map(|line| {
        let (path, _) = line.split_once(':')?;
        let file = path.rsplit('/').next()?;
        let (stem, _) = file.split_once(".ko")?;
        (normalize(stem) == wanted).then(|| Path::new(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directories(kernel: KernelDirectory) -> SearchDirectories {
        SearchDirectories {
            debug: vec![PathBuf::from("/usr/lib/debug")],
            debug_link: ["$ORIGIN", "$ORIGIN/.debug", ""]
                .map(str::to_owned)
                .to_vec(),
            kernel,
        }
    }

    fn machine() -> SearchDirectories {
        let debug = vec![PathBuf::from("/usr/lib/debug")];
        directories(KernelDirectory::of_machine("6.1", debug))
    }

    fn paths(kind: WantedKind<'_>, directories: &SearchDirectories) -> Vec<String> {
        let wanted = WantedModule {
            kind,
            build_id: Some(&[0xab, 0xcd, 0x01]),
            debug_link: None,
        };
        debug_file_paths(&wanted, directories)
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn a_kernel_is_looked_for_where_distributions_install_it() {
        assert_eq!(
            paths(WantedKind::Kernel { release: "6.1" }, &machine()),
            [
                "/usr/lib/debug/.build-id/ab/cd01.debug",
                "/usr/lib/debug/boot/vmlinux-6.1",
                "/usr/lib/debug/boot/vmlinux-6.1.debug",
                "/usr/lib/debug/lib/modules/6.1/vmlinux",
                "/usr/lib/debug/lib/modules/6.1/vmlinux.debug",
                "/usr/lib/debug/usr/lib/modules/6.1/vmlinux",
                "/usr/lib/debug/usr/lib/modules/6.1/vmlinux.debug",
                "/boot/vmlinux-6.1",
                "/lib/modules/6.1/build/vmlinux",
                "/lib/modules/6.1/vmlinux",
            ]
        );
    }

    #[test]
    fn a_kernel_is_looked_for_in_a_directory_as_one_is_built_or_installed() {
        let given = directories(KernelDirectory {
            root: "/given".into(),
            debug: vec!["/given/usr/lib/debug".into()],
            modules: "/given/lib/modules/6.1".into(),
        });
        assert_eq!(
            paths(WantedKind::Kernel { release: "6.1" }, &given),
            [
                "/usr/lib/debug/.build-id/ab/cd01.debug",
                "/given/build/vmlinux",
                "/given/vmlinux",
                "/given/usr/lib/debug/boot/vmlinux-6.1",
                "/given/usr/lib/debug/boot/vmlinux-6.1.debug",
                "/given/usr/lib/debug/lib/modules/6.1/vmlinux",
                "/given/usr/lib/debug/lib/modules/6.1/vmlinux.debug",
                "/given/usr/lib/debug/usr/lib/modules/6.1/vmlinux",
                "/given/usr/lib/debug/usr/lib/modules/6.1/vmlinux.debug",
                "/given/boot/vmlinux-6.1",
                "/given/lib/modules/6.1/build/vmlinux",
                "/given/lib/modules/6.1/vmlinux",
            ]
        );
    }

    /// Debian's and Fedora's modules end in `.ko.xz`, SUSE's and Ubuntu's in `.ko.zst`.
    #[test]
    fn a_compressed_module_has_uncompressed_debug_information() {
        let below = |directory: &str, name: &str| format!("{directory}/kernel/fs/btrfs/{name}");
        for suffix in ["", ".xz", ".zst", ".gz"] {
            let path = format!("kernel/fs/btrfs/btrfs.ko{suffix}");
            let kind = WantedKind::KernelModule {
                release: "6.1",
                path: Some(Path::new(&path)),
            };
            let mut expected = vec![
                "/usr/lib/debug/.build-id/ab/cd01.debug".to_owned(),
                below("/usr/lib/debug/lib/modules/6.1", "btrfs.ko.debug"),
                below("/usr/lib/debug/lib/modules/6.1", "btrfs.ko"),
                below("/usr/lib/debug/usr/lib/modules/6.1", "btrfs.ko.debug"),
                below("/usr/lib/debug/usr/lib/modules/6.1", "btrfs.ko"),
                format!("/lib/modules/6.1/{path}"),
            ];
            let others = ["btrfs.ko", "btrfs.ko.xz", "btrfs.ko.zst", "btrfs.ko.gz"];
            for other in others.map(|name| below("/lib/modules/6.1", name)) {
                if !expected.contains(&other) {
                    expected.push(other);
                }
            }
            assert_eq!(paths(kind, &machine()), expected);
        }
    }

    #[test]
    fn a_debug_link_is_followed_from_where_the_file_is() {
        let link = DebugLink {
            file_name: "ls.debug".into(),
            checksum: 0,
        };
        let file = Path::new("/usr/bin/ls");
        let wanted = WantedModule {
            kind: WantedKind::Program { path: file },
            build_id: None,
            debug_link: Some((file, &link)),
        };
        assert_eq!(
            debug_file_paths(&wanted, &machine()),
            [
                "/usr/bin/ls.debug",
                "/usr/bin/.debug/ls.debug",
                "/usr/lib/debug/usr/bin/ls.debug",
                "/usr/bin/ls",
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn the_directories_of_debug_links_can_be_chosen() {
        let link = DebugLink {
            file_name: "ls.debug".into(),
            checksum: 0,
        };
        let directories = SearchDirectories {
            debug: vec!["/one".into(), "/two".into()],
            debug_link: ["", "${ORIGIN}/symbols", "/all"]
                .map(str::to_owned)
                .to_vec(),
            ..machine()
        };
        assert_eq!(
            debug_link_paths(Path::new("/usr/bin/ls"), &link, &directories),
            [
                "/one/usr/bin/ls.debug",
                "/two/usr/bin/ls.debug",
                "/usr/bin/symbols/ls.debug",
                "/all/ls.debug",
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn shared_contents_are_looked_for_where_the_debug_file_says_first() {
        let link = SupplementaryLink {
            path: "../../.dwz/bash".into(),
            checksum: vec![0xab, 0xcd],
        };
        let debug_file = Path::new("/usr/lib/debug/.build-id/12/34.debug");
        let directories = ["/usr/lib/debug".into()];
        assert_eq!(
            supplementary_paths(debug_file, &link, &directories),
            [
                "/usr/lib/debug/.build-id/12/../../.dwz/bash",
                "/usr/lib/debug/.build-id/ab/cd.debug",
                "/usr/lib/debug/.dwz/bash",
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn modules_are_found_by_the_name_that_the_kernel_gives_them() {
        let text = "kernel/net/a/af_key.ko: kernel/b.ko\nkernel/c/nf-tables.ko.zst:\nx.ko:\n";
        assert_eq!(
            module_path(text, "af_key"),
            Some(Path::new("kernel/net/a/af_key.ko"))
        );
        assert_eq!(
            module_path(text, "nf_tables"),
            Some(Path::new("kernel/c/nf-tables.ko.zst"))
        );
        assert_eq!(module_path(text, "b"), None);
        assert_eq!(module_path("no colon\n\n:\n", ""), None);
    }
}
