//! The known failures of the command that starts a Python child, whatever the transport.

use mitogen_core::dialogue::{ExitRule, Failure, FailureKind, Source, Stage};

/// Login shells that run no commands, and hosts that do not want this account to run any.
fn no_commands() -> ExitRule {
    let failure =
        Failure::new(Stage::Shell, FailureKind::NotPermitted, "the account may not run commands on the host")
            .with_hint("its login shell is restricted or is no shell, or the host wants another user name");
    ExitRule::new(failure)
        .showing(
            Source::Any,
            r"^(This account is (currently )?not available|This account is restricted|This service allows sftp connections only|Sorry, (this|your) account|Please login as the user |fatal: (unrecognized command|Interactive git shell is not enabled)|.*does not (provide|allow|permit) (interactive )?(shell access|login)|(interactive |shell )?(login|logins) (is|are) (disabled|not (allowed|permitted))|[^ ]*sh: .*\brestricted(: .*)?$|.*command not allowed: )",
        )
        .quoting()
}

/// Exit rules for the messages of the first stage, and for shells and programs that cannot find or start the
/// interpreter. A transport appends them to its own rules.
pub fn interpreter_exits() -> Vec<ExitRule> {
    let no_interpreter =
        |message: &str| Failure::new(Stage::Interpreter, FailureKind::NoInterpreter, message);
    let python_hint = "install Python on the remote host, or set `python` to its path";
    vec![
        ExitRule::new(
            Failure::new(
                Stage::Interpreter,
                FailureKind::UnsupportedInterpreter,
                "unsupported Python version",
            )
            .with_hint("Python 2.7 or 3.6 and later is required; set `python` to such an interpreter"),
        )
        // With a number: tracebacks and shells repeat the command line, which contains the rest of this text.
        .showing(Source::Any, r"^mitogen: unsupported python \d"),
        ExitRule::new(no_interpreter("no Python found on the remote host").with_hint(python_hint))
            .showing(Source::Any, r"^mitogen: no python found \(tried \w"),
        no_commands(),
        ExitRule::new(
            no_interpreter("the interpreter was not found on the remote host").with_hint(python_hint),
        )
        // csh, sudo and doas report this with status 1; other shells use 127.
        .status(1)
        .showing(Source::Any, r"(^|: )(command )?not found\.?$"),
        ExitRule::new(
            no_interpreter("the interpreter was not found on the remote host").with_hint(python_hint),
        )
        .status(127),
        ExitRule::new(
            no_interpreter("the interpreter cannot be executed on the remote host")
                .with_hint("check its mode, and whether its file system is mounted noexec"),
        )
        .status(126),
    ]
}
