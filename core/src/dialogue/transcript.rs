//! Replays transcripts: what a tool said, and the steps it must lead to.
//!
//! A transcript is text, one event a line, texts as JSON strings; `#` begins a comment line:
//!
//! ```text
//! plan password                    which dialogue and secrets
//! diag "Password: "                the tool says this (or: link "...")
//! write diag "hunter2\n"           the engine must write this
//! ready                            the engine must have seen the interpreter
//! up "rest"                        the engine must hand over, with this rest
//! exit 1                           the tool ends (or: signal 9, or: closed); what failed follows
//! timeout                          time runs out; what failed follows
//! fail privilege password_incorrect   the engine must fail like this
//! says "text"                      the message of the last failure contains this text
//! silent                           the message of the last failure quotes nothing
//! shows "text"                     a line of the output for errors contains this text
//! ```

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::{Dialogue, Engine, Failure, Secret, Source, Step};

/// Replays `text` twice: as recorded, and with everything that the tool says cut at every byte.
/// `plan` finds a dialogue and its secrets by name.
///
/// # Errors
/// The first line that is not understood or not met, in words.
pub fn replay<F>(text: &str, plan: F) -> Result<(), String>
where
    F: Fn(&str) -> Option<(Dialogue, BTreeMap<String, Secret>)>,
{
    run(text, &plan, usize::MAX)?;
    run(text, &plan, 1).map_err(|complaint| format!("cut at every byte: {complaint}"))
}

fn run<F>(text: &str, plan: &F, piece: usize) -> Result<(), String>
where
    F: Fn(&str) -> Option<(Dialogue, BTreeMap<String, Secret>)>,
{
    let mut replayed: Option<Replay> = None;
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let outcome = match (word, replayed.as_mut()) {
            ("plan", None) => plan(rest)
                .map(|(dialogue, secrets)| replayed = Some(Replay::new(&dialogue, &secrets)))
                .ok_or_else(|| format!("there is no plan {rest}")),
            (_, Some(replay)) => replay.event(word, rest, piece),
            (_, None) => Err("a transcript begins with its plan".to_owned()),
        };
        outcome.map_err(|complaint| format!("line {}: {complaint}", index + 1))?;
    }
    match replayed {
        Some(replay) => replay.nothing_pending().map_err(|complaint| format!("at the end: {complaint}")),
        None => Err("the transcript is empty".to_owned()),
    }
}

struct Replay {
    engine: Engine,
    /// Steps (but logs) that the transcript has not mentioned yet, in its own words.
    pending: VecDeque<String>,
    /// The message of the last failure, and its hint.
    message: String,
}

impl Replay {
    fn new(dialogue: &Dialogue, secrets: &BTreeMap<String, Secret>) -> Self {
        Self { engine: Engine::new(dialogue, secrets), pending: VecDeque::new(), message: String::new() }
    }

    fn event(&mut self, word: &str, rest: &str, piece: usize) -> Result<(), String> {
        match word {
            "link" => self.feed(Source::Link, &json_text(rest)?, piece),
            "diag" => self.feed(Source::Diag, &json_text(rest)?, piece),
            "exit" => self.end(Some(number(rest)?), None),
            "signal" => self.end(None, Some(number(rest)?)),
            "closed" => self.end(None, None),
            "timeout" => {
                self.nothing_pending()?;
                let failure = self.engine.timeout();
                self.message = failure.to_string();
                self.pending.push_back(fail_words(&failure));
                Ok(())
            }
            "says" => {
                let text = json_text(rest)?;
                match self.message.contains(&text) {
                    true => Ok(()),
                    false => Err(format!("the message does not contain {text:?}: {}", self.message)),
                }
            }
            "silent" => match self.message.contains('"') {
                false => Ok(()),
                true => Err(format!("the message quotes something: {}", self.message)),
            },
            "shows" => {
                let text = json_text(rest)?;
                let output = self.engine.output();
                match output.iter().any(|line| line.contains(&text)) {
                    true => Ok(()),
                    false => Err(format!("no line of the output contains {text:?}: {output:?}")),
                }
            }
            "write" | "ready" | "up" | "fail" => {
                let wanted = if rest.is_empty() { word.to_owned() } else { format!("{word} {rest}") };
                match self.pending.pop_front() {
                    Some(step) if step == wanted => Ok(()),
                    Some(step) => Err(format!("wanted `{wanted}`, got `{step}`")),
                    None => Err(format!("wanted `{wanted}`, got nothing")),
                }
            }
            _ => Err(format!("{word} is not understood")),
        }
    }

    fn feed(&mut self, source: Source, text: &str, piece: usize) -> Result<(), String> {
        self.nothing_pending()?;
        let bytes = text.as_bytes();
        let mut end = 0;
        for chunk in bytes.chunks(piece.min(bytes.len().max(1))) {
            end += chunk.len();
            for step in self.engine.feed(source, chunk) {
                if let Step::Up { rest } = step {
                    // Cut at every byte, the rest comes after the hand-over; the driver has it either way.
                    let rest = String::from_utf8_lossy(&bytes[end - rest.len()..]);
                    self.pending.push_back(format!("up {}", Value::from(rest)));
                } else {
                    self.take(&step);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, code: Option<i32>, signal: Option<i32>) -> Result<(), String> {
        self.nothing_pending()?;
        let steps = [Source::Link, Source::Diag].map(|source| self.engine.eof(source)).concat();
        for step in &steps {
            self.take(step);
        }
        if self.pending.is_empty() {
            let failure = self.engine.finish(code, signal);
            self.take(&Step::Fail(failure));
        }
        Ok(())
    }

    fn take(&mut self, step: &Step) {
        if let Step::Fail(failure) = step {
            self.message = failure.to_string();
        }
        self.pending.extend(step_words(step));
    }

    fn nothing_pending(&self) -> Result<(), String> {
        match self.pending.front() {
            Some(step) => Err(format!("there is a step that nobody expected: {step}")),
            None => Ok(()),
        }
    }
}

fn step_words(step: &Step) -> Option<String> {
    match step {
        Step::Write { to, data } => {
            let to = if *to == Source::Link { "link" } else { "diag" };
            Some(format!("write {to} {}", Value::from(String::from_utf8_lossy(data))))
        }
        Step::Fail(failure) => Some(fail_words(failure)),
        Step::Ready => Some("ready".to_owned()),
        Step::Up { .. } | Step::Log { .. } => None,
    }
}

fn fail_words(failure: &Failure) -> String {
    let name = |value: Result<Value, serde_json::Error>| match value {
        Ok(Value::String(name)) => name,
        other => format!("{other:?}"),
    };
    format!("fail {} {}", name(serde_json::to_value(failure.stage)), name(serde_json::to_value(failure.kind)))
}

fn json_text(text: &str) -> Result<String, String> {
    serde_json::from_str(text).map_err(|error| format!("{text} is not a JSON string: {error}"))
}

fn number(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}
