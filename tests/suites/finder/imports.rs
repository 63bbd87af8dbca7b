//! The import scanner finds the same imports as the interpreters' own parsers.

use std::collections::BTreeSet;

use mitogen::modules::imports;

use super::{output, pythons};

type Found = (String, Vec<String>, bool, bool);

/// All files of the oldest and the newest interpreter, and a part of each other: most of their files are the same, and
/// the parts differ.
#[test]
fn scanned_imports_match_the_parser_of_the_interpreter() {
    const PARTS: usize = 6;
    let pythons = pythons();
    let newest = pythons.len() - 1;
    for (index, python) in pythons.iter().enumerate() {
        let whole = index == 0 || index == newest;
        let (first, step) = if whole { (0, 1) } else { (index % PARTS, PARTS) };
        let arguments = [first.to_string(), step.to_string()];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (mut files, mut total) = (0, 0);
        let mut faults = Vec::new();
        for line in output(&python.path, include_str!("imports.py"), &arguments).lines() {
            let (path, fullname, is_package, mut expected): (String, String, bool, Vec<Found>) =
                serde_json::from_str(line).unwrap();
            let source = std::fs::read(&path).unwrap();
            let found = imports(&source, &fullname, is_package).into_iter().filter(|import| !import.implicit);
            let mut found: Vec<Found> =
                found.map(|import| (import.module, import.names, import.deferred, import.guarded)).collect();
            // `ast.walk` does not follow the order of the text.
            found.sort();
            expected.sort();
            files += 1;
            total += expected.len();
            if found != expected {
                let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
                    (found.into_iter().collect(), expected.into_iter().collect());
                let (more, less) = (ours.difference(&theirs), theirs.difference(&ours));
                faults.push(format!(
                    "{path}: only the scanner {:?}, only the parser {:?}",
                    more.collect::<Vec<_>>(),
                    less.collect::<Vec<_>>()
                ));
            }
        }
        println!("Python {}: {total} imports in {files} files", python.version_text());
        assert!(
            files > 400 / step && total > 2_000 / step,
            "{total} in {files} under {}",
            python.path.display()
        );
        assert!(faults.is_empty(), "{} files: {}", faults.len(), faults.join("\n"));
    }
}
