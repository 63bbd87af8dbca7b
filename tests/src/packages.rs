//! Packages from PyPI, to test with code that nobody here wrote.

use std::path::PathBuf;

use crate::built;
use crate::error::{Context, Result};
use crate::pythons::Python;
use crate::{run, state};

/// The directory of modules of a package, given as `NAME==VERSION`, without what it depends on.
///
/// Installed once for each interpreter and version and kept in the target directory; others wait meanwhile.
///
/// # Errors
/// When the interpreter has no pip, or PyPI is out of reach.
pub fn package(python: &Python, requirement: &str) -> Result<PathBuf> {
    let root = built::target_dir()?.join("packages");
    std::fs::create_dir_all(&root).context(|| root.display().to_string())?;
    let name = format!("{}-{requirement}", python.version_text());
    let dir = root.join(&name);
    let _guard = state::lock_file(&root.join(format!("{name}.lock")))?;
    let ready = dir.join("ready");
    if !ready.is_file() {
        let _ = std::fs::remove_dir_all(&dir);
        let program = python.path.to_string_lossy();
        let modules = dir.join("modules");
        let modules = modules.to_string_lossy();
        let pip =
            ["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--no-compile"];
        run::run(&[&[&*program], &pip[..], &["--target", &modules, requirement]].concat())?;
        std::fs::write(&ready, "").context(|| ready.display().to_string())?;
    }
    Ok(dir.join("modules"))
}
