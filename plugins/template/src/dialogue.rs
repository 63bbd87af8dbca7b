//! The arrays `rules` and `exits`: how prompts are answered and failures recognised.
//!
//! Rules that send a secret and name no states are completed: the prompt is answered once, a second one means that the
//! secret was wrong, and a prompt for a secret that is not given is a failure. A template that names states of its own has
//! to see to that itself.

use std::collections::BTreeSet;

use mitogen_core::connect::OptionSpec;
use mitogen_core::dialogue::{
    Action, Dialogue, ExitRule, Failure, FailureKind, RUNNING, Rule, START, Shown, Source, Stage,
};
use serde_json::{Map, Value};

use crate::fault::Faults;
use crate::read::{boolean, expected, known_keys, string, word};

const RULE: &[&str] =
    &["state", "source", "shown", "pattern", "ignore_case", "send", "send_secret", "fail", "pass", "next"];
const EXIT: &[&str] = &["state", "status", "source", "pattern", "ignore_case", "fail"];
const FAILURE: &[&str] = &["kind", "stage", "message", "hint"];
/// The completed rules grow with every combination of secrets.
const MOST_SECRETS: usize = 3;

/// The dialogue of a template, for all of its options.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    rules: Vec<Rule>,
    exits: Vec<ExitRule>,
    stages: Vec<(String, Stage)>,
    stage: Stage,
}

impl Conversation {
    /// Reads `rules`, `exits`, `stage` and `stages`.
    pub(crate) fn read(faults: &mut Faults, table: &Map<String, Value>, specs: &[OptionSpec]) -> Self {
        let stage = word(faults, table, "stage").unwrap_or(Stage::Connect);
        let mut read = Self { rules: Vec::new(), exits: Vec::new(), stages: Vec::new(), stage };
        read.stages = stages(faults, table);
        each(faults, table, "rules", |faults, entry| {
            known_keys(faults, entry, RULE);
            read.rules.extend(rule(faults, entry, specs, stage));
        });
        each(faults, table, "exits", |faults, entry| {
            known_keys(faults, entry, EXIT);
            read.exits.extend(exit(faults, entry, stage));
        });
        read.check_states(faults);
        read
    }

    /// The names of states must lead somewhere, and a prompt must not be answered for ever.
    fn check_states(&self, faults: &mut Faults) {
        let known: BTreeSet<&str> = [START]
            .into_iter()
            .chain(self.rules.iter().filter_map(|rule| rule.next.as_deref()))
            .chain(self.stages.iter().map(|(state, _)| state.as_str()))
            .collect();
        let unknown = |faults: &mut Faults, state: Option<&str>| {
            if let Some(state) = state.filter(|state| !known.contains(state)) {
                let hint = format!("the states are {}", known.iter().copied().collect::<Vec<_>>().join(", "));
                faults.at("state", |faults| {
                    faults.report(format!("no rule leads to the state `{state}`"), hint);
                });
            }
        };
        let own = self.has_own_states();
        for (index, rule) in self.rules.iter().enumerate() {
            faults.at("rules", |faults| {
                faults.at_index(index, |faults| {
                    unknown(faults, rule.state.as_deref());
                    if rule.next.as_deref() == Some(RUNNING) {
                        faults.report(
                            "the state `running` is entered when the interpreter runs",
                            "use another name",
                        );
                    }
                    let answers = matches!(rule.action, Action::SendSecret(_));
                    if own
                        && answers
                        && (rule.state.is_none() || rule.next.is_none() || rule.state == rule.next)
                    {
                        faults.report(
                            "a prompt that shows again would be answered again",
                            "give the rule a `state` and another one as `next`, or give no rule any states",
                        );
                    }
                });
            });
        }
        for (index, exit) in self.exits.iter().enumerate() {
            faults.at("exits", |faults| {
                faults.at_index(index, |faults| unknown(faults, exit.state.as_deref()));
            });
        }
        let secrets = self.secrets();
        if !own && secrets.len() > MOST_SECRETS {
            faults.at("rules", |faults| {
                faults
                    .report(format!("more than {MOST_SECRETS} secrets"), "give the rules `state` and `next`");
            });
        }
    }

    fn has_own_states(&self) -> bool {
        self.rules.iter().any(|rule| rule.state.is_some() || rule.next.is_some())
    }

    /// The secrets that rules send.
    fn secrets(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self
            .rules
            .iter()
            .filter_map(|rule| match &rule.action {
                Action::SendSecret(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        names.into_iter().collect()
    }

    /// The dialogue of a plan to which `given` secrets belong.
    pub(crate) fn dialogue(&self, given: &BTreeSet<&str>, child: &[ExitRule]) -> Dialogue {
        let secrets = self.secrets();
        let complete = !self.has_own_states();
        let mut dialogue = Dialogue::default();
        for rule in &self.rules {
            match &rule.action {
                Action::SendSecret(name) if !given.contains(name.as_str()) => {
                    dialogue.rules.push(Rule {
                        action: Action::Fail(missing(name)),
                        next: None,
                        ..rule.clone()
                    });
                }
                Action::SendSecret(name) if complete => {
                    answered_once(&mut dialogue.rules, rule, name, &secrets);
                }
                _ => dialogue.rules.push(rule.clone()),
            }
        }
        dialogue.exits.clone_from(&self.exits);
        // The known failures of the interpreter.
        dialogue.exits.extend(child.iter().cloned());
        dialogue.stages.clone_from(&self.stages);
        let mut states = vec![START.to_owned()];
        if complete {
            states.extend((1..1_u32 << secrets.len().min(MOST_SECRETS)).map(|sent| state(&secrets, sent)));
        }
        for state in states {
            if !dialogue.stages.iter().any(|(known, _)| *known == state) {
                dialogue.stages.push((state, self.stage));
            }
        }
        dialogue
    }
}

/// Adds the rules that answer a prompt with the secret `name` once, whatever other secrets were sent before.
fn answered_once(rules: &mut Vec<Rule>, rule: &Rule, name: &str, secrets: &[&str]) {
    let bit = secrets.iter().position(|secret| *secret == name).map_or(0, |at| 1_u32 << at);
    for sent in 0..1_u32 << secrets.len().min(MOST_SECRETS) {
        let here = rule.clone().in_state(state(secrets, sent));
        rules.push(if sent & bit == 0 {
            here.then(state(secrets, sent | bit))
        } else {
            let failure = Failure::new(
                Stage::Authenticate,
                FailureKind::PasswordIncorrect,
                format!("the {name} was rejected: it is asked for again"),
            );
            Rule { action: Action::Fail(failure), ..here }
        });
    }
}

/// The state in which these secrets were sent, as bits.
fn state(secrets: &[&str], sent: u32) -> String {
    let names: Vec<&str> =
        secrets.iter().enumerate().filter(|(at, _)| sent & (1 << at) != 0).map(|(_, name)| *name).collect();
    if names.is_empty() { START.to_owned() } else { format!("sent {}", names.join(" and ")) }
}

fn missing(name: &str) -> Failure {
    Failure::new(
        Stage::Authenticate,
        FailureKind::PasswordRequired,
        format!("the {name} is asked for and not given"),
    )
    .with_hint(format!("set `{name}`"))
}

/// Runs `read` for every table of the array at `key`.
fn each(
    faults: &mut Faults,
    table: &Map<String, Value>,
    key: &str,
    mut read: impl FnMut(&mut Faults, &Map<String, Value>),
) {
    let Some(value) = table.get(key) else { return };
    faults.at(key, |faults| {
        let Value::Array(entries) = value else {
            expected(faults, "an array of tables", value, &format!("write [[transport.NAME.{key}]]"));
            return;
        };
        for (index, entry) in entries.iter().enumerate() {
            faults.at_index(index, |faults| match entry {
                Value::Object(entry) => read(faults, entry),
                other => expected(faults, "a table", other, &format!("write [[transport.NAME.{key}]]")),
            });
        }
    });
}

fn stages(faults: &mut Faults, table: &Map<String, Value>) -> Vec<(String, Stage)> {
    let Some(value) = table.get("stages") else { return Vec::new() };
    faults.at("stages", |faults| {
        let Value::Object(stages) = value else {
            expected(faults, "a table", value, "write stages = { STATE = \"authenticate\" }");
            return Vec::new();
        };
        stages.keys().filter_map(|state| Some((state.clone(), word(faults, stages, state)?))).collect()
    })
}

/// The pattern at `key`, if it is one.
fn pattern(faults: &mut Faults, entry: &Map<String, Value>, ignore_case: bool) -> Option<String> {
    let pattern = string(faults, entry, "pattern")?;
    let mut rule = Rule::new(Source::Any, Shown::Line, &pattern, Action::Pass);
    rule.ignore_case = ignore_case;
    if faults.checked {
        return Some(pattern);
    }
    if let Err(error) = (Dialogue { rules: vec![rule], ..Dialogue::default() }).check() {
        faults.at("pattern", |faults| {
            faults.report(format!("not a regular expression: {}", last_line(&error.reason)), "");
        });
    }
    Some(pattern)
}

/// The last line of a compiler's message says what is wrong; those before it draw the pattern.
fn last_line(reason: &str) -> &str {
    reason.lines().last().unwrap_or(reason).trim_start_matches("error: ")
}

fn rule(faults: &mut Faults, entry: &Map<String, Value>, specs: &[OptionSpec], stage: Stage) -> Option<Rule> {
    let ignore_case = boolean(faults, entry, "ignore_case").unwrap_or(false);
    let pattern = pattern(faults, entry, ignore_case);
    if !entry.contains_key("pattern") {
        faults.report("a rule needs a `pattern`", "write pattern = 'password: $'");
    }
    let source = word(faults, entry, "source").unwrap_or_default();
    let shown = word(faults, entry, "shown").unwrap_or(Shown::Partial);
    let actions: Vec<&str> =
        ["send", "send_secret", "fail", "pass"].into_iter().filter(|key| entry.contains_key(*key)).collect();
    let [action] = actions.as_slice() else {
        faults.report(
            "a rule does exactly one thing",
            "give it one of send, send_secret, fail and pass = true",
        );
        return None;
    };
    let action = match *action {
        "send" => Action::Send(string(faults, entry, "send")?),
        "send_secret" => {
            let name = string(faults, entry, "send_secret")?;
            if !specs.iter().any(|spec| spec.name == name && spec.is_secret()) {
                faults.at("send_secret", |faults| {
                    faults.report(format!("no option `{name}` of type secret"), "add it to `options`");
                });
            }
            Action::SendSecret(name)
        }
        "fail" => Action::Fail(failure(faults, entry, stage)?),
        _ => {
            if boolean(faults, entry, "pass") == Some(false) {
                faults.at("pass", |faults| faults.report("must be true", "leave it out"));
            }
            Action::Pass
        }
    };
    let mut rule = Rule::new(source, shown, pattern?, action);
    rule.ignore_case = ignore_case;
    rule.state = string(faults, entry, "state");
    rule.next = string(faults, entry, "next");
    Some(rule)
}

fn exit(faults: &mut Faults, entry: &Map<String, Value>, stage: Stage) -> Option<ExitRule> {
    let ignore_case = boolean(faults, entry, "ignore_case").unwrap_or(true);
    let pattern = pattern(faults, entry, ignore_case);
    let source = word(faults, entry, "source").unwrap_or_default();
    let status = match entry.get("status") {
        None => None,
        Some(value) => match value.as_i64().and_then(|status| i32::try_from(status).ok()) {
            Some(status) => Some(status),
            None => {
                faults.at("status", |faults| expected(faults, "an exit status", value, ""));
                None
            }
        },
    };
    if !entry.contains_key("fail") {
        faults.report("an exit needs `fail`", "write fail = { kind = \"eof\", message = \"...\" }");
    }
    if !entry.contains_key("pattern") && !entry.contains_key("status") {
        faults.report("an exit needs a `pattern` or a `status`", "");
    }
    let state = string(faults, entry, "state");
    let mut exit = ExitRule::new(failure(faults, entry, stage)?);
    (exit.state, exit.status, exit.source) = (state, status, source);
    (exit.pattern, exit.ignore_case) = (pattern, ignore_case);
    Some(exit)
}

/// The table `fail`.
fn failure(faults: &mut Faults, entry: &Map<String, Value>, stage: Stage) -> Option<Failure> {
    let value = entry.get("fail")?;
    faults.at("fail", |faults| {
        let Value::Object(fail) = value else {
            expected(
                faults,
                "a table",
                value,
                "write fail = { kind = \"not_permitted\", message = \"...\" }",
            );
            return None;
        };
        known_keys(faults, fail, FAILURE);
        let before = faults.found.len();
        let kind: Option<FailureKind> = word(faults, fail, "kind");
        let stage = word(faults, fail, "stage").unwrap_or(stage);
        let message = string(faults, fail, "message");
        let hint = string(faults, fail, "hint");
        let (Some(kind), Some(message)) = (kind, message) else {
            if faults.found.len() == before {
                faults.report("needs `kind` and `message`", "");
            }
            return None;
        };
        let mut failure = Failure::new(stage, kind, message);
        failure.hint = hint;
        Some(failure)
    })
}
