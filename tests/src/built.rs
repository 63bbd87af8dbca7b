//! Finds the programs that cargo built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::error::{Context, FixtureError, Result};
use crate::run;

/// Cargo's target directory, found from the path of the running program.
///
/// # Errors
/// This program was not built by cargo.
pub fn target_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context(|| "own path")?;
    // Cargo creates this file in its target directory, to exclude it from backups.
    exe.ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| FixtureError::new(format!("{} is not in a target directory", exe.display())))
}

/// The path of a program of this package (`src/bin`), which cargo builds together with the suites.
///
/// # Errors
/// It does not exist.
pub fn built(name: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe().context(|| "own path")?;
    // Tests are in `deps`; the programs of this package are one level above.
    exe.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| FixtureError::new(format!("no {name} near {}", exe.display())))
}

/// The `mitogen` command: the file that `MITOGEN_BIN` names, or a debug build made now, so that it is current.
///
/// # Errors
/// The build fails; the error contains the compiler's output.
pub fn mitogen_bin() -> Result<PathBuf> {
    static BIN: OnceLock<Result<PathBuf>> = OnceLock::new();
    BIN.get_or_init(|| {
        if let Some(path) = std::env::var_os("MITOGEN_BIN") {
            let path = PathBuf::from(path);
            return path.is_file().then_some(path.clone()).ok_or_else(|| {
                FixtureError::new(format!("MITOGEN_BIN names {}, which does not exist", path.display()))
            });
        }
        let target = target_dir()?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "mitogen-cli", "--features", "ssh2", "--target-dir"]);
        cargo.arg(&target);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        run::succeeded("cargo build", &cargo.output().context(|| "cargo build")?)?;
        Ok(target.join("debug/mitogen"))
    })
    .clone()
}
