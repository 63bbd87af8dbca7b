//! The local transport: a context as another process of this machine and user.
//!
//! Nothing stands between us and the interpreter, so there is nothing to ask and no dialogue but
//! the interpreter's own.

mod options;

use mitogen_core::connect::{
    ChildCommand, OptionsError, Plan, Spawn, Transport, TransportKind, parse_options, seconds_option,
};
use mitogen_core::dialogue::{Dialogue, START, Stage, interpreter_exits};

pub use options::Options;

/// The transport as profiles know it: its options and their specifications.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Ok(Local::new(parse_options(METHOD, options)?)))
        .with_options(options::specs())
}

/// The transport's name.
const METHOD: &str = "local";
// Until plans are built in the new way.
struct Named {
    name: &'static str,
}
const KIND: Named = Named { name: "local" };

/// Starts contexts on this machine.
#[derive(Clone, Debug)]
pub struct Local {
    options: Options,
}

impl Local {
    /// A transport with these options.
    pub fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Transport for Local {
    fn method(&self) -> &str {
        KIND.name
    }

    /// The plan is named `local`; stock names such a context `local.<pid>`, which only the driver
    /// can know.
    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let timeout = seconds_option(KIND.name, "connect_timeout", self.options.connect_timeout)?;
        let spawn = Spawn::new(child.argv.clone());
        Ok(Plan::new(KIND.name, KIND.name, spawn).with_timeout(timeout).with_dialogue(Dialogue {
            rules: Vec::new(),
            exits: interpreter_exits(),
            stages: vec![(START.to_owned(), Stage::Interpreter)],
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use mitogen_core::connect::rehearsal::rehearse;
    use serde_json::json;

    use super::*;

    #[test]
    fn plans_and_transcripts_are_as_recorded() {
        let child = ChildCommand::new(["/bin/sh", "-c", "exec python3 -c 'x' \"$@\""])
            .with_exits(interpreter_exits());
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/transcripts/local");
        let count = rehearse(&kind(), &child, &directory).unwrap_or_else(|complaints| panic!("{complaints}"));
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
