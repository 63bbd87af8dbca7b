//! What can be said about a fork context.

use serde::Deserialize;

/// Options of the fork transport.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Seconds until the context must be up. Default 30.
    pub connect_timeout: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { connect_timeout: 30.0 }
    }
}

/// Every option's name.
pub(crate) const NAMES: &[&str] = &["connect_timeout"];
