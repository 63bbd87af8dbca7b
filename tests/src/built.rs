//! Where cargo has put what it built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::error::{Context, FixtureError, Result};
use crate::run;

/// The directory that cargo builds into, found from where this program stands.
///
/// # Errors
/// When this program was not built by cargo.
pub fn target_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context(|| "own path")?;
    // Cargo leaves this file in its target directory, for programs that make backups.
    exe.ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| FixtureError::new(format!("{} stands in no target directory", exe.display())))
}

/// A program of this package (`src/bin`), which cargo builds together with the suites.
///
/// # Errors
/// When it is not there.
pub fn built(name: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe().context(|| "own path")?;
    // A test stands in `deps`, one of our programs beside the wanted one.
    exe.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| FixtureError::new(format!("no {name} near {}", exe.display())))
}

/// The `mitogen` command: what `MITOGEN_BIN` names, or else built now, so that it is never a stale one.
///
/// # Errors
/// When it does not build, with the compiler's words.
pub fn mitogen_bin() -> Result<PathBuf> {
    static BIN: OnceLock<Result<PathBuf>> = OnceLock::new();
    BIN.get_or_init(|| {
        if let Some(path) = std::env::var_os("MITOGEN_BIN") {
            let path = PathBuf::from(path);
            return path.is_file().then_some(path.clone()).ok_or_else(|| {
                FixtureError::new(format!("MITOGEN_BIN names {}, which is not there", path.display()))
            });
        }
        let target = target_dir()?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "mitogen-cli", "--target-dir"]).arg(&target);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        run::succeeded("cargo build", &cargo.output().context(|| "cargo build")?)?;
        Ok(target.join("debug/mitogen"))
    })
    .clone()
}
