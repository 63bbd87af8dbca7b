//! What doas asks and says.
//!
//! doas takes no prompt of ours, but speaks English everywhere and asks on its terminal, where
//! nobody else speaks before the password was taken.

use mitogen_core::dialogue::{
    Action, Dialogue, ExitRule, Failure, FailureKind, Rule, START, Shown, Source, Stage, interpreter_exits,
    literal,
};

use crate::options::Options;

pub(crate) fn dialogue(options: &Options) -> Dialogue {
    let prompt = |action| {
        let pattern = match &options.password_prompt {
            Some(text) => format!("{} ?$", literal(text.trim_end())),
            None => PROMPT.to_owned(),
        };
        Rule::new(Source::Any, Shown::Partial, pattern, action).any_case()
    };
    let rules = match options.password {
        Some(_) => vec![
            prompt(Action::SendSecret(PASSWORD.to_owned())).in_state(START).then(SENT),
            prompt(Action::Fail(incorrect())).in_state(SENT),
        ],
        None => vec![prompt(Action::Fail(required()))],
    };
    let mut exits: Vec<_> =
        options.incorrect_prompts.iter().map(|text| said(&literal(text), incorrect())).collect();
    exits.extend(known_words());
    exits.extend(interpreter_exits());
    exits.push(ExitRule::new(incorrect()).in_state(SENT).status(1));
    let stages = [START, SENT].map(|state| (state.to_owned(), Stage::Privilege)).to_vec();
    Dialogue { rules, exits, stages }
}

/// The name of the secret.
pub(crate) const PASSWORD: &str = "password";
const SENT: &str = "sent";

/// OpenBSD's and OpenDoas' `doas (user@host) password: `, and the
/// bare `Password:` of PAM.
const PROMPT: &str = r"^(doas \([^)]*\) )?password: ?$";

fn known_words() -> Vec<ExitRule> {
    vec![
        said(r"^doas: (authentication|authorization) (required|needed)", required()),
        said(
            r"^doas: .*(tty|terminal) (is )?(required|needed)",
            failure(FailureKind::TtyRequired, "doas insists on a terminal")
                .with_hint("with a `password` it is given one"),
        ),
        said(r"^doas: ((authentication|authorization) (failed|error)|.*incorrect password)", incorrect())
            .in_state(SENT),
        said(
            r"^doas: (authentication|authorization) (failed|error)",
            failure(FailureKind::AuthenticationFailed, "doas refused before a password was sent"),
        ),
        said(
            r"^doas: Operation not permitted",
            failure(FailureKind::NotPermitted, "doas has no rule that permits this")
                .with_hint("add one for the calling user, the new user and the interpreter to doas.conf"),
        ),
        said(
            r"^doas: (unknown user|no such user|.*user .* (unknown|not found))",
            failure(FailureKind::UnknownUser, "doas does not know the user to become")
                .with_hint("check `username`"),
        ),
        said(
            r"^doas: .*(account|password) .*(expired|locked)",
            failure(FailureKind::NotPermitted, "the account is locked or has expired"),
        ),
        said(
            r"^doas: (not installed setuid|doas is not enabled|.*is writable by group or other|.*is not owned by root|.*doas\.conf)",
            failure(FailureKind::NotPermitted, "doas is not set up on that machine")
                .with_hint("it needs the set-user-ID bit and a doas.conf that only root can write"),
        ),
        said(
            r"^doas: .*: (Permission denied|Exec format error|No such file or directory)$",
            Failure::new(Stage::Interpreter, FailureKind::NoInterpreter, "doas cannot start the interpreter")
                .with_hint("name one with the `python` option that the new user can execute"),
        ),
        said(
            r"^(usage: doas|doas: (invalid|unknown|unrecognized) option)",
            failure(FailureKind::BadOption, "doas does not take these options"),
        ),
    ]
}

fn required() -> Failure {
    failure(FailureKind::PasswordRequired, "doas wants a password and none is given")
        .with_hint("set `password`, or permit it with `nopass` in doas.conf")
}

fn incorrect() -> Failure {
    failure(FailureKind::PasswordIncorrect, "doas refused the password")
        .with_hint("doas wants the calling user's password, not the new user's")
}

fn said(pattern: &str, failure: Failure) -> ExitRule {
    ExitRule::new(failure).showing(Source::Any, pattern)
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure::new(Stage::Privilege, kind, message)
}
