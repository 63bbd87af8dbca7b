//! Ends that mean the same behind every transport: the far side has no interpreter for us.

use super::{ExitRule, Failure, FailureKind, Source, Stage};

/// Exit rules for the first stage's own complaints and for shells and tools that cannot find or
/// start what they were told to run. Transports put them behind their own rules.
pub fn interpreter_exits() -> Vec<ExitRule> {
    let no_interpreter =
        |message: &str| Failure::new(Stage::Interpreter, FailureKind::NoInterpreter, message);
    let python_hint = "install Python there, or name it with the `python` option";
    vec![
        ExitRule::new(
            Failure::new(
                Stage::Interpreter,
                FailureKind::UnsupportedInterpreter,
                "the Python found there is too old or too odd",
            )
            .with_hint("Python 2.7 or 3.6 and later is needed; name one with the `python` option"),
        )
        .showing(Source::Any, "mitogen: unsupported python "),
        ExitRule::new(no_interpreter("no Python was found there").with_hint(python_hint))
            .showing(Source::Any, "mitogen: no python found"),
        ExitRule::new(no_interpreter("the interpreter was not found there").with_hint(python_hint))
            // Of the shells, csh alone does not use 127; sudo and doas do not either.
            .status(1)
            .showing(Source::Any, r"(^|: )(command )?not found\.?$"),
        ExitRule::new(no_interpreter("the interpreter was not found there").with_hint(python_hint))
            .status(127),
        ExitRule::new(
            no_interpreter("the interpreter cannot be executed there")
                .with_hint("check its mode and whether its file system is mounted noexec"),
        )
        .status(126),
    ]
}
