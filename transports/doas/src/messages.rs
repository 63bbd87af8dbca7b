//! The prompts and messages of doas.
//!
//! doas has no option for its prompt, but its messages are always in English. It asks on its terminal, where nothing
//! else is printed before the password was accepted.

use mitogen_become::{SENT, failure, message};
use mitogen_core::dialogue::{ExitRule, Failure, FailureKind, Stage};

/// `doas (user@host) password: ` of OpenBSD's doas and OpenDoas, and the plain `Password:` of PAM.
pub(crate) const PROMPT: &str = r"^(doas \([^)]*\) )?password: ?$";

/// The error messages of doas.
pub(crate) fn exits() -> Vec<ExitRule> {
    vec![
        message(r"^doas: (authentication|authorization) (required|needed)", required()),
        message(
            r"^doas: .*(tty|terminal) (is )?(required|needed)",
            failure(FailureKind::TtyRequired, "doas requires a terminal")
                .with_hint("set `password`: doas then gets a terminal"),
        ),
        message(r"^doas: ((authentication|authorization) (failed|error)|.*incorrect password)", incorrect())
            .in_state(SENT),
        message(
            r"^doas: (authentication|authorization) (failed|error)",
            failure(
                FailureKind::AuthenticationFailed,
                "doas: authentication failed before a password was sent",
            ),
        ),
        message(
            r"^doas: Operation not permitted",
            failure(FailureKind::NotPermitted, "no rule in doas.conf permits this")
                .with_hint("add one for the calling user, the new user and the interpreter"),
        ),
        message(
            r"^doas: (unknown user|no such user|.*user .* (unknown|not found))",
            failure(FailureKind::UnknownUser, "doas: unknown user").with_hint("check `username`"),
        ),
        message(
            r"^doas: .*(account|password) .*(expired|locked)",
            failure(FailureKind::NotPermitted, "the account is locked or has expired"),
        ),
        message(
            r"^doas: (not installed setuid|doas is not enabled|.*is writable by group or other|.*is not owned by root|.*doas\.conf)",
            failure(FailureKind::NotPermitted, "doas is not set up on the remote host")
                .with_hint("it requires the set-user-ID bit and a doas.conf that only root can write"),
        ),
        message(
            r"^doas: .*: (Permission denied|Exec format error|No such file or directory)$",
            Failure::new(Stage::Interpreter, FailureKind::NoInterpreter, "doas cannot start the interpreter")
                .with_hint("set `python` to one that the new user can execute"),
        ),
        message(
            r"^(usage: doas|doas: (invalid|unknown|unrecognized) option)",
            failure(FailureKind::BadOption, "doas rejected its options"),
        ),
    ]
}

/// A prompt, and no password is given.
pub(crate) fn required() -> Failure {
    failure(FailureKind::PasswordRequired, "doas requires a password and none is given")
        .with_hint("set `password`, or permit it with `nopass` in doas.conf")
}

/// The password was rejected.
pub(crate) fn incorrect() -> Failure {
    failure(FailureKind::PasswordIncorrect, "doas rejected the password")
        .with_hint("doas requires the calling user's password, not the new user's")
}
