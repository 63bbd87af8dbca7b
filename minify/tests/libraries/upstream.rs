//! Compares the sizes of results with those of upstream Mitogen.

use std::fs;
use std::path::{Path, PathBuf};

use mitogen_minify::minimize_source;
use mitogen_tests::UpstreamVenv;

use crate::sources::{library, python_files};

/// The sources to compare with. Tests are left out, because upstream Mitogen is slow, and only modules are minimized in
/// practice.
fn sources(root: &Path) -> Vec<PathBuf> {
    let is_test = |name: &std::ffi::OsStr| matches!(name.to_str(), Some("test" | "tests" | "idle_test"));
    let mut files = python_files(root);
    files.retain(|file| !file.strip_prefix(root).unwrap().iter().any(is_test));
    files
}

#[test]
fn results_are_no_larger_than_upstream_s() {
    let python = crate::newest();
    let mut files = sources(&library(&python));
    files.extend(sources(&mitogen_tests::package(&python, "Django==5.1.4").unwrap()));
    let list: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
    let program = UpstreamVenv::new(&python).unwrap().python();
    let argv = [program.to_str().unwrap(), "-c", include_str!("upstream.py")];
    let answers = mitogen_tests::run::run_with_input(&argv, list.as_bytes()).unwrap();
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers.len(), files.len());

    let mut larger = Vec::new();
    let (mut upstream, mut ours, mut failed, mut broken) = (0, 0, 0, 0);
    for (file, answer) in files.iter().zip(answers) {
        let size = minimize_source(&fs::read(file).unwrap()).unwrap().len();
        match answer {
            "failed" => failed += 1,
            "broken" => broken += 1,
            _ => {
                let answer: usize = answer.parse().unwrap();
                upstream += answer;
                ours += size;
                if size > answer {
                    larger.push(format!("{}: {size} bytes, {answer} upstream", file.display()));
                }
            }
        }
    }
    println!("{} files; upstream fails on {failed} and breaks {broken}", files.len());
    println!("the others: {ours} bytes, {upstream} upstream; {} larger", larger.len());
    assert!(failed + broken < files.len() / 4, "upstream failed on {failed} files and broke {broken}");
    assert!(larger.is_empty(), "{}", larger.join("\n"));
}
