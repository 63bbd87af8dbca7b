//! The Rust tests of `cargo xtask test`: one step for each test program, and a second run of what failed.
//!
//! The suites run real servers, accounts and networks beside each other, and a machine that is busy with something else
//! can make one of their waits too short. Tests that fail are therefore run once more, alone, when everything else is
//! done. A test that passes then does not fail the run, but the summary names it: it is a fault to mend.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::licences;
use crate::root::Result;
use crate::steps::{Steps, cargo, run, shown};

/// How long output is read after cargo has ended: a process that a test left behind may hold the pipe open.
const TAIL: Duration = Duration::from_secs(5);

/// Which test programs a step runs, as arguments of `cargo test --workspace`.
struct Selection(String);

impl Selection {
    fn command(&self, tests: &[String], envs: &[(String, String)]) -> Command {
        let mut command = cargo(&format!("test --workspace --no-fail-fast {}", self.0));
        if !tests.is_empty() {
            // One at a time: the second run shows whether the load was the reason.
            command.args(["--", "--test-threads=1", "--exact"]).args(tests);
        }
        command.envs(envs.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Adds a step for each test program to `steps`, then the second runs.
pub(crate) fn run_all(steps: &mut Steps, envs: &[(String, String)]) -> Result<()> {
    if !steps.step("build of the Rust tests", || run(&mut cargo("test --workspace --no-run"))) {
        return Ok(());
    }
    let mut again = Vec::new();
    for selection in selections()? {
        let name = format!("Rust tests {}", selection.0);
        let mut ended = None;
        steps.step(&name, || {
            let outcome = watch(&mut selection.command(&[], envs))?;
            let result = outcome.result();
            ended = Some(outcome);
            result
        });
        if let Some(outcome) = ended.filter(|outcome| !outcome.success) {
            again.push((name, selection, outcome.failed));
        }
    }
    for (name, selection, failed) in again {
        // Documentation tests are named with their lines, which `--exact` does not find.
        let tests = if selection.0 == "--doc" { Vec::new() } else { failed.clone() };
        steps.again(&name, &failed, || watch(&mut selection.command(&tests, envs))?.result());
    }
    Ok(())
}

/// All test programs of the workspace, the quick ones first.
fn selections() -> Result<Vec<Selection>> {
    let metadata = licences::metadata()?;
    let mut names = BTreeSet::new();
    for package in metadata["packages"].as_array().ok_or("cargo metadata lists no packages")? {
        // Registry packages have a source; those of the workspace have none.
        if !package["source"].is_null() {
            continue;
        }
        for target in package["targets"].as_array().into_iter().flatten() {
            if target["kind"][0] == "test"
                && let Some(name) = target["name"].as_str()
            {
                names.insert(name.to_owned());
            }
        }
    }
    if names.is_empty() {
        return Err("cargo metadata lists no test programs".into());
    }
    let programs = names.into_iter().map(|name| format!("--test {name}"));
    Ok(["--lib --bins".to_owned(), "--doc".to_owned()].into_iter().chain(programs).map(Selection).collect())
}

/// How a run of test programs ended.
#[derive(Debug)]
struct Outcome {
    success: bool,
    /// The tests that failed, in the order of their first mention; empty if a program ended before it could name them.
    failed: Vec<String>,
    shown: String,
}

impl Outcome {
    fn result(&self) -> Result<()> {
        match (self.success, self.failed.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(format!("{} failed", self.shown)),
            (false, false) => Err(format!("{} failed: {}", self.shown, self.failed.join(", "))),
        }
    }
}

/// Runs a command, copies its standard output to the terminal, and reads the names of failed tests in it.
fn watch(command: &mut Command) -> Result<Outcome> {
    let shown = shown(command);
    println!("$ {shown}");
    let fail = |error: std::io::Error| format!("{shown}: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(fail)?;
    let stdout = child.stdout.take().ok_or("the standard output of cargo is not a pipe")?;
    let (send, lines) = mpsc::channel();
    // Not joined: it ends with the last process that holds the pipe, or with this program.
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            print!("{text}");
            if send.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    let status = child.wait().map_err(fail)?;
    let mut failures = Failures::default();
    while let Ok(line) = lines.recv_timeout(TAIL) {
        failures.line(line.trim_end_matches('\n'));
    }
    Ok(Outcome { success: status.success(), failed: failures.names, shown })
}

/// Reads the lists of failed tests that libtest prints: a line `failures:` and indented names up to an empty line.
#[derive(Debug, Default)]
struct Failures {
    in_list: bool,
    names: Vec<String>,
}

impl Failures {
    fn line(&mut self, line: &str) {
        match line.strip_prefix("    ") {
            _ if line == "failures:" => self.in_list = true,
            Some(name) if self.in_list => {
                if !self.names.iter().any(|known| known == name) {
                    self.names.push(name.to_owned());
                }
            }
            _ => self.in_list = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_failed_tests_are_read() {
        let output = "\
running 3 tests
test calls::a ... FAILED
test calls::b ... ok

failures:

---- calls::a stdout ----
thread 'calls::a' panicked:
    an indented line
failures:
    calls::a
    not a list: the output of the test


failures:
    calls::a
    calls::c

test result: FAILED. 1 passed; 2 failed
    indented
";
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.line(line));
        assert!(failures.names.contains(&"calls::a".to_owned()), "{failures:?}");
        assert!(failures.names.contains(&"calls::c".to_owned()), "{failures:?}");
        assert!(!failures.names.iter().any(|name| name == "indented" || name == "an indented line"));
    }
}
