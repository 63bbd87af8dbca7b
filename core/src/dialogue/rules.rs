//! The data of a dialogue: states, rules, actions.
//!
//! Patterns are regular expressions over bytes in the syntax that Rust's `regex` and Python's `re`
//! share, searched and not anchored. They see text whose escape sequences and NULs have been
//! removed. Classes and `ignore_case` know ASCII only, in both engines. Serialized names are part of
//! the contract with the Python engine.

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Failure, Stage};

/// The state in which every dialogue begins.
pub const START: &str = "start";

/// The state that every dialogue is in once the interpreter runs. Rules are off by then: the tool
/// has nothing more to ask, and whatever looks like a prompt is not one. Exit rules that name
/// another state are off, too.
pub const RUNNING: &str = "running";

/// Where text came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The byte stream that becomes the link (the program's standard output, or the pty of a `tty` plan).
    Link,
    /// The side channel: standard error, or the pty of a `hybrid_tty` plan.
    Diag,
    /// Either of the two.
    #[default]
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct ExitRule {
    /// The state in which it applies; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The exit status it applies to; `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Whose lines the pattern is searched for in.
    #[serde(default)]
    pub source: Source,
    /// Searched for in each line that was shown (of the last ones kept, an unfinished one included);
    /// `None` needs no match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Whether case matters.
    #[serde(default)]
    pub ignore_case: bool,
    /// Whether the pattern is searched for only in lines on which no rule has acted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unexplained: bool,
    /// Whether the failure quotes the last lines that were shown, because the pattern leaves open what they say.
    /// A rule without a pattern always does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quotes: bool,
    /// The failure to report.
    pub failure: Failure,
}

/// A conversation, as data. The start state is `"start"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialogue {
    /// The rules, in order.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// What an early end means, in order.
    #[serde(default)]
    pub exits: Vec<ExitRule>,
    /// How far a connection is presumed to be in each state, for timeouts and unexplained ends:
    /// pairs of state name and stage. States not named are at [`Stage::Shell`].
    #[serde(default)]
    pub stages: Vec<(String, Stage)>,
    /// The exit status with which the program reports its own errors, for a program that passes on the status of the
    /// command that it has started. An end with another status is at [`Stage::Shell`] or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_status: Option<i32>,
}

/// A pattern that is not a regular expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("pattern {pattern:?} is not valid: {reason}")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// What the compiler says.
    pub reason: String,
}

impl Source {
    /// Whether a rule that looks at `self` looks at text from `actual`.
    pub(super) fn covers(self, actual: Self) -> bool {
        self == Self::Any || self == actual
    }
}

impl Rule {
    /// A rule that applies in every state, heeds case and keeps the state.
    pub fn new(source: Source, shown: Shown, pattern: impl Into<String>, action: Action) -> Self {
        Self { state: None, source, shown, pattern: pattern.into(), ignore_case: false, action, next: None }
    }

    /// The same in `state` only.
    #[must_use]
    pub fn in_state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// The same, leading to `state`.
    #[must_use]
    pub fn then(mut self, state: impl Into<String>) -> Self {
        self.next = Some(state.into());
        self
    }

    /// The same without heed to case.
    #[must_use]
    pub fn any_case(mut self) -> Self {
        self.ignore_case = true;
        self
    }
}

impl ExitRule {
    /// What any end means, in every state.
    pub fn new(failure: Failure) -> Self {
        Self {
            state: None,
            status: None,
            source: Source::Any,
            pattern: None,
            ignore_case: false,
            unexplained: false,
            quotes: false,
            failure,
        }
    }

    /// The same in `state` only.
    #[must_use]
    pub fn in_state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// The same for this exit status only.
    #[must_use]
    pub fn status(mut self, status: i32) -> Self {
        self.status = Some(status);
        self
    }

    /// The same when a line of `source` shows `pattern` (case does not matter).
    #[must_use]
    pub fn showing(mut self, source: Source, pattern: impl Into<String>) -> Self {
        self.source = source;
        self.pattern = Some(pattern.into());
        self.ignore_case = true;
        self
    }
}

impl ExitRule {
    /// The same, but only lines on which no rule has acted are searched.
    #[must_use]
    pub fn among_unexplained(mut self) -> Self {
        self.unexplained = true;
        self
    }

    /// The same, and its failure quotes the last lines that were shown.
    #[must_use]
    pub fn quoting(mut self) -> Self {
        self.quotes = true;
        self
    }
}

impl Dialogue {
    /// How far a connection is presumed to be in `state`.
    pub fn stage_of(&self, state: &str) -> Stage {
        self.stages.iter().find(|(name, _)| name == state).map_or(Stage::Shell, |(_, stage)| *stage)
    }

    /// Compiles every pattern once. The engine compiles a pattern when it first needs it (most
    /// connections need none), so callers that accept dialogues from others call this early.
    ///
    /// # Errors
    /// The first pattern that does not compile.
    pub fn check(&self) -> Result<(), BadPattern> {
        let rules = self.rules.iter().map(|rule| (Some(&rule.pattern), rule.ignore_case));
        let exits = self.exits.iter().map(|exit| (exit.pattern.as_ref(), exit.ignore_case));
        for (pattern, ignore_case) in rules.chain(exits) {
            if let Some(pattern) = pattern {
                compile(pattern, ignore_case)?;
            }
        }
        Ok(())
    }
}

/// A pattern for `text` itself, for words that users or options bring into rules.
pub fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        // Both syntaxes take a backslash before any of these, within classes and without.
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// Compiles a pattern the way both engines understand it.
pub(super) fn compile(pattern: &str, ignore_case: bool) -> Result<Regex, BadPattern> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(ignore_case)
        .size_limit(PATTERN_SIZE_LIMIT)
        .build()
        .map_err(|error| BadPattern { pattern: pattern.to_owned(), reason: error.to_string() })
}

/// Bytes that one compiled pattern may take: plans arrive from plugins too.
const PATTERN_SIZE_LIMIT: usize = 1 << 20;
