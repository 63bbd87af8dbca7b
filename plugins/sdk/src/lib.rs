//! Writing a transport as a shared object.
//!
//! A plugin is a crate of type `cdylib` with a [`Transport`] as any other, the [`TransportKind`] that makes it from options,
//! and one line:
//!
//! ```no_run
//! use mitogen_plugin_sdk::{
//!     ChildCommand, OptionKind, OptionSpec, OptionsError, Plan, Spawn, Transport, TransportKind,
//! };
//!
//! #[derive(Debug)]
//! struct Nice {
//!     adjustment: i64,
//! }
//!
//! impl Transport for Nice {
//!     fn method(&self) -> &str {
//!         "nice"
//!     }
//!
//!     fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
//!         let mut argv = vec!["nice".to_owned(), format!("--adjustment={}", self.adjustment)];
//!         argv.extend(child.argv.iter().cloned());
//!         Ok(Plan::new("nice", "nice", Spawn::new(argv)))
//!     }
//! }
//!
//! fn kind() -> TransportKind {
//!     TransportKind::new("nice", |options: mitogen_plugin_sdk::Value| {
//!         Ok(Nice { adjustment: options["adjustment"].as_i64().unwrap_or(10) })
//!     })
//!     .with_option(OptionSpec::new("adjustment", OptionKind::Integer { min: 0, max: 19 }, "the change"))
//! }
//!
//! mitogen_plugin_sdk::plugin!(kind);
//! # fn main() {}
//! ```
//!
//! A plugin never sees a secret: an option of this type has asterisks as its value, and the host fills in what the dialogue
//! sends. A panic is caught at the boundary, and the host does not call the plugin again.

mod answer;
#[doc(hidden)]
pub mod glue;
mod schema;

pub use mitogen_core::connect::{
    ChildCommand, Dial, Keepalive, OptionKind, OptionSpec, OptionsError, Plan, Preamble, Spawn, Start, Stdio,
    Transport, TransportKind, check_word, parse_options,
};
pub use mitogen_core::dialogue;
pub use serde_json::Value;

#[doc(hidden)]
pub use mitogen_plugin_abi as abi;

pub use answer::answer;
pub use schema::schema;

/// Exports the transport that a function returns, such as `fn kind() -> TransportKind`.
#[macro_export]
macro_rules! plugin {
    ($kind:path) => {
        $crate::__export!($kind);
    };
}
