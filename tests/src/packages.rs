//! Packages from PyPI in a directory of their own: what a master has and its targets lack.

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
    /// Exactly these packages (`name==version`), without what they depend on, so that the set is the same whoever
    /// installs it. Made once and kept in the target directory; others wait meanwhile.
    ///
    /// # Errors
    /// When no interpreter here can make an environment or PyPI is out of reach.
    pub fn new(name: &str, wanted: &[&str]) -> Result<Self> {
        let installer = installer()?;
        let root = built::target_dir()?.join("packages");
        std::fs::create_dir_all(&root).context(|| root.display().to_string())?;
        let dir = root.join(name);
        let _guard = state::lock_file(&root.join(format!("{name}.lock")))?;
        let ready = dir.join("ready.txt");
        let content = format!("{}\n{}\n", installer.version_text(), wanted.join("\n"));
        if std::fs::read_to_string(&ready).is_ok_and(|text| text == content) {
            return Ok(Self { dir: dir.join("lib"), installer });
        }
        let _ = std::fs::remove_dir_all(&dir);
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let (environment, place) = (text(dir.join("environment")), text(dir.join("lib")));
        run::run(&[&*text(installer.path.clone()), "-m", "venv", &environment])?;
        let program = text(dir.join("environment/bin/python"));
        let mut argv = vec![&*program, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"];
        argv.extend(["--no-deps", "--no-compile", "--target", &place]);
        argv.extend(wanted);
        run::run(&argv)?;
        std::fs::write(&ready, content).context(|| ready.display().to_string())?;
        Ok(Self { dir: dir.join("lib"), installer })
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

/// The newest interpreter that can make environments: Debian's own has its pip only there.
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
