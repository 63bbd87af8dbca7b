//! A directory for each test, the command run in it, and an environment variable that marks every process
//! which the command starts.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use mitogen_tests::{procs, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The environment variable that marks the processes of a test.
const MARK: &str = "MITOGEN_CLI_TEST";

/// Thirty hosts that are all this machine, some behind others, and some that fail.
pub(crate) const FILE: &str = r#"
[profile.n]
method = "local"
hostname = "n[01-30]"

[profile.gate]
method = "local"

[profile.deep]
method = "local"
via = "gate"
hostname = "d[1-3]"

[profile.broken]
method = "local"
hostname = "b[1-2]"
python = ["/nowhere/python"]

[profile.behind]
method = "local"
via = "broken"

[profile.silent]
method = "local"
python = ["/bin/sh", "-c", "exec sleep 1000"]

[profile.refused]
method = "su"
username = "nobody"
su_path = "FAKESU"
"#;

/// A su that rejects every user.
const FAKESU: &str = "#!/bin/sh\necho 'su: Authentication failure' >&2\nexit 1\n";

pub(crate) struct Scene {
    directory: tempfile::TempDir,
    mark: String,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// The lines of its output, sorted: what several hosts print comes in any order.
    pub(crate) fn sorted(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = self.text().lines().collect();
        lines.sort_unstable();
        lines
    }

    /// All lines as JSON.
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// With additional profiles.
    pub(crate) fn with(more: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let file = format!("{FILE}{more}").replace("FAKESU", at("su").to_str().unwrap());
        fs::write(at("mitogen.toml"), file).unwrap();
        fs::set_permissions(at("mitogen.toml"), Permissions::from_mode(0o600)).unwrap();
        fs::write(at("su"), FAKESU).unwrap();
        fs::set_permissions(at("su"), Permissions::from_mode(0o755)).unwrap();
        let mark = format!("{}.{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { directory, mark }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The command with these arguments, and no input.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_mitogen"), arguments)
    }

    /// Another program, in the same environment.
    pub(crate) fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env(MARK, &self.mark)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("MITOGEN_PROFILES")
            .env_remove("MITOGEN_SOCKET")
            .env_remove("MITOGEN_TREE")
            .stdin(Stdio::null());
        command
    }

    /// Runs the command to its end, and checks that no process is left.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.finish(self.start(arguments, Stdio::null()))
    }

    /// The same, with standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Done {
        let mut started = self.start(arguments, Stdio::piped());
        let mut stdin = started.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // The command may end before it has read everything.
            let _ = stdin.write_all(&input);
        });
        let done = self.finish(started);
        writer.join().unwrap();
        done
    }

    pub(crate) fn start(&self, arguments: &[&str], stdin: Stdio) -> Started {
        Self::spawn(self.command(arguments), stdin)
    }

    pub(crate) fn spawn(mut command: Command, stdin: Stdio) -> Started {
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Started {
            stdin: child.stdin.take(),
            out: child.stdout.take().unwrap(),
            err: child.stderr.take().unwrap(),
            child,
        }
    }

    /// Reads the remaining output and waits for the end.
    pub(crate) fn finish(&self, mut started: Started) -> Done {
        drop(started.stdin.take());
        let mut stderr = started.err;
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut out = Vec::new();
        started.out.read_to_end(&mut out).unwrap();
        let status = started.child.wait().unwrap();
        let done = Done { status: status.code().unwrap(), out, err: err.join().unwrap() };
        self.assert_nothing_left();
        done
    }

    /// Checks that every marked process ends soon.
    pub(crate) fn assert_nothing_left(&self) {
        let left = || {
            let left = procs::marked(MARK, &self.mark);
            left.into_iter().filter(|process| !process.is_zombie()).collect::<Vec<_>>()
        };
        if wait::until(wait::TIMEOUT, || left().is_empty().then_some(())).is_none() {
            panic!("left behind: {:#?}", left());
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for process in procs::marked(MARK, &self.mark) {
            procs::kill_now(process.id);
        }
    }
}

/// A running command.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) out: ChildStdout,
    pub(crate) err: ChildStderr,
}

impl Started {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        read_line(&mut self.out)
    }

    /// The next line of its standard error.
    pub(crate) fn message(&mut self) -> String {
        read_line(&mut self.err)
    }
}

/// Reads byte by byte, so that the data after the line stays unread.
fn read_line(from: &mut impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while from.read(&mut byte).unwrap() == 1 {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    String::from_utf8(line).unwrap()
}
