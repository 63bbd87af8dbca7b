//! The fork transport: a context as a copy of the Python context that it goes `via`, the fastest way to isolate calls
//! from each other.
//!
//! No program is started and nothing is sent, so the plan has no command line and no dialogue. The copy has every
//! module loaded that its parent has; changes in one do not affect the other.
//!
//! ```
//! use mitogen_core::connect::{ChildCommand, Start, Transport};
//! use mitogen_fork::{Fork, Options};
//!
//! # fn main() -> Result<(), mitogen_core::connect::OptionsError> {
//! let plan = Fork::new(Options::new())?.plan(&ChildCommand::new(["python3"]))?;
//! assert_eq!(plan.start, Start::Fork);
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use mitogen_core::connect::{
    ChildCommand, DEFAULT_CONNECT_TIMEOUT, OptionSpec, OptionsError, Plan, Start, Transport, TransportKind,
    parse_options,
};
use mitogen_core::dialogue::{Dialogue, START, Stage};
use serde::Deserialize;

const METHOD: &str = "fork";

/// Options of the fork transport.
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

/// The transport `fork` for profiles, with the specification of its option.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Fork::new(parse_options(METHOD, options)?))
        .with_option(OptionSpec::connect_timeout())
}

/// Starts contexts as copies of others.
#[derive(Clone, Debug, Default)]
pub struct Fork {
    options: Options,
}

impl Fork {
    /// A transport with these options.
    ///
    /// # Errors
    /// None today.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        Ok(Self { options })
    }
}

impl Transport for Fork {
    fn method(&self) -> &str {
        METHOD
    }

    fn plan(&self, _: &ChildCommand) -> Result<Plan, OptionsError> {
        let dialogue = Dialogue { stages: vec![(START.to_owned(), Stage::Handshake)], ..Dialogue::default() };
        Ok(Plan::new(METHOD, METHOD, Start::Fork)
            .with_timeout(self.options.connect_timeout)
            .with_dialogue(dialogue))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mitogen_core::connect::testing::check_transport;
    use serde_json::json;

    use super::*;

    #[test]
    fn plans_and_transcripts_are_as_recorded() {
        let child = ChildCommand::new(["python3"]);
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/transcripts/fork");
        let count = check_transport(&kind(), &child, &directory)
            .unwrap_or_else(|differences| panic!("{differences}"));
        assert!(count > 0);
    }

    #[test]
    fn the_plan_starts_no_program() {
        let fork = kind().create(json!({"connect_timeout": 5})).unwrap();
        let plan = fork.plan(&ChildCommand::new(["python3"])).unwrap();
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
