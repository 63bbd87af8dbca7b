//! A plan in words, for people who want to see what will run where before it does.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Dial, HANDSHAKES_PER_DESTINATION, Plan, Preamble, Start, Stdio};
use crate::dialogue::{Action, Dialogue, ExitRule, Failure, MASK, Rule, Shown, Source, quote, quote_argv};

impl Plan {
    /// The plan in words, several lines, each ended. Secrets are masked; the command line is quoted
    /// for a shell.
    pub fn describe(&self) -> String {
        let mut text = format!("{} (by {})\n", self.name, self.method);
        let mut item = |label: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {label:<13} {value}");
        };
        match &self.start {
            Start::Spawn(spawn) => {
                item("command", &quote_argv(&spawn.argv));
                item("stdio", stdio(spawn.stdio));
            }
            Start::Fork => item("fork", "a copy of the context before it, on a socket pair"),
            Start::Dial(Dial::Tcp { host, port }) => item("connect", &format!("TCP, {host} port {port}")),
            Start::Dial(Dial::Unix { path }) => item("connect", &format!("unix socket {}", quote(path))),
            Start::Opened => item("stream", "opened by this process"),
        }
        if self.start != Start::Fork {
            item("bootstrap", preamble(self.preamble));
        }
        item("timeout", &format!("{} s", self.timeout.as_secs_f64()));
        for (name, value) in self.spawn().iter().flat_map(|spawn| &spawn.env) {
            match value {
                Some(value) => item("environment", &format!("{name}={}", quote(value))),
                None => item("environment", &format!("{name} removed")),
            }
        }
        for name in self.secrets.keys() {
            item("secret", &format!("{name} = {MASK}"));
        }
        if let Some(destination) = &self.destination {
            item(
                "concurrency",
                &format!("at most {HANDSHAKES_PER_DESTINATION} handshakes with {destination}"),
            );
        }
        if let Some(keepalive) = &self.keepalive {
            let bound = keepalive.detection_time().as_secs_f64();
            item("keep-alive", &format!("lost when silent, noticed within {bound} s"));
        }
        for rule in &self.dialogue.rules {
            item("rule", &rule_words(&self.dialogue, rule));
        }
        for failure in ends(&self.dialogue.exits) {
            item("known failure", &failure.message);
        }
        text
    }
}

fn stdio(stdio: Stdio) -> &'static str {
    match stdio {
        Stdio::Socketpair => "socket pair for input and output, pipe for errors",
        Stdio::Pipes => "pipes for input, output and errors",
        Stdio::Tty => "terminal for input, output and errors",
        Stdio::HybridTty => "socket pair for input and output, terminal for errors and prompts",
    }
}

fn preamble(preamble: Preamble) -> &'static str {
    match preamble {
        Preamble::Immediately => "sent at once",
        Preamble::AfterMarker => "sent when the interpreter runs",
    }
}

fn rule_words(dialogue: &Dialogue, rule: &Rule) -> String {
    let mut text = String::new();
    if let Some(state) = &rule.state {
        let _ = write!(text, "in state {state}: ");
    }
    let shown = match rule.shown {
        Shown::Line => "a line",
        Shown::Partial => "an unfinished line",
    };
    let _ = write!(
        text,
        "{shown} from {} with {}: ",
        source(rule.source),
        pattern(&rule.pattern, rule.ignore_case)
    );
    match &rule.action {
        Action::Send(bytes) => {
            let _ = write!(text, "send {bytes:?}");
        }
        Action::SendSecret(name) => {
            let _ = write!(text, "send the secret {name}");
        }
        Action::Fail(failure) => text.push_str(&failure_words(failure)),
        Action::Pass => text.push_str("let it pass"),
    }
    if let Some(next) = &rule.next {
        let _ = write!(text, ", then state {next} ({})", dialogue.stage_of(next).doing());
    }
    text
}

/// The distinct failures that an early end can mean. How each is recognised fills pages and is in
/// the plan's JSON form.
fn ends(exits: &[ExitRule]) -> Vec<&Failure> {
    let mut seen = BTreeSet::new();
    exits.iter().map(|exit| &exit.failure).filter(|failure| seen.insert(&failure.message)).collect()
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Link => "the link",
        Source::Diag => "the side channel",
        Source::Any => "either source",
    }
}

fn pattern(pattern: &str, ignore_case: bool) -> String {
    format!("/{pattern}/{}", if ignore_case { "i" } else { "" })
}

fn failure_words(failure: &Failure) -> String {
    format!("fail with \"{}\"", failure.message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Spawn;
    use super::*;
    use crate::dialogue::{FailureKind, Secret, Stage};

    #[test]
    fn it_shows_everything_but_the_secret() {
        let refused =
            Failure::new(Stage::Authenticate, FailureKind::PasswordIncorrect, "the password was refused");
        let spawn = Spawn::new(vec!["su".into(), "-c".into(), "echo it's".into()])
            .with_env(BTreeMap::from([("DISPLAY".into(), None), ("LANGUAGE".into(), Some("en US".into()))]))
            .with_stdio(Stdio::Tty);
        let plan = Plan::new("su.root", "su", spawn)
            .with_preamble(Preamble::AfterMarker)
            .with_dialogue(Dialogue {
                rules: vec![
                    Rule::new(
                        Source::Link,
                        Shown::Partial,
                        "assword: $",
                        Action::SendSecret("password".into()),
                    )
                    .in_state("start")
                    .any_case()
                    .then("sent"),
                ],
                exits: vec![
                    ExitRule::new(refused.clone()).in_state("sent").status(1).showing(Source::Link, "sorry"),
                    ExitRule::new(refused),
                    ExitRule::new(Failure::new(Stage::Privilege, FailureKind::NotPermitted, "not for you")),
                ],
                stages: vec![("sent".into(), Stage::Authenticate)],
                own_status: None,
            })
            .with_secrets([("password".to_owned(), Secret::new("hunter2"))])
            .with_destination("web1:22");
        let text = plan.describe();
        let expected = r#"su.root (by su)
  command       su -c 'echo it'\''s'
  stdio         terminal for input, output and errors
  bootstrap     sent when the interpreter runs
  timeout       30 s
  environment   DISPLAY removed
  environment   LANGUAGE='en US'
  secret        password = ********
  concurrency   at most 8 handshakes with web1:22
  rule          in state start: an unfinished line from the link with /assword: $/i: send the secret password, then state sent (authenticating)
  known failure the password was refused
  known failure not for you
"#;
        assert_eq!(text, expected);
        assert!(!format!("{plan:?}{text}").contains("hunter2"));
    }
}
