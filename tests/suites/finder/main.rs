//! The module finder compared with real interpreters: libraries, parsers, environments.

mod embedded;
mod environments;
mod imports;
mod libraries;

use std::path::Path;
use std::process::Command;

use mitogen_tests::Python;

/// The output of a program under an interpreter that ignores the account's configuration.
fn output(python: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(python)
        .arg("-E")
        .arg("-c")
        .arg(program)
        .args(args)
        .output()
        .expect("the interpreter starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", python.display());
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

/// The supported interpreters of this machine, one for each minor version.
fn pythons() -> Vec<Python> {
    let mut found: Vec<Python> = mitogen_tests::pythons().into_iter().filter(Python::is_supported).collect();
    found.dedup_by_key(|python| (python.version.0, python.version.1));
    assert!(!found.is_empty(), "no Python that we support");
    found
}
