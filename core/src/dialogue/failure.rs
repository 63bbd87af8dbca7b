//! What can go wrong on the way to a context, typed and placed.

use serde::{Deserialize, Serialize};

/// How far a connection had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Starting the transport's program.
    Spawn,
    /// Turning a host name into addresses.
    Resolve,
    /// Reaching the host.
    Connect,
    /// Checking the host's key.
    HostKey,
    /// Proving who we are.
    Authenticate,
    /// Becoming another user.
    Privilege,
    /// The far shell taking our command.
    Shell,
    /// Finding and starting an interpreter.
    Interpreter,
    /// The first stage reading the runtime.
    Bootstrap,
    /// The runtime announcing itself.
    Handshake,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The program could not be started.
    SpawnFailed,
    /// The host's name means nothing here.
    NameNotResolved,
    /// Nobody listens at the host's port.
    ConnectionRefused,
    /// No way to the host, or no answer from it.
    HostUnreachable,
    /// The host's key is not known and checking is on.
    HostKeyUnknown,
    /// The host's key is not the one that is known.
    HostKeyChanged,
    /// A password is needed and none was given.
    PasswordRequired,
    /// The password was refused.
    PasswordIncorrect,
    /// The host refused every way we offered to prove who we are.
    AuthenticationFailed,
    /// There is no such user.
    UnknownUser,
    /// The user may not do this (not in sudoers, no doas rule, account locked or expired).
    NotPermitted,
    /// The program insists on a terminal.
    TtyRequired,
    /// No usable Python was found.
    NoInterpreter,
    /// The interpreter is too old or broken.
    UnsupportedInterpreter,
    /// The far end closed the link before it was up.
    Eof,
    /// The far end said something that is not the protocol.
    Protocol,
    /// Time ran out.
    Timeout,
    /// We are shutting down, or the caller gave up.
    Cancelled,
    /// The context this one was to be started through is gone.
    ViaLost,
    /// The transport's program rejected its options.
    BadOption,
}

/// What a rule reports when it fails a connection. The engine's driver adds the rest: hop, argv,
/// exit status, output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How far it had come.
    pub stage: Stage,
    /// What went wrong.
    pub kind: FailureKind,
    /// One lowercase sentence fragment for people.
    pub message: String,
    /// What the user can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
