//! The data of a dialogue: states, rules, actions.
//!
//! Patterns are regular expressions over bytes in the syntax that Rust's `regex` and Python's `re`
//! share, searched and not anchored. Serialized names are part of the contract with the Python
//! engine.

use serde::{Deserialize, Serialize};

use super::Failure;

/// Where text came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The byte stream that becomes the link (the program's standard output, or the pty of a `tty` plan).
    Link,
    /// The side channel: standard error, or the pty of a `hybrid_tty` plan.
    Diag,
    /// Either of the two.
    Any,
}

/// What part of the text a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// A whole line, without its end (`\n`, with any `\r` before it).
    Line,
    /// The unfinished last line, looked at whenever bytes arrive: where prompts stand.
    Partial,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Write this text to the source that showed the pattern.
    Send(String),
    /// Write the secret of this name and a newline to the source that showed the pattern.
    SendSecret(String),
    /// Give up.
    Fail(Failure),
    /// Nothing to send: the rule only changes the state, or keeps later rules from seeing this text.
    Pass,
}

/// One rule. The first rule that applies wins; text that a partial rule has consumed is not shown
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The state in which it applies; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Where it looks.
    pub source: Source,
    /// What it looks at.
    pub shown: Shown,
    /// What it looks for.
    pub pattern: String,
    /// Whether case matters.
    #[serde(default)]
    pub ignore_case: bool,
    /// What it does.
    pub action: Action,
    /// The state afterwards; `None` keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What the end of the program means when it comes before the link is up. The first that applies
/// wins; without one the failure is [`super::FailureKind::Eof`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRule {
    /// The state in which it applies; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The exit status it applies to; `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Searched for in everything that was shown (the last lines kept); `None` needs no match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Whether case matters.
    #[serde(default)]
    pub ignore_case: bool,
    /// The failure to report.
    pub failure: Failure,
}

/// A conversation, as data. The start state is `"start"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialogue {
    /// The rules, in order.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// What an early end means, in order.
    #[serde(default)]
    pub exits: Vec<ExitRule>,
    /// How far a connection is presumed to be in each state, for timeouts and unexplained ends:
    /// pairs of state name and stage. States not named are at [`super::Stage::Shell`].
    #[serde(default)]
    pub stages: Vec<(String, super::Stage)>,
}
