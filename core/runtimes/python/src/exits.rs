//! The known failures of the command that starts a Python child, whatever the transport.

use mitogen_core::dialogue::{ExitRule, Failure, FailureKind, Source, Stage};

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
        .showing(Source::Any, "mitogen: unsupported python "),
        ExitRule::new(no_interpreter("no Python found on the remote host").with_hint(python_hint))
            .showing(Source::Any, "mitogen: no python found"),
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
