//! Password prompts, failures and plans.

use std::time::Duration;

use mitogen_core::connect::{Plan, Spawn};
use mitogen_core::dialogue::{
    Action, Dialogue, ExitRule, Failure, FailureKind, Rule, START, Secret, Shown, Source, Stage,
};

/// The name of the secret.
pub const PASSWORD: &str = "password";
/// The state after the password was sent.
pub const SENT: &str = "sent";

/// What is reported about the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordFailures {
    /// The program asks for one, and none is given.
    pub required: Failure,
    /// The program asks again, or rejects it.
    pub incorrect: Failure,
}

/// A failure to become the user.
pub fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure::new(Stage::Privilege, kind, message)
}

/// `failure`, when a program ends that has printed a line matching `pattern`, ignoring case.
pub fn message(pattern: &str, failure: Failure) -> ExitRule {
    ExitRule::new(failure).showing(Source::Any, pattern)
}

/// Rules for the prompt that matches `pattern`: the password is sent once, and a second prompt means that it was
/// rejected. Without a password the prompt is a failure.
pub fn prompt_rules(
    pattern: &str,
    ignore_case: bool,
    has_password: bool,
    failures: &PasswordFailures,
) -> Vec<Rule> {
    let prompt = |action| {
        let rule = Rule::new(Source::Any, Shown::Partial, pattern, action);
        if ignore_case { rule.any_case() } else { rule }
    };
    if has_password {
        vec![
            prompt(Action::SendSecret(PASSWORD.to_owned())).in_state(START).then(SENT),
            prompt(Action::Fail(failures.incorrect.clone())).in_state(SENT),
        ]
    } else {
        vec![prompt(Action::Fail(failures.required.clone()))]
    }
}

/// Rules for an account whose password must be changed before it can be used. They come before the prompts: PAM then
/// asks for the old and a new password.
pub fn expired_rules() -> Vec<Rule> {
    let expired = failure(FailureKind::NotPermitted, "the password has expired and must be changed")
        .with_hint("log in as that user by hand once and change it");
    vec![Rule::new(Source::Any, Shown::Line, EXPIRED, Action::Fail(expired)).any_case()]
}

/// What PAM prints of an expired password.
const EXPIRED: &str = "^([^:]+: )?(You are required to change your password|(WARNING: )?Your password has expired|Password change required|Changing password for |Account or password is expired|Authentication token is no longer valid)";

/// The stages of a dialogue with such a program.
pub fn stages() -> Vec<(String, Stage)> {
    [START, SENT].map(|state| (state.to_owned(), Stage::Privilege)).to_vec()
}

/// A plan named `METHOD.USERNAME`, with the password as its secret.
pub fn plan(
    method: &str,
    username: &str,
    password: Option<&Secret>,
    timeout: Duration,
    spawn: Spawn,
    dialogue: Dialogue,
) -> Plan {
    Plan::new(format!("{method}.{username}"), method, spawn)
        .with_timeout(timeout)
        .with_dialogue(dialogue)
        .with_secrets(password.map(|password| (PASSWORD.to_owned(), password.clone())))
}
