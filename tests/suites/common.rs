//! Helpers of several suites: connections, commands, processes.

#![allow(dead_code, reason = "each suite uses its part")]

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mitogen::command::{Command, CommandEvent, ExitStatus, RunningCommand};
use mitogen::dialogue::{FailureKind, Secret, Stage};
use mitogen::transports::{local, ssh};
use mitogen::{
    ChildSettings, ConnectError, ConnectHandle, ConnectRequest, Context, Master, MasterOptions, Python,
    Transport,
};
use mitogen_tests::procs::{self, Process};
use mitogen_tests::{Leaks, Sshd, leaks, wait};

/// Longer than any step of a test takes, so that a hang is an error.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A master with the defaults, whose children search for an interpreter.
pub(crate) fn master() -> Master {
    Master::start(MasterOptions::default()).expect("a master starts")
}

/// Settings for children whose interpreter is this command line.
pub(crate) fn started_by(argv: &[&str]) -> ChildSettings {
    ChildSettings::new(Python::with_interpreter(argv.iter().copied()))
}

/// Requests a context with its own settings.
pub(crate) fn connect_with(
    master: &Master,
    via: Option<&Context>,
    transport: &dyn Transport,
    settings: &ChildSettings,
) -> ConnectHandle {
    let request = ConnectRequest { transport, name: None, via, settings };
    master.connector().connect(&request).expect("a plan")
}

/// Waits for a context that must come up.
pub(crate) fn up(connecting: &ConnectHandle) -> Context {
    match connecting.wait_deadline(Instant::now() + TIMEOUT) {
        Some(Ok(context)) => context,
        Some(Err(error)) => panic!("{}", error.report()),
        None => panic!("{connecting:?} does not end"),
    }
}

/// Waits for a connection that must fail, and returns the error.
pub(crate) fn down(connecting: &ConnectHandle) -> Arc<ConnectError> {
    match connecting.wait_deadline(Instant::now() + TIMEOUT) {
        Some(Err(error)) => error,
        Some(Ok(context)) => panic!("{context:?} came up"),
        None => panic!("{connecting:?} does not end"),
    }
}

/// Checks the kind of an error and the stage at which it happened.
pub(crate) fn check(error: &ConnectError, stage: Stage, kind: FailureKind) {
    assert_eq!((error.stage, error.kind), (stage, kind), "{}", error.report());
}

/// The transport to a child on this machine.
pub(crate) fn local() -> local::Local {
    local::Local::new(local::Options::new()).expect("no option to reject")
}

/// Options for `server` that ignore the configuration of this machine and contain no credentials.
pub(crate) fn options(server: &Sshd, user: &str) -> ssh::Options {
    let mut options = ssh::Options::new(server.host());
    options.port = Some(server.port());
    options.username = Some(user.to_owned());
    options.ssh_args = ssh_args(&server.known_hosts().display().to_string());
    options
}

/// Arguments that make ssh ignore the configuration of this machine.
pub(crate) fn ssh_args(known_hosts: &str) -> Vec<String> {
    let mut args = vec!["-F".to_owned(), "none".to_owned()];
    for option in [
        &format!("UserKnownHostsFile={known_hosts}"),
        "GlobalKnownHostsFile=none",
        // The agent and default keys of this machine must not affect the tests.
        "IdentityAgent=none",
    ] {
        args.extend(["-o".to_owned(), option.to_owned()]);
    }
    args
}

/// Options that log in by the server's key.
pub(crate) fn by_key(server: &Sshd, user: &str) -> ssh::Options {
    let mut options = options(server, user);
    options.identity_file = Some(server.key().display().to_string());
    options
}

/// Options that log in by password.
pub(crate) fn by_password(server: &Sshd, user: &str, password: &str) -> ssh::Options {
    let mut options = options(server, user);
    options.password = Some(Secret::new(password));
    options
}

/// The transport with these options.
pub(crate) fn ssh(options: ssh::Options) -> ssh::Ssh {
    ssh::Ssh::new(options).expect("valid options")
}

/// The uid of a context's process.
pub(crate) fn uid(context: &Context) -> u32 {
    context.call("os.getuid", ()).expect("an answer")
}

/// The output and exit status of a command.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) exit: ExitStatus,
}

/// Starts a command whose events are sent to a channel.
pub(crate) fn start(context: &Context, command: &Command) -> (RunningCommand, mpsc::Receiver<CommandEvent>) {
    let (sender, events) = mpsc::channel();
    let running = command.start(context, move |event| drop(sender.send(event))).expect("sent");
    (running, events)
}

/// Runs a command with `input` until it ends, within the flow-control windows of both directions.
pub(crate) fn run(context: &Context, command: &Command, input: &[u8]) -> Output {
    let command = command.clone().stdin(true);
    let (running, events) = start(context, &command);
    let mut input = Bytes::copy_from_slice(input);
    let mut room = RunningCommand::STDIN_WINDOW;
    let mut output = Output { stdout: Vec::new(), stderr: Vec::new(), exit: ExitStatus::Code(-1) };
    let mut open = true;
    loop {
        while room > 0 && !input.is_empty() {
            let piece = input.split_to(input.len().min(room).min(100_000));
            room -= piece.len();
            running.write(piece).expect("sent");
        }
        if open && input.is_empty() {
            running.close_stdin().expect("sent");
            open = false;
        }
        match events.recv_timeout(TIMEOUT).expect("something happens") {
            CommandEvent::Stdout(data) => {
                running.consumed(data.len()).expect("sent");
                output.stdout.extend_from_slice(&data);
            }
            CommandEvent::Stderr(data) => {
                running.consumed(data.len()).expect("sent");
                output.stderr.extend_from_slice(&data);
            }
            CommandEvent::StdinRoom(more) => room += more,
            CommandEvent::Exit(exit) => {
                output.exit = exit;
                return output;
            }
            CommandEvent::Failed(error) => panic!("{command:?}: {error}"),
            _ => {}
        }
    }
}

/// A child that hangs once its interpreter runs, and ends at end of file on its input.
///
/// It prints so much that its parent must have read the first marker by the time it hangs. The lines are long, because
/// each is examined.
pub(crate) const STUCK: [&str; 3] = [
    "/bin/sh",
    "-c",
    "echo MITO000; head -c 8000000 /dev/zero | tr '\\0' x | fold -w 1000; echo; exec cat >/dev/null",
];

/// Whether this is the command line of a [`STUCK`] child that hangs.
pub(crate) fn is_stuck(command: &str) -> bool {
    command == "cat"
}

/// Waits until exactly one process of this test has a matching command line.
pub(crate) fn the_process(is_meant: impl Fn(&str) -> bool) -> Process {
    let mark = leaks::mark().expect("an isolated test");
    wait::until(TIMEOUT, || {
        let mut found = procs::marked(leaks::MARK, &mark);
        found.retain(|process| is_meant(&process.command));
        (found.len() == 1).then(|| found[0].clone())
    })
    .unwrap_or_else(|| panic!("not one such process: {:#?}", procs::marked(leaks::MARK, &mark)))
}

/// The number of this test's processes that are an ssh client.
pub(crate) fn ssh_clients() -> usize {
    let mark = leaks::mark().expect("an isolated test");
    procs::marked(leaks::MARK, &mark).iter().filter(|process| process.command.starts_with("ssh ")).count()
}

/// A loopback port on which no process listens.
pub(crate) fn silent_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Waits until all processes started since `leaks` are gone, on both sides. Servers must still run, because their end
/// would end the sessions.
pub(crate) fn no_process_left(leaks: &Leaks) {
    let left = || {
        let mut found = leaks.found();
        found.retain(|line| line.starts_with("process"));
        found
    };
    if wait::until(Duration::from_secs(20), || left().is_empty().then_some(())).is_none() {
        panic!("left behind:\n  {}", left().join("\n  "));
    }
}
