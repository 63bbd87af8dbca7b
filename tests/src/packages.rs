//! Third-party packages from PyPI: directories of modules that only a master searches.
//!
//! They are installed without dependencies, so that a set does not depend on the installer. Each is created once, kept
//! in the target directory, and created again when its requirements change; concurrent tests wait for it.

use std::path::{Path, PathBuf};

use crate::built;
use crate::error::{Context, FixtureError, Result};
use crate::pythons::{Python, pythons};
use crate::{run, state};

/// A directory with packages, as `pip install --target` creates it.
#[derive(Clone, Debug)]
pub struct Packages {
    dir: PathBuf,
    installer: Python,
}

impl Packages {
    /// Exactly these packages (`name==version`), installed by the newest interpreter that has pip.
    ///
    /// # Errors
    /// No interpreter of this machine can create an environment, or PyPI is not reachable.
    pub fn new(name: &str, wanted: &[&str]) -> Result<Self> {
        let installer = installer()?;
        let dir = install(&installer, name, wanted)?;
        Ok(Self { dir, installer })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The interpreter that installed them; its version matters for compiled packages.
    pub fn installer(&self) -> &Python {
        &self.installer
    }
}

/// The directory of modules of one package (`name==version`), as installed by and for this interpreter.
///
/// # Errors
/// The interpreter cannot install, or PyPI is not reachable.
pub fn package(python: &Python, requirement: &str) -> Result<PathBuf> {
    install(python, requirement, &[requirement])
}

fn install(python: &Python, name: &str, wanted: &[&str]) -> Result<PathBuf> {
    let root = built::target_dir()?.join("packages");
    std::fs::create_dir_all(&root).context(|| root.display().to_string())?;
    // env(1) would take a path that contains `=` for a variable.
    let name = format!("{}-{}", python.version_text(), name.replace("==", "-"));
    let dir = root.join(&name);
    let _guard = state::lock_file(&root.join(format!("{name}.lock")))?;
    let (ready, modules) = (dir.join("ready"), dir.join("modules"));
    let content = wanted.join("\n");
    if std::fs::read_to_string(&ready).is_ok_and(|text| text == content) {
        return Ok(modules);
    }
    let _ = std::fs::remove_dir_all(&dir);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut program = text(&python.path);
    // pip may leave temporary files behind; they must not count as leaks of a test.
    let scratch = tempfile::tempdir_in(&root).context(|| root.display().to_string())?;
    let apart = format!("TMPDIR={}", scratch.path().display());
    if python.version.0 >= 3 {
        // Debian's interpreter has pip only in environments.
        let environment = dir.join("environment");
        run::run(&["env", &*apart, &*program, "-m", "venv", &text(&environment)])?;
        program = text(&environment.join("bin/python"));
    }
    let place = text(&modules);
    let mut argv =
        vec!["env", &*apart, &*program, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"];
    argv.extend(["--no-deps", "--no-compile", "--target", &place]);
    argv.extend(wanted);
    run::run(&argv)?;
    std::fs::write(&ready, content).context(|| ready.display().to_string())?;
    Ok(modules)
}

/// The newest interpreter that can create environments.
fn installer() -> Result<Python> {
    let is_able = |python: &Python| {
        let program = python.path.to_string_lossy().into_owned();
        python.version.0 >= 3 && run::run(&[&*program, "-c", "import ensurepip, venv"]).is_ok()
    };
    pythons().into_iter().rev().find(is_able).ok_or_else(|| {
        FixtureError::new(format!("no python3 of this machine can create environments; {}", run::PREPARE))
    })
}
