//! The fork transport: a context as a copy of the Python context that it goes `via`, the cheap way
//! to keep calls from each other.
//!
//! No program is started and nothing is sent, so the plan has no command line and no dialogue. The
//! copy has what its parent has loaded, and what it changes is its own.

mod options;

use mitogen_core::connect::{
    ChildCommand, OptionsError, Plan, Start, Transport, TransportKind, parse_options, seconds_option,
};
use mitogen_core::dialogue::{Dialogue, START, Stage};

pub use options::Options;

/// The transport as profiles know it: its options and their specifications.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Ok(Fork::new(parse_options(METHOD, options)?)))
        .with_options(options::specs())
}

/// The transport's name.
const METHOD: &str = "fork";
// Until plans are built in the new way.
struct Named {
    name: &'static str,
}
const KIND: Named = Named { name: "fork" };

/// Starts contexts as copies of others.
#[derive(Clone, Debug, Default)]
pub struct Fork {
    options: Options,
}

impl Fork {
    /// A transport with these options.
    pub fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Transport for Fork {
    fn method(&self) -> &str {
        KIND.name
    }

    fn plan(&self, _: &ChildCommand) -> Result<Plan, OptionsError> {
        let timeout = seconds_option(KIND.name, "connect_timeout", self.options.connect_timeout)?;
        Ok(Plan::new(KIND.name, KIND.name, Start::Fork).with_timeout(timeout).with_dialogue(Dialogue {
            rules: Vec::new(),
            exits: Vec::new(),
            stages: vec![(START.to_owned(), Stage::Handshake)],
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
        let child = ChildCommand::new(["python3"]);
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/transcripts/fork");
        let count = rehearse(&kind(), &child, &directory).unwrap_or_else(|complaints| panic!("{complaints}"));
        assert!(count > 0);
    }

    #[test]
    fn the_plan_starts_no_program() {
        let plan = kind()
            .create(json!({"connect_timeout": 5}))
            .and_then(|fork| fork.plan(&ChildCommand::new(["python3"])));
        let plan = plan.unwrap();
        assert!(plan.argv().is_empty() && plan.dialogue.rules.is_empty());
        assert_eq!((plan.start, plan.timeout), (Start::Fork, Duration::from_secs(5)));
        plan.dialogue.check().unwrap();
    }

    #[test]
    fn unknown_options_are_named() {
        let error = kind().create(json!({"hostname": "x"})).unwrap_err();
        assert_eq!(error.key.as_deref(), Some("hostname"));
    }
}
