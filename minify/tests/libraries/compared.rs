//! Runs an interpreter on many files, and compares what it parses before and after minimizing.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use mitogen_minify::minimize_source;
use mitogen_tests::Python;

const DRIVER: &str = include_str!("driver.py");

/// The results of an interpreter.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// The number of files that parse the same.
    pub(crate) same: usize,
    /// Files that the interpreter rejects before minimizing, with the reason.
    pub(crate) refused: Vec<String>,
    /// Files that parse differently after minimizing, with the place.
    pub(crate) different: Vec<String>,
}

/// Minimizes `files`, and compares them with `python`.
pub(crate) fn compare(python: &Python, files: &[PathBuf]) -> Compared {
    let pairs = files.iter().map(|file| {
        let answer = match minimize_source(&fs::read(file).unwrap()) {
            Ok(minimized) => [b"+", &*minimized].concat(),
            Err(error) => format!("-{error}").into_bytes(),
        };
        (file.clone(), answer)
    });
    let mut result = Compared::default();
    for line in ask(python, pairs) {
        let (_, verdict) = line.split_once('\t').unwrap();
        if verdict == "same" {
            result.same += 1;
        } else if verdict.starts_with("refused ") {
            result.refused.push(line);
        } else {
            result.different.push(line);
        }
    }
    result
}

/// The driver's verdict on each file and its minimized source, which is prefixed with a plus, or its error, which is
/// prefixed with a minus.
pub(crate) fn ask<P>(python: &Python, pairs: P) -> Vec<String>
where
    P: IntoIterator<Item = (PathBuf, Vec<u8>), IntoIter: Send>,
{
    let mut child = Command::new(&python.path)
        .args(["-S", "-c", DRIVER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = BufWriter::new(child.stdin.take().unwrap());
    let output = BufReader::new(child.stdout.take().unwrap());
    let pairs = pairs.into_iter();
    let lines = thread::scope(|scope| {
        scope.spawn(move || {
            for (file, answer) in pairs {
                writeln!(input, "{}\t{}", file.display(), answer.len()).unwrap();
                input.write_all(&answer).unwrap();
            }
        });
        output.lines().map(Result::unwrap).collect()
    });
    assert!(child.wait().unwrap().success());
    lines
}
