//! A running `mitogen serve` with contexts on this machine, to measure commands that use it.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Ended, with its contexts, when it is dropped.
#[derive(Debug)]
pub struct Listening {
    child: Child,
    mitogen: PathBuf,
    place: TempDir,
}

impl Listening {
    /// Starts the command `mitogen`, with `count` targets (at most 99) of the profile `n`, which run
    /// `python`; they are up when this returns.
    ///
    /// # Errors
    /// The command does not start, or says nothing.
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
            return Err(io::Error::other("`mitogen serve` did not say where it listens"));
        }
        Ok(this)
    }

    fn command(mitogen: &Path, place: &Path) -> Command {
        let mut command = Command::new(mitogen);
        command.current_dir(place).env_remove("MITOGEN_PROFILES").env_remove("MITOGEN_SOCKET");
        command
    }

    /// Runs the program `true` on `targets` of the tree, in a process of its own, to its end.
    ///
    /// # Errors
    /// It fails.
    pub fn run_true(&self, targets: &str) -> io::Result<()> {
        // A word alone would be a line for the shell.
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
        // Its contexts end with it in any case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
