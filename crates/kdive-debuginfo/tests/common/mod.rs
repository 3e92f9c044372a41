//! Makes samples with the compilers of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory of samples, removed at the end of a test.
pub struct Compiler {
    directory: tempfile::TempDir,
}

#[allow(dead_code, reason = "not every test compiles in every way")]
impl Compiler {
    pub fn new() -> Compiler {
        Compiler {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Compiles and links `source`, saved as `file_name`, with `compiler`.
    pub fn compile(
        &self,
        compiler: &str,
        source: &str,
        file_name: &str,
        options: &[&str],
    ) -> PathBuf {
        let source_path = self.path(file_name);
        std::fs::write(&source_path, source).unwrap();
        let output = source_path.with_extension("out");
        self.run_compiler(compiler, &source_path, &output, options);
        output
    }

    fn run_compiler(&self, compiler: &str, source: &Path, output: &Path, options: &[&str]) {
        run(Command::new(compiler)
            .current_dir(self.directory.path())
            .arg(source)
            .arg("-o")
            .arg(output)
            .args(options));
    }
}

/// Runs a command that must succeed, and returns what it prints.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A small generator of numbers that are the same in each run.
pub struct Numbers(pub u64);

#[allow(dead_code, reason = "not every test damages files")]
impl Numbers {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
