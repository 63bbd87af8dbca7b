//! Runs the programs that fixtures need.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::error::{Context, FixtureError, Result};

/// How to prepare the machine; appended to every error about a missing tool.
pub const PREPARE: &str = "run `cargo xtask test`, which installs what the tests need on Debian as root";

/// Whether this process may add users and networks.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Fails unless this process is root.
///
/// # Errors
/// It is not; the error says that `what` needs it.
pub fn need_root(what: &str) -> Result<()> {
    if is_root() { Ok(()) } else { Err(FixtureError::new(format!("{what} needs root"))) }
}

/// The path of `program`: on `PATH`, or in the `sbin` directories, which are often missing there.
///
/// # Errors
/// It is not found.
pub fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| FixtureError::new(format!("{program} is not installed; {PREPARE}")))
}

/// Runs `argv` and returns what it printed to stdout.
///
/// # Errors
/// It cannot be started or fails; the error contains its output.
pub fn run<S: AsRef<str>>(argv: &[S]) -> Result<String> {
    run_with_input(argv, b"")
}

/// Like [`run`], with `input` on stdin.
///
/// # Errors
/// As [`run`].
pub fn run_with_input<S: AsRef<str>>(argv: &[S], input: &[u8]) -> Result<String> {
    let argv: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
    let (program, rest) = argv.split_first().ok_or_else(|| FixtureError::new("empty command"))?;
    let mut command = Command::new(find(program).unwrap_or_else(|_| PathBuf::from(program)));
    command.args(rest);
    let output = output_with_input(&mut command, input).context(|| argv.join(" "))?;
    succeeded(&argv.join(" "), &output)
}

/// The stdout of a program that succeeded.
///
/// # Errors
/// It failed; the error contains both its outputs.
pub fn succeeded(what: &str, output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(FixtureError::new(format!("{what}: {}\n{stdout}{stderr}", output.status)))
}

/// Runs a command with `input` on stdin and collects its output.
///
/// # Errors
/// It cannot be started.
pub fn output_with_input(command: &mut Command, input: &[u8]) -> std::io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input may have ended already; its status is checked by the caller.
        let _ = stdin.write_all(input);
    }
    child.wait_with_output()
}
