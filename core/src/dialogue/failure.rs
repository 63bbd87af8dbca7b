//! [`Failure`]: why a connection failed, with its kind and stage.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a connection is.
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
    /// Authenticating to the host.
    Authenticate,
    /// Becoming another user.
    Privilege,
    /// The remote shell starting the command.
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
    /// The host's name cannot be resolved.
    NameNotResolved,
    /// No program listens on the host's port or on the unix socket.
    ConnectionRefused,
    /// There is no route to the host, or it does not answer.
    HostUnreachable,
    /// The host accepted the connection and closed it before authentication, as an sshd beyond its
    /// `MaxStartups` does. Another try after a pause may succeed.
    ConnectionClosed,
    /// The host's key is not known and checking is on.
    HostKeyUnknown,
    /// The host's key is not the one that is known.
    HostKeyChanged,
    /// A password is needed and none was given.
    PasswordRequired,
    /// The password was refused.
    PasswordIncorrect,
    /// The host rejected all offered authentication methods.
    AuthenticationFailed,
    /// There is no such user.
    UnknownUser,
    /// The user may not do this (not in sudoers, no doas rule, account locked or expired).
    NotPermitted,
    /// The program requires a terminal.
    TtyRequired,
    /// No usable interpreter for the runtime was found.
    NoInterpreter,
    /// The interpreter is too old or broken.
    UnsupportedInterpreter,
    /// The remote side closed the link before it was up.
    Eof,
    /// The remote side sent something that is not the protocol.
    Protocol,
    /// The time limit was reached.
    Timeout,
    /// This process is shutting down, or the caller cancelled the connection.
    Cancelled,
    /// The intermediate that was to start the context has disconnected.
    ViaLost,
    /// The transport's program rejected its options.
    BadOption,
    /// The plan is of a newer version, has a field that is not known, or cannot be carried out.
    InvalidPlan,
}

impl Stage {
    /// What was being done, for the end of sentences such as "timed out while ...".
    pub fn doing(self) -> &'static str {
        match self {
            Self::Spawn => "starting the program",
            Self::Resolve => "resolving the host's name",
            Self::Connect => "connecting to the host",
            Self::HostKey => "checking the host's key",
            Self::Authenticate => "authenticating",
            Self::Privilege => "becoming the user",
            Self::Shell => "waiting for the shell to start the interpreter",
            Self::Interpreter => "starting the interpreter",
            Self::Bootstrap => "sending the runtime",
            Self::Handshake => "waiting for the runtime to announce itself",
        }
    }
}

impl FailureKind {
    /// Whether one side refused the other's identity or what it asked for: a password, a key, a host
    /// key, a user, a privilege. Repeating the attempt unchanged gives the same answer.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::HostKeyUnknown
                | Self::HostKeyChanged
                | Self::PasswordRequired
                | Self::PasswordIncorrect
                | Self::AuthenticationFailed
                | Self::UnknownUser
                | Self::NotPermitted
                | Self::TtyRequired
        )
    }

    /// Whether the same attempt may well succeed a little later. Never true of a refusal: repeated
    /// failed authentication earns bans and locked accounts.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::ConnectionClosed)
    }
}

/// What a rule reports when it fails a connection. The engine's driver adds the rest: hop, argv,
/// exit status, output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

impl Failure {
    /// A failure without a hint.
    pub fn new(stage: Stage, kind: FailureKind, message: impl Into<String>) -> Self {
        Self { stage, kind, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}
