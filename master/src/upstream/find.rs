//! Finding and reading the user's copy of the upstream Mitogen package.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use mitogen_upstream::{BadPackage, UpstreamPackage};
use thiserror::Error;

/// The deepest level of directories that is read; no release has more than two.
const DEPTH: usize = 4;

/// A program that prints the directory of the package.
const LOCATE: &str = "import os, sys, mitogen; \
    sys.stdout.write(os.path.dirname(os.path.abspath(mitogen.__file__)))";

/// No usable upstream Mitogen package was found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FindError {
    /// The interpreter could not be run.
    #[error("cannot run {program} to find its mitogen package")]
    Interpreter {
        /// The interpreter.
        program: String,
        /// The error of the system call.
        #[source]
        source: io::Error,
    },
    /// The interpreter cannot import it.
    #[error("{program} has no mitogen package (install it or choose another interpreter): {output}")]
    NotInstalled {
        /// The interpreter.
        program: String,
        /// The last line of its standard error.
        output: String,
    },
    /// A file or directory of the package cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system call.
        #[source]
        source: io::Error,
    },
    /// The directory has no usable package.
    #[error("{} is not a usable upstream mitogen package", path.display())]
    Bad {
        /// The package's directory.
        path: PathBuf,
        /// What is wrong with the package.
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
        source: io::Error::new(io::ErrorKind::InvalidInput, "the command line is empty"),
    })?;
    let output = Command::new(name)
        .args(arguments)
        .args(["-c", LOCATE])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| FindError::Interpreter { program: program.clone(), source })?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let output = errors.trim_end().lines().last().unwrap_or("no output").to_owned();
        return Err(FindError::NotInstalled { program, output });
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    find_in(Path::new(&text))
}

/// The package at `path`: an interpreter to run, or a directory to read.
///
/// # Errors
/// See [`FindError`].
pub fn find_at(path: &Path) -> Result<Arc<UpstreamPackage>, FindError> {
    if path.is_dir() { find_in(path) } else { find(&[path.display().to_string()]) }
}

/// The package in `directory`, which is the package's own or one that packages are installed in.
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
    fn packages_are_read_from_directories() {
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
    fn errors_name_an_interpreter_without_the_package() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let error = find(&words(&["/nonexistent/python"])).expect_err("no such program");
        assert!(error.to_string().contains("/nonexistent/python"), "{error}");
        let error = find(&words(&["/bin/sh", "-c", "echo 'No module named mitogen' >&2; exit 1"]));
        let error = error.expect_err("it fails");
        assert!(error.to_string().contains("No module named mitogen"), "{error}");
        assert!(find(&[]).is_err());
    }
}
