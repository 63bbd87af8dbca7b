//! What a transport is: a pure function from options and a child's command line to a plan.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use super::Plan;

/// The command line that starts the child where the transport leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildCommand {
    /// Program and arguments, unquoted; a transport that goes through a shell quotes them.
    pub argv: Vec<String>,
}

/// A way to start a context somewhere. Implementations hold their options and do no I/O.
pub trait Transport: fmt::Debug + Send + Sync {
    /// The transport's name, such as `ssh`.
    fn method(&self) -> &str;

    /// What to run and what may be said.
    ///
    /// # Errors
    /// Options that contradict each other or cannot be expressed.
    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError>;
}

/// Options that a transport cannot take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{method}: {message}")]
pub struct OptionsError {
    /// The transport.
    pub method: String,
    /// The option at fault, if it is one.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A transport that can be named in a profile.
#[derive(Clone, Copy, Debug)]
pub struct TransportKind {
    /// The name that profiles give as `method`.
    pub name: &'static str,
    /// Every option's name, for errors and completions.
    pub options: &'static [&'static str],
    /// The options whose values are secrets.
    pub secrets: &'static [&'static str],
    /// Reads options (a JSON object) and makes the transport.
    pub from_options: fn(serde_json::Value) -> Result<Box<dyn Transport>, OptionsError>,
}

/// Transports by name; a value, filled from above.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, TransportKind>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a transport, replacing one of the same name.
    pub fn add(&mut self, kind: TransportKind) {
        self.kinds.insert(kind.name, kind);
    }

    /// The transport called `name`.
    pub fn get(&self, name: &str) -> Option<&TransportKind> {
        self.kinds.get(name)
    }

    /// All transports, by name.
    pub fn iter(&self) -> impl Iterator<Item = &TransportKind> {
        self.kinds.values()
    }
}
