//! The sudo transport: a context as another user of the host where it is started.
//!
//! ```
//! use mitogen_core::connect::{ChildCommand, Transport};
//! use mitogen_sudo::{Options, Sudo};
//!
//! # fn main() -> Result<(), mitogen_core::connect::OptionsError> {
//! let sudo = Sudo::new(Options::new().username("web").set_home(true))?;
//! let plan = sudo.plan(&ChildCommand::new(["python3"]))?;
//! assert!(plan.argv().ends_with(&["-u", "web", "-n", "-H", "--", "python3"].map(str::to_owned)));
//! # Ok(())
//! # }
//! ```

mod arguments;
mod command;
mod dialogue;
mod options;
#[cfg(test)]
mod tests;

use mitogen_core::connect::{
    ChildCommand, OptionsError, Plan, Spawn, Stdio, Transport, TransportKind, parse_options,
};

use options::METHOD;
pub use options::Options;
use options::Resolved;

/// The transport `sudo` for profiles, with the specifications of its options.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Sudo::new(parse_options(METHOD, options)?))
        .with_options(options::specs())
}

/// Becomes another user with sudo.
#[derive(Clone, Debug)]
pub struct Sudo {
    options: Resolved,
}

impl Sudo {
    /// A transport with these options.
    ///
    /// # Errors
    /// `sudo_args` that are not supported, values that sudo would take for flags.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        Ok(Self { options: options.resolve()? })
    }
}

impl Transport for Sudo {
    fn method(&self) -> &str {
        METHOD
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let Resolved { username, password, tty, connect_timeout, .. } = &self.options;
        // sudo asks on its terminal and never reads its standard input, so the preamble can be sent at once.
        let stdio = if password.is_some() || *tty { Stdio::HybridTty } else { Stdio::Socketpair };
        let spawn = Spawn::new(command::argv(&self.options, child)).with_stdio(stdio);
        let dialogue = dialogue::dialogue(&self.options, child);
        Ok(mitogen_become::plan(METHOD, username, password.as_ref(), *connect_timeout, spawn, dialogue))
    }
}
