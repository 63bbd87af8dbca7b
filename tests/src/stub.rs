//! Replacements for `ssh` and `sudo` that follow a script, to test behaviour that is rare in the real programs.
//!
//! A [`Stub`] is a directory that contains a program with the right name, so it can be used by path or through `PATH`.
//! The programs are `src/bin/stub_ssh.rs` and `src/bin/stub_sudo.rs`; they share [`play`].

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::built::built;
use crate::error::{Context, Result};

/// Where a stub prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum To {
    /// Standard output: the link itself, so this is noise before the child's own bytes.
    Stdout,
    /// Standard error.
    Stderr,
    /// The controlling terminal.
    Tty,
}

/// One step of a stub's script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Prints exactly this text.
    Print(To, String),
    /// Asks for a secret, up to `tries` times; prints `wrong` after each wrong one, and exits with 1 after the last.
    Ask {
        /// The prompt; `None` is the one that the caller requested (`sudo -p`), or the program's default.
        prompt: Option<String>,
        /// The accepted secret.
        secret: String,
        /// Printed after each wrong secret.
        wrong: String,
        /// The number of attempts.
        tries: u32,
    },
    /// Runs the command that the caller requested, through a shell as the real program does. Must be the last step.
    Run,
    /// Exits with this status.
    Exit(u8),
    /// Kills itself with this signal.
    Kill(i32),
    /// Discards its input until end of file, and never answers.
    Hang,
}

/// A stub that can be called.
#[derive(Debug)]
pub struct Stub {
    dir: TempDir,
    name: &'static str,
}

/// The prompts of `sudo` in several languages, with `%u` for the user; for [`Step::Ask`].
pub const SUDO_PROMPTS: [(&str, &str); 8] = [
    ("en", "[sudo] password for %u: "),
    ("de", "[sudo] Passwort für %u: "),
    ("fr", "[sudo] Mot de passe de %u : "),
    ("pl", "[sudo] hasło użytkownika %u: "),
    ("ru", "[sudo] пароль для %u: "),
    ("ja", "[sudo] %u のパスワード: "),
    ("zh", "[sudo] %u 的密码："),
    ("en-sudo-rs", "[sudo: authenticate] Password: "),
];

impl Stub {
    /// A program named `ssh` that follows this script.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub fn ssh(script: &[Step]) -> Result<Self> {
        Self::make("ssh", "stub_ssh", script)
    }

    /// A program named `sudo` that follows this script. It runs the command as the calling user.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub fn sudo(script: &[Step]) -> Result<Self> {
        Self::make("sudo", "stub_sudo", script)
    }

    fn make(name: &'static str, program: &str, script: &[Step]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("stub-").tempdir().context(|| "temporary directory")?;
        let program = built(program)?;
        let json = serde_json::to_vec(script).context(|| "script")?;
        std::fs::write(dir.path().join("script.json"), json).context(|| "script")?;
        let wrapper = dir.path().join(name);
        let text = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", program.display(), dir.path().display());
        std::fs::write(&wrapper, text).context(|| wrapper.display().to_string())?;
        std::fs::set_permissions(&wrapper, Permissions::from_mode(0o755))
            .context(|| wrapper.display().to_string())?;
        Ok(Self { dir, name })
    }

    /// The path of the program.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(self.name)
    }

    /// The directory that contains it, for `PATH`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The arguments of each call so far, without the program's name.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn calls(&self) -> Result<Vec<Vec<String>>> {
        let file = self.dir.path().join("calls");
        if !file.exists() {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(&file).context(|| file.display().to_string())?;
        text.lines().map(|line| serde_json::from_str(line).context(|| "record of calls")).collect()
    }
}

/// The parsed command line of a stub program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The command to run.
    pub argv: Vec<String>,
    /// The prompt that the caller requested.
    pub prompt: String,
    /// Whether secrets are read from standard input instead of the terminal.
    pub secrets_on_stdin: bool,
    /// Printed before exit with status 1 instead of a prompt: the caller forbade prompts.
    pub never_ask: Option<String>,
}

/// The main function of a stub program: reads its script, records its arguments, and runs the steps.
pub fn play(parse: impl FnOnce(&[String]) -> Call) -> ExitCode {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_default());
    let args: Vec<String> = args.collect();
    match steps(&dir, &args).and_then(|steps| follow(&steps, &parse(&args))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("stub: {error}");
            ExitCode::from(70)
        }
    }
}

fn steps(dir: &Path, args: &[String]) -> Result<Vec<Step>> {
    let mut line = serde_json::to_vec(args).context(|| "arguments")?;
    line.push(b'\n');
    let calls = dir.join("calls");
    let mut record =
        OpenOptions::new().create(true).append(true).open(&calls).context(|| calls.display().to_string())?;
    // One write, so that concurrent calls do not interleave.
    record.write_all(&line).context(|| calls.display().to_string())?;
    let script = std::fs::read(dir.join("script.json")).context(|| "script")?;
    serde_json::from_slice(&script).context(|| "script")
}

fn follow(steps: &[Step], call: &Call) -> Result<ExitCode> {
    for step in steps {
        match step {
            Step::Print(to, text) => say(*to, text)?,
            Step::Ask { prompt, secret, wrong, tries } => {
                if let Some(refusal) = &call.never_ask {
                    say(To::Stderr, refusal)?;
                    return Ok(ExitCode::from(1));
                }
                if !ask(call, prompt.as_deref().unwrap_or(&call.prompt), secret, wrong, *tries)? {
                    return Ok(ExitCode::from(1));
                }
            }
            Step::Run => {
                let Some((program, rest)) = call.argv.split_first() else { return Ok(ExitCode::from(64)) };
                let error = Command::new(program).args(rest).exec();
                return Err(crate::FixtureError::new(format!("{program}: {error}")));
            }
            Step::Exit(code) => return Ok(ExitCode::from(*code)),
            Step::Kill(number) => {
                let signal = Signal::try_from(*number).context(|| "signal")?;
                raise(signal).context(|| "kill")?;
            }
            Step::Hang => {
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say(to: To, text: &str) -> Result<()> {
    let bytes = text.as_bytes();
    match to {
        To::Stdout => {
            let mut out = std::io::stdout();
            out.write_all(bytes).and_then(|()| out.flush())
        }
        To::Stderr => std::io::stderr().write_all(bytes),
        To::Tty => tty()?.write_all(bytes),
    }
    .context(|| "say")
}

fn ask(call: &Call, prompt: &str, secret: &str, wrong: &str, tries: u32) -> Result<bool> {
    for _ in 0..tries {
        let answer = if call.secrets_on_stdin {
            say(To::Stderr, prompt)?;
            read_line(&mut unbuffered_stdin()?)?
        } else {
            ask_tty(prompt)?
        };
        if answer == secret {
            return Ok(true);
        }
        say(if call.secrets_on_stdin { To::Stderr } else { To::Tty }, wrong)?;
    }
    Ok(false)
}

/// Prompts on the terminal with echo off and discards earlier input, as the real programs do.
fn ask_tty(prompt: &str) -> Result<String> {
    let mut tty = tty()?;
    let before = tcgetattr(tty.as_fd()).context(|| "terminal")?;
    let mut quiet = before.clone();
    quiet.local_flags.remove(LocalFlags::ECHO);
    quiet.local_flags.insert(LocalFlags::ICANON);
    tcsetattr(tty.as_fd(), SetArg::TCSAFLUSH, &quiet).context(|| "terminal")?;
    tty.write_all(prompt.as_bytes()).context(|| "terminal")?;
    let answer = read_line(&mut tty);
    tcsetattr(tty.as_fd(), SetArg::TCSANOW, &before).context(|| "terminal")?;
    tty.write_all(b"\n").context(|| "terminal")?;
    answer
}

fn tty() -> Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty").context(|| "a terminal is required")
}

/// Standard input without the standard library's buffer, which would consume input of the command.
fn unbuffered_stdin() -> Result<File> {
    std::io::stdin().as_fd().try_clone_to_owned().map(File::from).context(|| "standard input")
}

/// Reads byte by byte, because what follows the line is input of the command that is run later.
fn read_line(from: &mut impl Read) -> Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while from.read(&mut byte).context(|| "answer")? == 1 && !matches!(byte[0], b'\n' | b'\r') {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
