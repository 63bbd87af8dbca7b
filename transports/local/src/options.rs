//! What can be said about a local context.

use mitogen_core::connect::OptionSpec;
use serde::Deserialize;

/// Options of the local transport.
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

/// The specification of every option.
pub(crate) fn specs() -> [OptionSpec; 1] {
    [OptionSpec::connect_timeout()]
}
