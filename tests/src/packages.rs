//! Packages from PyPI, to test with code that nobody here wrote: directories of modules that only a master searches.
//!
//! Without what they depend on, so that a set does not depend on the installer. Each is made once, kept in the target
//! directory, and made anew when what is wanted of it changes; others wait meanwhile.

use std::path::{Path, PathBuf};

use crate::built;
use crate::error::{Context, FixtureError, Result};
use crate::pythons::{Python, pythons};
use crate::{run, state};

/// A directory with packages in it, as `pip install --target` makes it.
#[derive(Clone, Debug)]
pub struct Packages {
    dir: PathBuf,
    installer: Python,
}

impl Packages {
    /// Exactly these packages (`name==version`), installed by the newest interpreter that can.
    ///
    /// # Errors
    /// When no interpreter here can make an environment or PyPI is out of reach.
    pub fn new(name: &str, wanted: &[&str]) -> Result<Self> {
        let installer = installer()?;
        let dir = install(&installer, name, wanted)?;
        Ok(Self { dir, installer })
    }

    /// Where they are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The interpreter that they were installed by, and for as far as that makes a difference.
    pub fn installer(&self) -> &Python {
        &self.installer
    }
}

/// The directory of modules of one package (`name==version`), as installed by and for this interpreter.
///
/// # Errors
/// When the interpreter cannot install, or PyPI is out of reach.
pub fn package(python: &Python, requirement: &str) -> Result<PathBuf> {
    install(python, requirement, &[requirement])
}

fn install(python: &Python, name: &str, wanted: &[&str]) -> Result<PathBuf> {
    let root = built::target_dir()?.join("packages");
    std::fs::create_dir_all(&root).context(|| root.display().to_string())?;
    // A path with `=` in it would be a variable to env(1).
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
    // pip may leave files behind; they must not count as a test's.
    let scratch = tempfile::tempdir_in(&root).context(|| root.display().to_string())?;
    let apart = format!("TMPDIR={}", scratch.path().display());
    if python.version.0 >= 3 {
        // Debian's interpreter has its pip only in environments that it makes.
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

/// The newest interpreter that can make environments.
fn installer() -> Result<Python> {
    let is_able = |python: &Python| {
        let program = python.path.to_string_lossy().into_owned();
        python.version.0 >= 3 && run::run(&[&*program, "-c", "import ensurepip, venv"]).is_ok()
    };
    pythons()
        .into_iter()
        .rev()
        .find(is_able)
        .ok_or_else(|| FixtureError::new(format!("no python3 here can make environments; {}", run::PREPARE)))
}
