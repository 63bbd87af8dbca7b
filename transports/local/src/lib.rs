//! The local transport: a context as another process of this machine and user.
//!
//! Nothing stands between us and the interpreter, so there is nothing to ask and no dialogue but
//! the interpreter's own.

mod options;

use std::collections::BTreeMap;

use mitogen_core::connect::{
    ChildCommand, OptionsError, Plan, Preamble, Stdio, Transport, TransportKind, parse_options,
};
use mitogen_core::dialogue::{Dialogue, START, Stage, interpreter_exits};

pub use options::Options;

/// The transport's name and how it is made from options.
pub const KIND: TransportKind =
    TransportKind { name: "local", options: options::NAMES, secrets: &[], from_options };

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
        Ok(Plan {
            name: KIND.name.to_owned(),
            method: KIND.name.to_owned(),
            argv: child.argv.clone(),
            env: BTreeMap::new(),
            stdio: Stdio::Socketpair,
            preamble: Preamble::Immediately,
            timeout: self.options.connect_timeout,
            dialogue: Dialogue {
                rules: Vec::new(),
                exits: interpreter_exits(),
                stages: vec![(START.to_owned(), Stage::Interpreter)],
            },
            secrets: BTreeMap::new(),
            is_context: true,
            destination: None,
            keepalive: None,
        })
    }
}

fn from_options(options: serde_json::Value) -> Result<Box<dyn Transport>, OptionsError> {
    Ok(Box::new(Local::new(parse_options(KIND.name, options)?)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mitogen_core::connect::rehearsal::rehearse;
    use serde_json::json;

    use super::*;

    #[test]
    fn plans_and_transcripts_are_as_recorded() {
        let child = ChildCommand {
            argv: ["/bin/sh", "-c", "exec python3 -c 'x' \"$@\""].map(str::to_owned).to_vec(),
        };
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/transcripts/local");
        let count = rehearse(&KIND, &child, &directory).unwrap_or_else(|complaints| panic!("{complaints}"));
        assert!(count > 0);
    }

    #[test]
    fn the_plan_is_the_child_command_itself() {
        let child = ChildCommand { argv: vec!["python3".into(), "-S".into()] };
        let plan = (KIND.from_options)(json!({"connect_timeout": 5})).unwrap().plan(&child).unwrap();
        assert_eq!(plan.argv, child.argv);
        assert_eq!(plan.stdio, Stdio::Socketpair);
        assert_eq!(plan.timeout, 5.0);
        assert!(plan.is_context && plan.env.is_empty() && plan.dialogue.rules.is_empty());
        plan.dialogue.check().unwrap();
    }

    #[test]
    fn unknown_options_are_named() {
        let error = (KIND.from_options)(json!({"hostname": "x"})).unwrap_err();
        assert_eq!(error.key.as_deref(), Some("hostname"));
    }
}
