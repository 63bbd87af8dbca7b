//! Running the programs that fixtures are made of.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::error::{Context, FixtureError, Result};

/// Says how to prepare the machine; every fixture that misses a tool ends with it.
pub const PREPARE: &str = "run `cargo xtask test`, which installs what the tests need on Debian as root";

/// Whether this process may add users and networks.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Fails unless this process is root.
///
/// # Errors
/// When it is not, naming `what` needs it.
pub fn need_root(what: &str) -> Result<()> {
    if is_root() { Ok(()) } else { Err(FixtureError::new(format!("{what} needs root"))) }
}

/// Where `program` is: on `PATH`, or in the directories of administrators, which are often not on it.
///
/// # Errors
/// When it is nowhere.
pub fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| FixtureError::new(format!("{program} is not installed; {PREPARE}")))
}

/// Runs `argv` to its end and gives what it printed to stdout.
///
/// # Errors
/// When it cannot be started or does not succeed; the error has all that it printed.
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

/// Stdout of a program that has ended well.
///
/// # Errors
/// When it ended otherwise, with both its outputs.
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
/// When it cannot be started.
pub fn output_with_input(command: &mut Command, input: &[u8]) -> std::io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input may be gone already; its status tells how it fared.
        let _ = stdin.write_all(input);
    }
    child.wait_with_output()
}
