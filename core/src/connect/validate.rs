//! Checks plans before anything is started: plans come from transports, plugins and files.

use std::collections::BTreeSet;
use std::time::Duration;

use thiserror::Error;

use super::plan::{PLAN_VERSION, Plan, unknown_version};
use super::start::{Dial, Spawn, Start, Stdio};
use crate::dialogue::{Action, Dialogue, RUNNING, START, Source};

/// The longest time that a plan may name. Longer ones are mistakes in the unit.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The longest path of a unix socket, in bytes, on every supported system.
const SOCKET_PATH_MAX: usize = 103;

/// A plan that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
#[non_exhaustive]
pub struct PlanError {
    /// The field at fault, such as `start.spawn.argv[0]`.
    pub field: String,
    /// What is wrong with it. It never holds a secret.
    pub problem: String,
}

impl PlanError {
    fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

type Checked = Result<(), PlanError>;

impl Plan {
    /// Checks everything that can be known before the plan is carried out.
    ///
    /// # Errors
    /// The first field that cannot be right.
    pub fn validate(&self) -> Checked {
        if !(1..=PLAN_VERSION).contains(&self.version) {
            return Err(PlanError::new("version", unknown_version(self.version)));
        }
        word("name", &self.name)?;
        word("method", &self.method)?;
        time("timeout", self.timeout)?;
        if let Some(destination) = &self.destination {
            word("destination", destination)?;
        }
        if let Some(keepalive) = &self.keepalive {
            time("keepalive.interval", keepalive.interval)?;
            if keepalive.count == 0 {
                return Err(PlanError::new("keepalive.count", "must be at least 1"));
            }
        }
        match &self.start {
            Start::Spawn(spawn) => check_spawn(spawn)?,
            Start::Dial(dial) => check_dial(dial)?,
            Start::Fork => self.check_fork()?,
            Start::Opened => {}
        }
        for (name, secret) in &self.secrets {
            if secret.expose().contains(['\n', '\r', '\0']) {
                let problem = "a secret is sent as one line and cannot contain line ends or NULs";
                return Err(PlanError::new(format!("secrets.{name}"), problem));
            }
        }
        check_dialogue(&self.dialogue, self.has_stderr_channel())
    }

    /// Whether there is a second source of text besides the link.
    fn has_stderr_channel(&self) -> bool {
        self.spawn().is_some_and(|spawn| spawn.stdio != Stdio::Tty)
    }

    /// A copy asks nothing and leads nowhere else.
    fn check_fork(&self) -> Checked {
        let problem = "a plan that copies a context cannot have it";
        if !self.dialogue.rules.is_empty() {
            Err(PlanError::new("dialogue.rules", problem))
        } else if !self.secrets.is_empty() {
            Err(PlanError::new("secrets", problem))
        } else if self.destination.is_some() {
            Err(PlanError::new("destination", problem))
        } else {
            Ok(())
        }
    }
}

fn time(field: &str, value: Duration) -> Checked {
    if value.is_zero() {
        Err(PlanError::new(field, "must be longer than zero"))
    } else if value > LONGEST {
        Err(PlanError::new(field, format!("{} s is longer than a year", value.as_secs())))
    } else {
        Ok(())
    }
}

fn word(field: &str, value: &str) -> Checked {
    if value.is_empty() {
        Err(PlanError::new(field, "must not be empty"))
    } else if value.chars().any(char::is_control) {
        Err(PlanError::new(field, "must not contain control characters"))
    } else {
        Ok(())
    }
}

fn check_spawn(spawn: &Spawn) -> Checked {
    if spawn.argv.first().is_none_or(String::is_empty) {
        return Err(PlanError::new("start.spawn.argv", "names no program"));
    }
    if let Some(index) = spawn.argv.iter().position(|arg| arg.contains('\0')) {
        return Err(PlanError::new(format!("start.spawn.argv[{index}]"), "must not contain NULs"));
    }
    for (name, value) in &spawn.env {
        let problem = if name.is_empty() || name.contains(['=', '\0']) {
            "is not the name of an environment variable"
        } else if value.as_ref().is_some_and(|value| value.contains('\0')) {
            "must not contain NULs"
        } else {
            continue;
        };
        return Err(PlanError::new(format!("start.spawn.env.{}", name.escape_default()), problem));
    }
    Ok(())
}

fn check_dial(dial: &Dial) -> Checked {
    match dial {
        Dial::Tcp { host, port } => {
            word("start.dial.tcp.host", host)?;
            if host.contains(char::is_whitespace) || host.contains(['[', ']']) {
                let problem = format!("{host:?} is not a host name or an address without brackets");
                return Err(PlanError::new("start.dial.tcp.host", problem));
            }
            if *port == 0 {
                return Err(PlanError::new("start.dial.tcp.port", "must not be 0"));
            }
        }
        Dial::Unix { path } => {
            if path.is_empty() || path.contains('\0') {
                return Err(PlanError::new("start.dial.unix.path", "is not the path of a socket"));
            }
            if path.len() > SOCKET_PATH_MAX {
                let problem = format!("is longer than {SOCKET_PATH_MAX} bytes");
                return Err(PlanError::new("start.dial.unix.path", problem));
            }
        }
    }
    Ok(())
}

fn check_dialogue(dialogue: &Dialogue, has_stderr_channel: bool) -> Checked {
    dialogue.check().map_err(|error| PlanError::new("dialogue", error.to_string()))?;
    let states = declared(dialogue);
    let known = |field: String, state: Option<&str>| match state {
        Some(state) if !states.contains(state) => {
            Err(PlanError::new(field, format!("no rule leads to the state {state:?}, and it has no stage")))
        }
        _ => Ok(()),
    };
    for (index, rule) in dialogue.rules.iter().enumerate() {
        known(format!("dialogue.rules[{index}].state"), rule.state.as_deref())?;
        if rule.state.as_deref() == Some(RUNNING) {
            let problem = "rules do not apply once the interpreter runs";
            return Err(PlanError::new(format!("dialogue.rules[{index}].state"), problem));
        }
        if rule.source == Source::Diag && !has_stderr_channel {
            let problem = "the plan has no stderr channel, so the rule cannot match";
            return Err(PlanError::new(format!("dialogue.rules[{index}].source"), problem));
        }
        if let Action::SendSecret(name) = &rule.action
            && name.is_empty()
        {
            return Err(PlanError::new(format!("dialogue.rules[{index}].action"), "names no secret"));
        }
    }
    Ok(())
}

/// The states that a rule leads to or that have a stage. Transports share rules between plans with and
/// without a password, so a rule may name a state that this plan never reaches, but not an unknown one.
fn declared(dialogue: &Dialogue) -> BTreeSet<&str> {
    let next = dialogue.rules.iter().filter_map(|rule| rule.next.as_deref());
    let staged = dialogue.stages.iter().map(|(state, _)| state.as_str());
    [START, RUNNING].into_iter().chain(next).chain(staged).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dialogue::{ExitRule, Failure, FailureKind, Rule, Secret, Shown, Stage};
    use crate::router::Keepalive;

    fn plan() -> Plan {
        Plan::new("sudo.root", "sudo", Spawn::new(vec!["sudo".into(), "x".into()]))
    }

    fn rule(source: Source, pattern: &str) -> Rule {
        Rule::new(source, Shown::Line, pattern, Action::Pass)
    }

    fn fault(plan: &Plan) -> String {
        plan.validate().unwrap_err().to_string()
    }

    #[test]
    fn usable_plans_are_accepted() {
        plan().validate().unwrap();
        Plan::new("fork", "fork", Start::Fork).validate().unwrap();
        Plan::new("a", "tcp", Dial::Tcp { host: "fe80::1%eth0".into(), port: 7 }).validate().unwrap();
        Plan::new("a", "unix", Dial::Unix { path: "/run/x y".into() }).validate().unwrap();
        Plan::new("a", "ssh2", Start::Opened).validate().unwrap();
        let dialogue = Dialogue {
            rules: vec![
                rule(Source::Diag, "a").then("one"),
                rule(Source::Link, "b").in_state("one").then("two"),
            ],
            exits: vec![
                ExitRule::new(Failure::new(Stage::Shell, FailureKind::Eof, "ended")).in_state("two"),
                ExitRule::new(Failure::new(Stage::Shell, FailureKind::Eof, "ended")).in_state(RUNNING),
            ],
            stages: vec![(START.into(), Stage::Shell), ("two".into(), Stage::Shell)],
            own_status: None,
        };
        plan().with_dialogue(dialogue).validate().unwrap();
    }

    #[test]
    fn the_error_names_the_field() {
        let mut newer = plan();
        newer.version = 2;
        let spawn = |argv: &[&str]| {
            Plan::new("a", "b", Spawn::new(argv.iter().map(|arg| (*arg).to_owned()).collect()))
        };
        let env = |name: &str, value: Option<&str>| {
            let env = BTreeMap::from([(name.to_owned(), value.map(str::to_owned))]);
            Plan::new("a", "b", Spawn::new(vec!["x".into()]).with_env(env))
        };
        let tcp = |host: &str, port| Plan::new("a", "b", Dial::Tcp { host: host.into(), port });
        let unix = |path: String| Plan::new("a", "b", Dial::Unix { path });
        let rules = |rules: Vec<Rule>| plan().with_dialogue(Dialogue { rules, ..Dialogue::default() });
        let mut tty = rules(vec![rule(Source::Diag, "x")]);
        tty.start = Spawn::new(vec!["x".into()]).with_stdio(Stdio::Tty).into();
        let mut silent = plan();
        silent.keepalive = Some(Keepalive { interval: Duration::from_secs(1), count: 0 });
        let secret = [("password".to_owned(), Secret::new("two\nlines"))];
        for (plan, words) in [
            (newer, "version: the plan has version 2"),
            (Plan::new("", "b", Start::Fork), "name: must not be empty"),
            (Plan::new("a", "b\n", Start::Fork), "method: must not contain control characters"),
            (plan().with_timeout(Duration::ZERO), "timeout: must be longer than zero"),
            (plan().with_timeout(Duration::MAX), "timeout: 18446744073709551615 s is longer than a year"),
            (plan().with_destination(""), "destination: must not be empty"),
            (silent, "keepalive.count: must be at least 1"),
            (spawn(&[]), "start.spawn.argv: names no program"),
            (spawn(&[""]), "start.spawn.argv: names no program"),
            (spawn(&["a", "b\0"]), "start.spawn.argv[1]: must not contain NULs"),
            (env("A=B", None), "start.spawn.env.A=B: is not the name"),
            (env("A", Some("\0")), "start.spawn.env.A: must not contain NULs"),
            (tcp("", 1), "start.dial.tcp.host: must not be empty"),
            (tcp("[::1]", 1), "start.dial.tcp.host: \"[::1]\" is not a host name"),
            (tcp("::1", 0), "start.dial.tcp.port: must not be 0"),
            (unix(String::new()), "start.dial.unix.path: is not the path of a socket"),
            (unix("x".repeat(104)), "start.dial.unix.path: is longer than 103 bytes"),
            (Plan::new("a", "b", Start::Fork).with_destination("x"), "destination: a plan that copies"),
            (Plan::new("a", "b", Start::Fork).with_secrets(secret.clone()), "secrets: a plan that copies"),
            (plan().with_secrets(secret), "secrets.password: a secret is sent as one line"),
            (rules(vec![rule(Source::Link, "(")]), "dialogue: pattern \"(\" is not valid"),
            (rules(vec![rule(Source::Link, "x").in_state("lost")]), "dialogue.rules[0].state: no rule leads"),
            (rules(vec![rule(Source::Link, "x").in_state(RUNNING)]), "dialogue.rules[0].state: rules do not"),
            (tty, "dialogue.rules[0].source: the plan has no stderr channel"),
        ] {
            let text = fault(&plan);
            assert!(text.starts_with(words), "{text:?} does not start with {words:?}");
            assert!(!text.contains("lines"), "a secret is printed: {text}");
        }
    }
}
