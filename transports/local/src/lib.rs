//! The local transport: a context as another process of the same host and user.
//!
//! The interpreter is started directly, so the dialogue has no prompts, only the failures of the interpreter.
//!
//! ```
//! use mitogen_core::connect::{ChildCommand, Transport};
//! use mitogen_local::{Local, Options};
//!
//! # fn main() -> Result<(), mitogen_core::connect::OptionsError> {
//! let plan = Local::new(Options::new())?.plan(&ChildCommand::new(["python3"]))?;
//! assert_eq!(plan.argv(), ["python3"]);
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use mitogen_core::connect::{
    ChildCommand, DEFAULT_CONNECT_TIMEOUT, OptionSpec, OptionsError, Plan, Spawn, Transport, TransportKind,
    parse_options,
};
use mitogen_core::dialogue::{Dialogue, START, Stage};
use serde::Deserialize;

const METHOD: &str = "local";

/// Options of the local transport.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Options {
    /// The limit for the whole connection. Default 30 s.
    #[serde(with = "mitogen_core::seconds")]
    pub connect_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { connect_timeout: DEFAULT_CONNECT_TIMEOUT }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limit for the whole connection.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

/// The transport `local` for profiles, with the specification of its option.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Local::new(parse_options(METHOD, options)?))
        .with_option(OptionSpec::connect_timeout())
}

/// Starts contexts as processes of the same host and user.
#[derive(Clone, Debug, Default)]
pub struct Local {
    options: Options,
}

impl Local {
    /// A transport with these options.
    ///
    /// # Errors
    /// None today.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        Ok(Self { options })
    }
}

impl Transport for Local {
    fn method(&self) -> &str {
        METHOD
    }

    /// The plan is named `local`; upstream Mitogen names such a context `local.<pid>`, which is not known here.
    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let dialogue = Dialogue {
            exits: child.exits.clone(),
            stages: vec![(START.to_owned(), Stage::Interpreter)],
            ..Dialogue::default()
        };
        Ok(Plan::new(METHOD, METHOD, Spawn::new(child.argv.clone()))
            .with_timeout(self.options.connect_timeout)
            .with_dialogue(dialogue))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mitogen_core::connect::testing::check_transport;
    use mitogen_python::interpreter_exits;
    use serde_json::json;

    use super::*;

    #[test]
    fn plans_and_transcripts_are_as_recorded() {
        let child = ChildCommand::new(["/bin/sh", "-c", "exec python3 -c 'x' \"$@\""])
            .with_exits(interpreter_exits());
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/transcripts/local");
        let count = check_transport(&kind(), &child, &directory)
            .unwrap_or_else(|differences| panic!("{differences}"));
        assert!(count > 0);
    }

    #[test]
    fn the_plan_is_the_child_command_itself() {
        let child = ChildCommand::new(["python3", "-S"]);
        let plan = kind().create(json!({"connect_timeout": 5})).unwrap().plan(&child).unwrap();
        assert_eq!(plan.start, Spawn::new(child.argv).into());
        assert_eq!(plan.timeout, Duration::from_secs(5));
        assert!(plan.dialogue.rules.is_empty());
        plan.dialogue.check().unwrap();
    }

    #[test]
    fn unknown_options_are_named() {
        let error = kind().create(json!({"hostname": "x"})).unwrap_err();
        assert_eq!(error.key.as_deref(), Some("hostname"));
    }
}
