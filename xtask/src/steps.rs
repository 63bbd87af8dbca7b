//! The steps of a task: all run even if one fails, and a summary is printed at the end.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use crate::root;
use crate::root::Result;

/// The results so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Result<()>, f64)>,
    /// What failed at first and passed in a second run, with the step's name.
    unstable: Vec<String>,
}

impl Steps {
    /// Runs one step and records its result and duration; tells whether it passed.
    pub(crate) fn step(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
        println!("\n=== {name}");
        let start = Instant::now();
        let result = step();
        if let Err(error) = &result {
            println!("=== {name} FAILED: {error}");
        }
        let passed = result.is_ok();
        self.done.push((name.to_owned(), result, start.elapsed().as_secs_f64()));
        passed
    }

    /// Runs commands, two at a time, each as a step whose output is printed when it has ended. Returns the names of those
    /// that failed.
    pub(crate) fn side_by_side(&mut self, commands: Vec<(String, Command)>) -> Vec<String> {
        let queue = Mutex::new(commands.into_iter());
        let (send, ended) = mpsc::channel();
        let work = |send: mpsc::Sender<_>| {
            loop {
                // The lock is held while the next command is taken, not while it runs.
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((name, mut command)) = next else { return };
                let start = Instant::now();
                let output = command.output();
                // The receiver outlives the workers.
                let _ = send.send((name, shown(&command), output, start.elapsed().as_secs_f64()));
            }
        };
        let mut failed = Vec::new();
        thread::scope(|scope| {
            for _ in 0..2 {
                let send = send.clone();
                scope.spawn(|| work(send));
            }
            drop(send);
            for (name, shown, output, seconds) in ended {
                println!("\n=== {name}\n$ {shown}");
                let result = finished(&shown, output);
                if let Err(error) = &result {
                    println!("=== {name} FAILED: {error}");
                    failed.push(name.clone());
                }
                self.done.push((name, result, seconds));
            }
        });
        failed
    }

    /// Runs what failed in step `name` a second time. If it passes, the step counts as passed, and the summary names the
    /// `tests`.
    pub(crate) fn again(&mut self, name: &str, tests: &[String], step: impl FnOnce() -> Result<()>) {
        let passed = self.step(&format!("{name}, second run"), step);
        if let Some((_, first, _)) = self.done.iter_mut().find(|(done, _, _)| done == name)
            && passed
        {
            *first = Ok(());
            let tests = if tests.is_empty() { "a test program".to_owned() } else { tests.join(", ") };
            self.unstable.push(format!("{name}: {tests}"));
        }
    }

    /// Prints the summary; fails if a step failed.
    pub(crate) fn finish(self) -> Result<()> {
        let failed = self.done.iter().filter(|(_, result, _)| result.is_err()).count();
        let mut text = String::from("\n=== summary\n");
        for (name, result, seconds) in &self.done {
            let word = if result.is_ok() { "ok    " } else { "FAILED" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{word} {seconds:7.1} s  {name}");
        }
        for name in &self.unstable {
            let _ = writeln!(text, "UNSTABLE: failed at first, passed alone: {name}");
        }
        print!("{text}");
        if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} steps failed", self.done.len())) }
    }
}

/// Prints the output of a command that has ended; fails if it failed.
fn finished(shown: &str, output: io::Result<Output>) -> Result<()> {
    let output = output.map_err(|error| format!("{shown}: {error}"))?;
    for stream in [&output.stdout, &output.stderr] {
        print!("{}", String::from_utf8_lossy(stream));
    }
    if output.status.success() { Ok(()) } else { Err(format!("{shown}: {}", output.status)) }
}

/// A command that runs in the top directory, without input.
pub(crate) fn command<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root::root()).stdin(Stdio::null());
    command
}

/// The cargo that started this program, with the words of `line` as arguments.
pub(crate) fn cargo(line: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command(cargo, line.split_whitespace())
}

/// Runs a command with its output on the terminal; fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(command))) }
}

/// Runs a command and returns its standard output; its standard error goes to the terminal.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("{}: {error}", shown(command)))?;
    if !output.status.success() {
        return Err(format!("{}: {}", shown(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{}: {error}", shown(command)))
}

/// Whether a command can be started and succeeds; its output is discarded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The command as a line of text.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Steps, command};

    #[test]
    fn a_step_passes_if_its_second_run_does() {
        let mut steps = Steps::default();
        assert!(!steps.step("a", || Err("busy".into())));
        assert!(steps.step("b", || Ok(())));
        steps.again("a", &["a::test".to_owned()], || Ok(()));
        assert_eq!(steps.unstable, ["a: a::test"]);
        assert!(steps.finish().is_ok());
    }

    #[test]
    fn commands_run_side_by_side_and_each_is_a_step() {
        let mut steps = Steps::default();
        let commands = ["true", "false", "true", "no-such-program"];
        let failed = steps.side_by_side(
            commands
                .iter()
                .enumerate()
                .map(|(at, name)| (format!("{name} {at}"), command(name, [""; 0])))
                .collect(),
        );
        assert_eq!(steps.done.len(), 4);
        assert!(failed.len() == 2 && failed.contains(&"false 1".to_owned()), "{failed:?}");
        assert!(steps.finish().is_err());
    }

    #[test]
    fn a_step_fails_if_both_runs_fail() {
        let mut steps = Steps::default();
        steps.step("a", || Err("wrong".into()));
        steps.again("a", &[], || Err("wrong".into()));
        assert!(steps.unstable.is_empty());
        assert!(steps.finish().is_err());
    }
}
