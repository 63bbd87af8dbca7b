//! Finds the Python sources of libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mitogen_tests::Python;

/// The directory of an interpreter's standard library.
pub(crate) fn library(python: &Python) -> PathBuf {
    const QUESTION: &str = "import os, sys; sys.stdout.write(os.path.dirname(os.__file__))";
    let output = Command::new(&python.path).args(["-c", QUESTION]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    PathBuf::from(String::from_utf8(output.stdout).unwrap())
}

/// All Python sources below a directory, sorted. Packages installed into a standard library are skipped.
pub(crate) fn python_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = entry.file_name();
            if kind.is_dir() && name != "site-packages" && name != "dist-packages" {
                todo.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "py") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
