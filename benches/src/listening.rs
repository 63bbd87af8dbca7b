//! A running `mitogen serve` with contexts on this machine, to measure commands that use it.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Terminated, with its contexts, when dropped.
#[derive(Debug)]
pub struct Listening {
    child: Child,
    mitogen: PathBuf,
    place: TempDir,
}

impl Listening {
    /// Starts the command `mitogen`, with `count` targets (at most 99) of the profile `n`, which run
    /// `python`; they are connected when this returns.
    ///
    /// # Errors
    /// The command does not start, or prints nothing.
    pub fn start(mitogen: &Path, python: &str, count: usize) -> io::Result<Self> {
        let place = tempfile::tempdir()?;
        let profiles = format!(
            "[profile.n]\nmethod = \"local\"\nhostname = \"n[01-{count:02}]\"\npython = [\"{python}\"]\n"
        );
        std::fs::write(place.path().join("mitogen.toml"), profiles)?;
        let mut child = Self::command(mitogen, place.path())
            .args(["serve", "--socket", "socket", "n"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().map(|out| out.take(4096));
        let read = out.map_or(Ok(0), |out| BufReader::new(out).read_line(&mut line));
        let this = Self { child, mitogen: mitogen.to_owned(), place };
        if read? == 0 {
            return Err(io::Error::other("`mitogen serve` did not print its socket"));
        }
        Ok(this)
    }

    fn command(mitogen: &Path, place: &Path) -> Command {
        let mut command = Command::new(mitogen);
        command.current_dir(place).env_remove("MITOGEN_PROFILES").env_remove("MITOGEN_SOCKET");
        command
    }

    /// Runs the program `true` on `targets` with a separate `mitogen run` process, and waits for it.
    ///
    /// # Errors
    /// The command fails.
    pub fn run_true(&self, targets: &str) -> io::Result<()> {
        // A single argument would be run by the shell.
        let status = Self::command(&self.mitogen, self.place.path())
            .args(["run", "--socket=socket", targets, "--", "true", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("mitogen run: {status}"))) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Its contexts end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
