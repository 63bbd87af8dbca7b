//! [`ConnectError`]: why a connection failed, with the context, the stage, the command, its output and a
//! hint.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dialogue::{Failure, FailureKind, Stage};

/// Why a context could not be started.
///
/// Its short form is one line; [`ConnectError::report`] has everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectError {
    /// The name of the context that was to be started, such as `ssh.web1.sudo.root`.
    #[serde(default)]
    pub hop: String,
    /// How far the connection was.
    pub stage: Stage,
    /// What went wrong.
    pub kind: FailureKind,
    /// One sentence fragment.
    pub message: String,
    /// What the user can do.
    #[serde(default)]
    pub hint: Option<String>,
    /// The command that was run, without secrets and without the bootstrap's text.
    #[serde(default)]
    pub argv: Vec<String>,
    /// The command's exit status, if it ended by itself.
    #[serde(default)]
    pub status: Option<i32>,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// The last lines of output, secrets masked.
    #[serde(default)]
    pub output: Vec<String>,
}

impl ConnectError {
    /// An error without a hint, a command or output.
    pub fn new(hop: &str, stage: Stage, kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            hop: hop.to_owned(),
            stage,
            kind,
            message: message.into(),
            hint: None,
            argv: Vec::new(),
            status: None,
            signal: None,
            output: Vec::new(),
        }
    }

    /// The error for a dialogue's failure of the context `hop`.
    pub fn from_failure(hop: &str, failure: Failure) -> Self {
        Self { hint: failure.hint, ..Self::new(hop, failure.stage, failure.kind, failure.message) }
    }

    /// Whether authentication, the host's key or the change of user was refused: see
    /// [`FailureKind::is_refusal`].
    pub fn is_refusal(&self) -> bool {
        self.kind.is_refusal()
    }

    /// All details, on several lines.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n  hint: {hint}"));
        }
        if !self.argv.is_empty() {
            text.push_str(&format!("\n  command: {}", self.argv.join(" ")));
        }
        match (self.status, self.signal) {
            (Some(status), _) => text.push_str(&format!("\n  exit status: {status}")),
            (None, Some(signal)) => text.push_str(&format!("\n  ended by signal: {signal}")),
            (None, None) => {}
        }
        for line in &self.output {
            text.push_str(&format!("\n  | {line}"));
        }
        text
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.hop, self.stage.doing(), self.message)
    }
}

impl std::error::Error for ConnectError {}
