//! `cargo xtask stdlib`: writes the table of the standard library's names from the interpreters of this machine.
//!
//! Names are only added, since no machine has all versions on all platforms.

use std::collections::BTreeSet;

use crate::root::Result;
use crate::steps::{command, output};
use crate::{root, test, tree};

/// Prints the names that an interpreter knows.
const SCRIPT: &str = include_str!("stdlib_names.py");

const TABLE: &str = "master/src/modules/stdlib_names.rs";

/// Names that Linux interpreters older than 3.10 do not list, and the new ones of 3.14.
const MORE: &[&str] = &[
    "Carbon",
    "MacOS",
    "_bsddb",
    "_gdbm",
    "_msi",
    "_subprocess",
    "_winreg",
    "dl",
    "fpectl",
    "gdbm",
    "imageop",
    "sunaudiodev",
    "_apple_support",
    "_ast_unparse",
    "_hmac",
    "_py_warnings",
    "_remote_debugging",
    "_types",
    "_zstd",
    "annotationlib",
    "compression",
];

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    let old = tree::text(TABLE).unwrap_or_default().unwrap_or_default();
    let mut names: BTreeSet<String> = old
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .chain(MORE.iter().copied())
        .map(str::to_owned)
        .collect();
    for python in test::interpreters()?.iter().filter(|python| python.supported) {
        let told = output(&mut command(&python.path, ["-S", "-E", "-c", SCRIPT]))?;
        names.extend(told.lines().map(str::to_owned));
    }
    let mut text = String::from(
        "//! Written by `cargo xtask stdlib`: the standard library's top-level names in all versions of Python that\n\
         //! children may run, sorted.\n\n\
         #[rustfmt::skip]\n\
         pub(super) static NAMES: &[&str] = &[\n",
    );
    for name in &names {
        text.push_str(&format!("    \"{name}\",\n"));
    }
    text.push_str("];\n");
    std::fs::write(root::root().join(TABLE), text).map_err(|error| format!("{TABLE}: {error}"))?;
    println!("{TABLE}: {} names", names.len());
    Ok(())
}
