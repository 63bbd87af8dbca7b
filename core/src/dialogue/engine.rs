//! [`Engine`]: runs a dialogue. Its input is the program's output; its output is steps to carry out in their
//! order.
//!
//! It depends on its input alone: it uses no descriptor, clock or thread. The Python runtime's `dialogue.py`
//! gives the same steps for the same bytes, which the transcripts check.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;

use regex::bytes::Regex;
use zeroize::Zeroizing;

use super::history::{History, presentable, quoted};
use super::rules::{BadPattern, compile};
use super::text::Lines;
use super::{
    Action, Dialogue, ExitRule, Failure, FailureKind, RUNNING, Rule, START, Secret, Shown, Source, Stage,
};

/// What the driver must do.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes. They may hold a secret.
    Write {
        /// Where to: the link or the pty behind the diag source.
        to: Source,
        /// The bytes.
        data: Zeroizing<Vec<u8>>,
    },
    /// End the connection: end the program, and report this failure.
    Fail(Failure),
    /// The interpreter runs (`MITO000`): write the preamble if that was delayed.
    Ready,
    /// The context is up (`MITO002`): hand the link over.
    Up {
        /// What followed the marker's line: frames.
        rest: Vec<u8>,
    },
    /// A line for the log.
    Log {
        /// Where it came from.
        source: Source,
        /// The line, with secrets masked.
        line: String,
    },
}

/// One conversation.
pub struct Engine {
    dialogue: Dialogue,
    secrets: BTreeMap<String, Secret>,
    patterns: Vec<OnceCell<Result<Regex, BadPattern>>>,
    state: String,
    phase: Phase,
    link: Lines,
    diag: Lines,
    history: History,
    /// Names of secrets that have been sent: none is sent twice.
    sent: Vec<String>,
    sent_texts: Vec<Zeroizing<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The transport's program writes.
    Tool,
    /// The interpreter runs: the program has no more prompts, so rules are not applied.
    Interpreter,
    /// The link carries frames.
    Up,
    /// A failure has been reported.
    Failed,
}

impl Engine {
    /// Begins a conversation in the state [`START`]. Patterns are compiled when first needed.
    pub fn new(dialogue: &Dialogue, secrets: &BTreeMap<String, Secret>) -> Self {
        let patterns = dialogue.rules.iter().map(|_| OnceCell::new()).collect();
        Self {
            dialogue: dialogue.clone(),
            secrets: secrets.clone(),
            patterns,
            state: START.to_owned(),
            phase: Phase::Tool,
            link: Lines::default(),
            diag: Lines::default(),
            history: History::default(),
            sent: Vec::new(),
            sent_texts: Vec::new(),
        }
    }

    /// Takes bytes from the link or the diag source ([`Source::Any`] counts as diag).
    ///
    /// After [`Step::Up`] the link is no longer ours and bytes from it are ignored; diag lines are
    /// still cut and logged. After [`Step::Fail`] lines are only remembered and logged.
    pub fn feed(&mut self, source: Source, data: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut data = data;
        while !data.is_empty() {
            if source == Source::Link && self.phase == Phase::Up {
                return steps;
            }
            match self.lines(source).take_line(&mut data) {
                Some(line) => self.on_line(source, &line, data, &mut steps),
                None => self.on_partials(source, &mut steps),
            }
        }
        steps
    }

    /// Takes the end of a source: what it left unfinished counts as a line.
    pub fn eof(&mut self, source: Source) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(line) = self.lines(source).take_rest() {
            // A marker is a whole line; half of one at the end is only text.
            self.on_text_line(source, &line, &mut steps);
        }
        steps
    }

    /// What it means that the program ended before the context was up, from its exit status or the
    /// signal that killed it. Feed [`Self::eof`] for both sources first.
    pub fn finish(&self, code: Option<i32>, signal: Option<i32>) -> Failure {
        for exit in &self.dialogue.exits {
            let state_fits = exit.state.as_deref().is_none_or(|state| state == self.state);
            let status_fits = exit.status.is_none_or(|status| code == Some(status));
            if !state_fits || !status_fits {
                continue;
            }
            let Some(pattern) = &exit.pattern else { return self.quoting(exit.failure.clone()) };
            match compile(pattern, exit.ignore_case) {
                Err(error) => return self.bad_pattern(&error),
                Ok(regex) if self.has_shown(exit, &regex) => {
                    let failure = exit.failure.clone();
                    return if exit.quotes { self.quoting(failure) } else { failure };
                }
                Ok(_) => {}
            }
        }
        let ending = match (code, signal) {
            (_, Some(signal)) => format!("the program was killed by signal {signal}"),
            (Some(code), None) => format!("the program exited with status {code}"),
            (None, None) => "the link was closed".to_owned(),
        };
        let stage = match (self.dialogue.own_status, code) {
            (Some(own), Some(code)) if own != code => self.stage().max(Stage::Shell),
            _ => self.stage(),
        };
        self.quoting(Failure::new(stage, FailureKind::Eof, format!("{ending} while {}", stage.doing())))
    }

    /// The failure for a timeout in the present state.
    pub fn timeout(&self) -> Failure {
        let stage = self.stage();
        self.quoting(Failure::new(stage, FailureKind::Timeout, format!("timed out while {}", stage.doing())))
    }

    /// `failure` with the last lines that no rule has understood. What the program or the remote side wrote is the
    /// best explanation when no rule has one.
    fn quoting(&self, mut failure: Failure) -> Failure {
        let partials = [self.link.partial(), self.diag.partial()];
        let lines: Vec<_> = self
            .history
            .lines(Source::Any, true)
            .chain(partials.iter().map(Vec::as_slice))
            .map(|line| quoted(&self.presentable(line)))
            .filter(|line| !line.is_empty())
            .collect();
        let last = &lines[lines.len().saturating_sub(LINES_QUOTED)..];
        if !last.is_empty() {
            failure.message.push_str(&format!(": \"{}\"", last.join("\", \"")));
        }
        failure
    }

    /// How far the connection is presumed to be.
    pub fn stage(&self) -> Stage {
        match self.phase {
            Phase::Interpreter | Phase::Up => Stage::Bootstrap,
            Phase::Tool | Phase::Failed => self.dialogue.stage_of(&self.state),
        }
    }

    /// The state of the conversation.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Whether [`Step::Up`] has been given.
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// The last lines of both sources in the order in which they came, secrets masked.
    pub fn output(&self) -> Vec<String> {
        let mut lines: Vec<_> =
            self.history.lines(Source::Any, false).map(|line| self.presentable(line)).collect();
        for partial in [self.link.partial(), self.diag.partial()] {
            if !partial.is_empty() {
                lines.push(self.presentable(&partial));
            }
        }
        lines
    }

    fn on_line(&mut self, source: Source, line: &[u8], rest: &[u8], steps: &mut Vec<Step>) {
        if source == Source::Link && self.phase != Phase::Failed {
            if line.ends_with(MARKER_UP) {
                self.phase = Phase::Up;
                steps.push(Step::Up { rest: rest.to_vec() });
                return;
            }
            if line.ends_with(MARKER_READY) && self.phase == Phase::Tool {
                self.phase = Phase::Interpreter;
                RUNNING.clone_into(&mut self.state);
                steps.push(Step::Ready);
                return;
            }
        }
        self.on_text_line(source, line, steps);
    }

    fn on_text_line(&mut self, source: Source, line: &[u8], steps: &mut Vec<Step>) {
        if line.is_empty() {
            return;
        }
        self.note(source, line, steps);
        if self.apply(source, Shown::Line, line, steps) {
            self.history.explain_last();
            // The state may have changed: a prompt that meant nothing before may mean something now.
            self.on_partials(source, steps);
        }
    }

    /// Shows the unfinished lines to the rules, `first` first, until none applies. Each match takes
    /// its text away, so this ends.
    fn on_partials(&mut self, first: Source, steps: &mut Vec<Step>) {
        let second = if first == Source::Link { Source::Diag } else { Source::Link };
        loop {
            let mut applied = false;
            for source in [first, second] {
                let partial = self.lines(source).partial();
                if partial.is_empty() || self.phase != Phase::Tool {
                    continue;
                }
                let before = steps.len();
                if self.apply(source, Shown::Partial, &partial, steps) {
                    let mut note = Vec::new();
                    self.note(source, &partial, &mut note);
                    self.history.explain_last();
                    steps.splice(before..before, note);
                    self.lines(source).consume_partial();
                    applied = true;
                }
            }
            if !applied {
                return;
            }
        }
    }

    /// Lets the first rule that applies act. Says whether one did.
    fn apply(&mut self, source: Source, shown: Shown, text: &[u8], steps: &mut Vec<Step>) -> bool {
        if self.phase != Phase::Tool {
            return false;
        }
        for (rule, pattern) in self.dialogue.rules.iter().zip(&self.patterns) {
            let concerned = rule.shown == shown
                && rule.source.covers(source)
                && rule.state.as_deref().is_none_or(|state| state == self.state);
            if !concerned {
                continue;
            }
            match pattern.get_or_init(|| compile(&rule.pattern, rule.ignore_case)) {
                Err(error) => {
                    let failure = self.bad_pattern(error);
                    self.fail(failure, steps);
                    return true;
                }
                Ok(regex) if regex.is_match(text) => {
                    let rule = rule.clone();
                    self.act(&rule, source, steps);
                    return true;
                }
                Ok(_) => {}
            }
        }
        false
    }

    fn act(&mut self, rule: &Rule, source: Source, steps: &mut Vec<Step>) {
        match &rule.action {
            Action::Send(text) => {
                let data = Zeroizing::new(text.clone().into_bytes());
                steps.push(Step::Write { to: source, data });
            }
            Action::SendSecret(name) => match self.take_secret(name) {
                Ok(data) => steps.push(Step::Write { to: source, data }),
                Err(failure) => return self.fail(failure, steps),
            },
            Action::Fail(failure) => return self.fail(failure.clone(), steps),
            Action::Pass => {}
        }
        if let Some(next) = &rule.next {
            self.state.clone_from(next);
        }
    }

    /// The secret and a newline, once. Rules should see to it themselves with states, for better
    /// messages; this is the last fence in front of locked accounts.
    fn take_secret(&mut self, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let stage = self.stage();
        let Some(secret) = self.secrets.get(name) else {
            let message = format!("the {name} was asked for and none is given");
            return Err(Failure::new(stage, FailureKind::PasswordRequired, message));
        };
        if self.sent.iter().any(|sent| sent == name) {
            let message = format!("the {name} was refused");
            return Err(Failure::new(stage, FailureKind::PasswordIncorrect, message));
        }
        let mut data = Zeroizing::new(Vec::with_capacity(secret.expose().len() + 1));
        data.extend_from_slice(secret.expose().as_bytes());
        data.push(b'\n');
        self.sent.push(name.to_owned());
        self.sent_texts.push(Zeroizing::new(secret.expose().to_owned()));
        Ok(data)
    }

    fn fail(&mut self, failure: Failure, steps: &mut Vec<Step>) {
        self.phase = Phase::Failed;
        steps.push(Step::Fail(failure));
    }

    fn bad_pattern(&self, error: &BadPattern) -> Failure {
        Failure::new(self.stage(), FailureKind::BadOption, format!("dialogue: {error}"))
    }

    fn note(&mut self, source: Source, line: &[u8], steps: &mut Vec<Step>) {
        self.history.push(source, line);
        steps.push(Step::Log { source, line: self.presentable(line) });
    }

    fn presentable(&self, line: &[u8]) -> String {
        presentable(line, &self.sent_texts)
    }

    fn has_shown(&self, exit: &ExitRule, regex: &Regex) -> bool {
        let source = exit.source;
        self.history.lines(source, exit.unexplained).any(|line| regex.is_match(line))
            || source.covers(Source::Link) && regex.is_match(&self.link.partial())
            || source.covers(Source::Diag) && regex.is_match(&self.diag.partial())
    }

    fn lines(&mut self, source: Source) -> &mut Lines {
        if source == Source::Link { &mut self.link } else { &mut self.diag }
    }
}

/// The lines that a failure quotes.
const LINES_QUOTED: usize = 3;
const MARKER_READY: &[u8] = b"MITO000";
const MARKER_UP: &[u8] = b"MITO002";

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("state", &self.state)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Step {
    /// Written bytes are counted, not shown: they may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { to, data } => write!(f, "Write({} bytes to {to:?})", data.len()),
            Self::Fail(failure) => f.debug_tuple("Fail").field(failure).finish(),
            Self::Ready => f.write_str("Ready"),
            Self::Up { rest } => write!(f, "Up(and {} bytes)", rest.len()),
            Self::Log { source, line } => write!(f, "Log({source:?}: {line:?})"),
        }
    }
}
