//! What a new context needs to know about itself and its tree, as data.

use serde::{Deserialize, Serialize};

/// The configuration of a new context (docs/protocol.md, Configuration). Field names are those of
/// the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChildConfig {
    /// The context's id.
    pub context_id: u32,
    /// The ids of its ancestors: its parent first, the master's (0) last.
    pub parent_ids: Vec<u32>,
    /// The context's name, such as `ssh.web1`.
    pub name: String,
    /// Whether the context writes debug logs.
    pub debug: bool,
    /// Whether messages between siblings are refused (docs/protocol.md, Routing).
    pub unidirectional: bool,
    /// The largest payload that is accepted, in bytes.
    pub max_message_size: u64,
    /// The levels of the loggers root, `mitogen` and `mitogen.io`, in Python's numbers.
    pub log_levels: [i64; 3],
    /// The version of Mitogen whose protocol is spoken.
    pub version: (u32, u32, u32),
    /// Prefixes of module names that are fetched even when the context has them. When the list is
    /// not empty, no other modules are served.
    #[serde(default)]
    pub import_overrides: Vec<String>,
    /// Prefixes of module names that are never fetched.
    #[serde(default)]
    pub import_blocks: Vec<String>,
}

impl ChildConfig {
    /// A configuration with default settings: no debug logs, messages up to 128 MiB, log level
    /// WARNING.
    pub fn new(context_id: u32, parent_ids: Vec<u32>, name: impl Into<String>) -> Self {
        Self {
            context_id,
            parent_ids,
            name: name.into(),
            debug: false,
            unidirectional: false,
            max_message_size: 128 << 20,
            log_levels: [30, 30, 30],
            version: (0, 3, 54),
            import_overrides: Vec::new(),
            import_blocks: Vec::new(),
        }
    }
}
