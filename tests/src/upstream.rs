//! Upstream Mitogen from PyPI, for interoperability tests and comparisons.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::built;
use crate::error::{Context, FixtureError, Result};
use crate::pythons::Python;
use crate::{run, state};

/// The version that interoperability tests use unless a test names another.
pub const UPSTREAM_VERSION: &str = "0.3.54";

/// An interpreter that can import upstream Mitogen.
#[derive(Clone, Debug)]
pub struct UpstreamVenv {
    dir: PathBuf,
}

impl UpstreamVenv {
    /// Upstream Mitogen [`UPSTREAM_VERSION`] for this interpreter.
    ///
    /// # Errors
    /// As [`UpstreamVenv::version`].
    pub fn new(python: &Python) -> Result<Self> {
        Self::version(python, UPSTREAM_VERSION)
    }

    /// A given version of upstream Mitogen.
    ///
    /// Created once for each interpreter and version and kept in the target directory; concurrent callers wait.
    ///
    /// # Errors
    /// The interpreter cannot create environments, or PyPI is not reachable.
    pub fn version(python: &Python, version: &str) -> Result<Self> {
        let root = built::target_dir()?.join("upstream");
        std::fs::create_dir_all(&root).context(|| root.display().to_string())?;
        let name = format!("{}-{version}", python_key(python));
        let dir = root.join(&name);
        let _guard = state::lock_file(&root.join(format!("{name}.lock")))?;
        let ready = dir.join("ready");
        if !ready.is_file() {
            let _ = std::fs::remove_dir_all(&dir);
            make(python, version, &dir)?;
            std::fs::write(&ready, "").context(|| ready.display().to_string())?;
        }
        Ok(Self { dir })
    }

    /// The interpreter to start; `import mitogen` works in it and in the children that it starts.
    pub fn python(&self) -> PathBuf {
        self.dir.join("bin/python")
    }
}

impl UpstreamVenv {
    /// The directory in which the package is installed.
    ///
    /// # Errors
    /// It does not exist or cannot be read.
    pub fn modules(&self) -> Result<PathBuf> {
        let own = self.dir.join("modules");
        if own.is_dir() {
            return Ok(own);
        }
        let lib = self.dir.join("lib");
        let entries = std::fs::read_dir(&lib).context(|| lib.display().to_string())?;
        let mut places = entries.flatten().map(|entry| entry.path().join("site-packages"));
        places.find(|place| place.join("mitogen").is_dir()).ok_or_else(|| {
            FixtureError::new(format!("{}: upstream Mitogen is not installed in it", lib.display()))
        })
    }
}

/// Interpreters of one version may differ (Debian's, pyenv's), so the path is part of the key.
fn python_key(python: &Python) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    python.path.hash(&mut hasher);
    format!("{}-{:08x}", python.version_text(), hasher.finish() >> 32)
}

fn make(python: &Python, version: &str, dir: &Path) -> Result<()> {
    let program = python.path.to_string_lossy();
    let place = dir.to_string_lossy();
    let wanted = format!("mitogen=={version}");
    // pip may leave temporary files behind; they must not count as leaks of a test.
    let scratch = tempfile::tempdir_in(dir.parent().unwrap_or(dir)).context(|| place.to_string())?;
    let scratch_variable = format!("TMPDIR={}", scratch.path().display());
    let apart = ["env", scratch_variable.as_str()];
    let quiet = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install"];
    if python.version.0 >= 3 {
        run::run(&[&apart[..], &[&*program, "-m", "venv", &place]].concat())?;
        let inside = dir.join("bin/python");
        let inside = inside.to_string_lossy();
        run::run(&[&apart[..], &[&*inside], &quiet, &[&wanted]].concat())?;
        return Ok(());
    }
    // Python 2 has no `venv`: a directory of modules, and a script that adds it to the path.
    let modules = dir.join("modules");
    let modules = modules.to_string_lossy();
    run::run(&[&apart[..], &[&*program], &quiet, &["--target", &modules, &wanted]].concat())?;
    let wrapper = dir.join("bin/python");
    std::fs::create_dir_all(dir.join("bin")).context(|| place.to_string())?;
    let text = format!("#!/bin/sh\nPYTHONPATH='{modules}' exec '{program}' \"$@\"\n");
    std::fs::write(&wrapper, text).context(|| wrapper.display().to_string())?;
    std::fs::set_permissions(&wrapper, Permissions::from_mode(0o755))
        .context(|| wrapper.display().to_string())
}
