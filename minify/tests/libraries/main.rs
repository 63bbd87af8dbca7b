//! Minimizes complete libraries and compares the results with the interpreters that they are for.
//!
//! Each interpreter's own `ast` parses a source before and after: the trees must be equal, and each node must be on the
//! same line. Sources that an interpreter rejects to begin with are skipped.

// Helpers of tests are tests, which clippy does not see in a file of its own.
#![allow(clippy::unwrap_used)]

mod compared;
mod referee;
mod sources;
mod upstream;

use std::path::{Path, PathBuf};

use mitogen_tests::{Python, package, pythons};

use compared::compare;
use sources::{library, python_files};

/// The supported interpreters that are installed; at least one is required.
fn supported() -> Vec<Python> {
    let found: Vec<Python> = pythons().into_iter().filter(Python::is_supported).collect();
    assert!(!found.is_empty(), "no supported Python found");
    found
}

fn newest() -> Python {
    supported().pop().unwrap()
}

/// The libraries of the oldest and the newest interpreter, and a part of each other: most of their files are the same,
/// and the parts differ.
#[test]
fn standard_libraries_parse_the_same() {
    const PARTS: usize = 6;
    let pythons = supported();
    let newest = pythons.len() - 1;
    for (index, python) in pythons.iter().enumerate() {
        let mut files = python_files(&library(python));
        assert!(files.len() > 500, "{}: {} files", python.version_text(), files.len());
        if index != 0 && index != newest {
            files = files.into_iter().skip(index % PARTS).step_by(PARTS).collect();
        }
        check(python, &files);
    }
}

#[test]
fn packages_parse_the_same() {
    let newest = &newest();
    for (requirement, every) in [("Django==5.1.4", 2), ("sympy==1.13.3", 3), ("SQLAlchemy==2.0.36", 1)] {
        let files = python_files(&package(newest, requirement).unwrap());
        check(newest, &files.into_iter().step_by(every).collect::<Vec<_>>());
    }
    if let Some(python) = supported().iter().find(|python| python.version.0 == 2) {
        check(python, &python_files(&package(python, "Django==1.11.29").unwrap()));
    }
}

/// Fails if a file that the interpreter accepts is rejected or parsed differently after minimizing.
fn check(python: &Python, files: &[PathBuf]) {
    let result = compare(python, files);
    let place = files.first().map_or(Path::new(""), |file| file.parent().unwrap());
    println!(
        "{}: {} files near {}: {} same, {} refused by the interpreter itself",
        python.version_text(),
        files.len(),
        place.display(),
        result.same,
        result.refused.len(),
    );
    assert!(result.different.is_empty(), "{}", result.different.join("\n"));
    assert_eq!(result.same + result.refused.len(), files.len());
    assert!(result.same > files.len() * 9 / 10, "refused:\n{}", result.refused.join("\n"));
}
