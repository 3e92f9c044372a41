//! How the files of modules are searched for.

/// How the files of loadable kernel modules are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KmodSearchMethod {
    /// Not at all.
    None,
    /// By the list that depmod wrote.
    Depmod,
    /// By walking the directories of kernel modules.
    Walk,
    /// By depmod's list if there is one, else by walking.
    DepmodOrWalk,
    /// By depmod's list, then by walking for those that it lacks.
    DepmodAndWalk,
}

/// How the files of modules are searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is one switch that users know by its name"
)]
pub struct DebugInfoOptions {
    /// The directories of debug files.
    pub directories: Vec<String>,
    /// Whether the name of a module is tried as the path of its file.
    pub try_module_name: bool,
    /// Whether files are searched for by build ID.
    pub try_build_id: bool,
    /// Where the file that a debug link names is searched for.
    pub debug_link_directories: Vec<String>,
    /// Whether files are searched for by debug link.
    pub try_debug_link: bool,
    /// Whether the files of live processes are opened through `/proc`.
    pub try_procfs: bool,
    /// Whether the vDSO is read from the memory of the program.
    pub try_embedded_vdso: bool,
    /// Whether the loaded file of a module is tried as its debug file, and the reverse.
    pub try_reuse: bool,
    /// Whether supplementary files are searched for.
    pub try_supplementary: bool,
    /// Where the kernel and its modules are searched for: directories where a kernel was built,
    /// that are like `/lib/modules/RELEASE` or like the root directory. The empty path is the root
    /// directory, with `directories`.
    pub kernel_directories: Vec<String>,
    /// How the files of kernel modules are found.
    pub try_kmod: KmodSearchMethod,
}

impl Default for DebugInfoOptions {
    fn default() -> Self {
        Self {
            directories: vec!["/usr/lib/debug".to_owned()],
            try_module_name: true,
            try_build_id: true,
            debug_link_directories: ["$ORIGIN", "$ORIGIN/.debug", ""]
                .map(str::to_owned)
                .to_vec(),
            try_debug_link: true,
            try_procfs: true,
            try_embedded_vdso: true,
            try_reuse: true,
            try_supplementary: true,
            kernel_directories: vec![String::new()],
            try_kmod: KmodSearchMethod::DepmodOrWalk,
        }
    }
}
