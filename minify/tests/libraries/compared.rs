//! One run of an interpreter over many files: what it makes of each before and after.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use mitogen_minify::minimize_source;
use mitogen_tests::Python;

const DRIVER: &str = include_str!("driver.py");

/// What an interpreter said.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Files that mean the same.
    pub(crate) same: usize,
    /// Files that the interpreter does not read as they are, and why.
    pub(crate) refused: Vec<String>,
    /// Files that mean something else afterwards, and where.
    pub(crate) different: Vec<String>,
}

/// Minimizes `files` and has `python` compare.
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

/// What the driver says of each file and its minimized source, which has a plus before it, or an error and a minus.
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
