//! The user's copy of stock Mitogen: found and read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use mitogen_upstream::{BadPackage, UpstreamPackage};
use thiserror::Error;

/// How deep the package's directories are followed; no release has more than two levels.
const DEPTH: usize = 4;

/// Prints where the interpreter has the package.
const QUESTION: &str = "import os, sys, mitogen; \
    sys.stdout.write(os.path.dirname(os.path.abspath(mitogen.__file__)))";

/// There is no usable stock package there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FindError {
    /// The interpreter could not be asked.
    #[error("cannot ask {program} for its mitogen package")]
    Interpreter {
        /// The interpreter.
        program: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The interpreter cannot import it.
    #[error("{program} has no mitogen package (install it there, or name another interpreter): {said}")]
    NotInstalled {
        /// The interpreter.
        program: String,
        /// The end of what it said.
        said: String,
    },
    /// A file or directory of it cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// What is there is not what it should be.
    #[error("{} is no stock mitogen package that can be used", path.display())]
    Bad {
        /// The package's directory.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: BadPackage,
    },
}

/// The package that the interpreter (a program and its arguments) imports as `mitogen`. Runs it.
///
/// # Errors
/// See [`FindError`].
pub fn find(interpreter: &[String]) -> Result<Arc<UpstreamPackage>, FindError> {
    let program = interpreter.join(" ");
    let (name, arguments) = interpreter.split_first().ok_or_else(|| FindError::Interpreter {
        program: "the interpreter".to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "no interpreter was named"),
    })?;
    let output = Command::new(name)
        .args(arguments)
        .args(["-c", QUESTION])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| FindError::Interpreter { program: program.clone(), source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim_end().lines().last().unwrap_or("it said nothing").to_owned();
        return Err(FindError::NotInstalled { program, said });
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    find_in(Path::new(&text))
}

/// The package at `path`: an interpreter to ask, or a directory to read.
///
/// # Errors
/// See [`FindError`].
pub fn find_at(path: &Path) -> Result<Arc<UpstreamPackage>, FindError> {
    if path.is_dir() { find_in(path) } else { find(&[path.display().to_string()]) }
}

/// The package in `directory`: either the package's own, or one that modules are installed in.
///
/// # Errors
/// See [`FindError`].
pub fn find_in(directory: &Path) -> Result<Arc<UpstreamPackage>, FindError> {
    let inner = directory.join("mitogen");
    let path = if inner.join("core.py").is_file() { inner } else { directory.to_owned() };
    let mut files = BTreeMap::new();
    read_into(&mut files, &path, "", DEPTH)?;
    match UpstreamPackage::new(files) {
        Ok(package) => Ok(Arc::new(package)),
        Err(source) => Err(FindError::Bad { path, source }),
    }
}

fn read_into(
    files: &mut BTreeMap<String, Bytes>,
    directory: &Path,
    prefix: &str,
    depth: usize,
) -> Result<(), FindError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| FindError::Unreadable { path, source }
    };
    for entry in std::fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_dir() {
            if depth > 0 && path.join("__init__.py").is_file() {
                read_into(files, &path, &format!("{prefix}{name}/"), depth - 1)?;
            }
        } else if name.ends_with(".py") {
            let text = std::fs::read(&path).map_err(unreadable(&path))?;
            files.insert(format!("{prefix}{name}"), text.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mitogen_core::error::with_causes;

    use super::*;

    #[test]
    fn directories_are_read_and_judged() {
        let dir = tempfile::tempdir().expect("a directory");
        let package = dir.path().join("mitogen");
        let error = find_in(dir.path()).expect_err("nothing is there");
        let error = with_causes(&error).to_string();
        assert!(error.contains("__init__.py"), "{error}");
        std::fs::create_dir_all(package.join("compat")).expect("made");
        for (name, text) in [
            ("__init__.py", "__version__ = (0, 3, 54)\n"),
            ("core.py", "pass\n"),
            ("compat/__init__.py", ""),
            ("compat/tokenize.py", "pass\n"),
        ] {
            std::fs::write(package.join(name), text).expect("written");
        }
        for place in [dir.path(), &package] {
            let found = find_in(place).expect("a package");
            assert!(found.module("mitogen.compat.tokenize").is_some());
        }
        let error = find_in(&dir.path().join("nowhere")).expect_err("no such directory");
        assert!(error.to_string().contains("nowhere"), "{error}");
    }

    #[test]
    fn interpreters_without_one_are_named() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let error = find(&words(&["/nonexistent/python"])).expect_err("no such program");
        assert!(error.to_string().contains("/nonexistent/python"), "{error}");
        let error = find(&words(&["/bin/sh", "-c", "echo 'No module named mitogen' >&2; exit 1"]));
        let error = error.expect_err("it fails");
        assert!(error.to_string().contains("No module named mitogen"), "{error}");
        assert!(find(&[]).is_err());
    }
}
