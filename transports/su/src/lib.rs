//! The su transport: a context as another user of the machine where it is started.

mod command;
mod dialogue;
mod options;
#[cfg(test)]
mod tests;

use mitogen_core::connect::{
    ChildCommand, OptionsError, Plan, Preamble, Spawn, Stdio, Transport, TransportKind, parse_options,
    seconds_option,
};

pub use options::Options;

/// The transport as profiles know it: its options and their specifications.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Su::new(parse_options(METHOD, options)?))
        .with_options(options::specs())
}

/// The transport's name.
const METHOD: &str = "su";
// Until plans are built in the new way.
struct Named {
    name: &'static str,
}
const KIND: Named = Named { name: "su" };

/// Becomes another user by way of su.
#[derive(Clone, Debug)]
pub struct Su {
    options: Options,
}

impl Su {
    /// A transport with these options.
    ///
    /// # Errors
    /// Names that su would take for flags, empty patterns.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        options.check()?;
        Ok(Self { options })
    }
}

impl Transport for Su {
    fn method(&self) -> &str {
        KIND.name
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let options = &self.options;
        let secrets =
            options.password.iter().map(|password| (dialogue::PASSWORD.to_owned(), password.clone()));
        let timeout = seconds_option(KIND.name, "connect_timeout", options.connect_timeout)?;
        let spawn = Spawn::new(command::argv(options, child))
            .with_env(command::environment())
            .with_stdio(if options.password.is_some() { Stdio::Tty } else { Stdio::Socketpair });
        Ok(Plan::new(format!("su.{}", options.username), KIND.name, spawn)
            .with_timeout(timeout)
            // su reads passwords from its standard input: a preamble that lies there already would be
            // taken for one.
            .with_preamble(Preamble::AfterMarker)
            .with_dialogue(dialogue::dialogue(options))
            .with_secrets(secrets))
    }
}
