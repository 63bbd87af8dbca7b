//! What the transports that become another user of the same host have in common: password prompts, plans, and the
//! options of those programs that choose their own prompt.
//!
//! A transport for such a program is a [`Tool`] and a command line:
//!
//! ```
//! use mitogen_become::{Options, Tool, failure, message};
//! use mitogen_core::connect::{ChildCommand, OptionsError, Plan, Spawn, Stdio, Transport, TransportKind};
//! use mitogen_core::dialogue::{ExitRule, Failure, FailureKind};
//!
//! const RUNAS: Tool = Tool {
//!     method: "runas",
//!     path_option: "runas_path",
//!     password_doc: "the new user's password",
//!     prompt: "^password: ?$",
//!     required: || failure(FailureKind::PasswordRequired, "runas requires a password"),
//!     incorrect: || failure(FailureKind::PasswordIncorrect, "runas rejected the password"),
//!     messages: Vec::new,
//! };
//!
//! #[derive(Debug)]
//! struct Runas(Options);
//!
//! impl Transport for Runas {
//!     fn method(&self) -> &str {
//!         RUNAS.method
//!     }
//!
//!     fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
//!         let mut argv = vec![RUNAS.program(&self.0).to_owned(), self.0.username.clone()];
//!         argv.extend(child.argv.iter().cloned());
//!         Ok(RUNAS.plan(&self.0, child, Spawn::new(argv).with_stdio(Stdio::HybridTty)))
//!     }
//! }
//!
//! let kind = RUNAS.kind(|options| Ok(Runas(options)));
//! assert!(kind.has_option("password_prompt"));
//! ```

mod dialogue;
mod options;
mod tool;

pub use dialogue::{
    PASSWORD, PasswordFailures, SENT, expired_rules, failure, message, plan, prompt_rules, stages,
};
pub use options::Options;
pub use tool::Tool;
