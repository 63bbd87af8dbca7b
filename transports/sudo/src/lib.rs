//! The sudo transport: a context as another user of the machine where it is started.

mod arguments;
mod command;
mod dialogue;
mod options;
#[cfg(test)]
mod tests;

use mitogen_core::connect::{
    ChildCommand, OptionsError, Plan, Spawn, Stdio, Transport, TransportKind, parse_options, seconds_option,
};

pub use options::Options;
use options::Resolved;

/// The transport as profiles know it: its options and their specifications.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Sudo::new(&parse_options(METHOD, options)?))
        .with_options(options::specs())
}

/// The transport's name.
const METHOD: &str = "sudo";
// Until plans are built in the new way.
struct Named {
    name: &'static str,
}
const KIND: Named = Named { name: "sudo" };

/// Becomes another user by way of sudo.
#[derive(Clone, Debug)]
pub struct Sudo {
    options: Resolved,
}

impl Sudo {
    /// A transport with these options.
    ///
    /// # Errors
    /// `sudo_args` that are not understood, names that sudo would take for flags.
    pub fn new(options: &Options) -> Result<Self, OptionsError> {
        Ok(Self { options: options.resolve()? })
    }
}

impl Transport for Sudo {
    fn method(&self) -> &str {
        KIND.name
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let options = &self.options;
        let secrets =
            options.password.iter().map(|password| (dialogue::PASSWORD.to_owned(), password.clone()));
        let timeout = seconds_option(KIND.name, "connect_timeout", options.connect_timeout)?;
        let spawn = Spawn::new(command::argv(options, child)).with_stdio(
            if options.password.is_some() || options.tty { Stdio::HybridTty } else { Stdio::Socketpair },
        );
        Ok(Plan::new(format!("sudo.{}", options.username), KIND.name, spawn)
            .with_timeout(timeout)
            // sudo asks on its terminal; its standard input is never read before the interpreter runs.
            .with_dialogue(dialogue::dialogue(options.password.is_some()))
            .with_secrets(secrets))
    }
}
