//! The ssh transport: a context on another host, with OpenSSH's client.
//!
//! ```
//! use std::time::Duration;
//!
//! use mitogen_core::connect::{ChildCommand, Transport};
//! use mitogen_ssh::{CheckHostKeys, Options, Ssh};
//!
//! # fn main() -> Result<(), mitogen_core::connect::OptionsError> {
//! let options = Options::new("web01.example.org")
//!     .username("deploy")
//!     .check_host_keys(CheckHostKeys::Accept)
//!     .connect_timeout(Duration::from_secs(10));
//! let plan = Ssh::new(options)?.plan(&ChildCommand::new(["python3"]))?;
//! assert_eq!(plan.name, "ssh.web01.example.org");
//! # Ok(())
//! # }
//! ```

mod command;
mod dialogue;
mod options;
#[cfg(test)]
mod tests;

use mitogen_core::connect::{
    ChildCommand, Keepalive, OptionsError, Plan, Spawn, Stdio, Transport, TransportKind, parse_options,
};

pub use dialogue::account_exits;
use options::METHOD;
pub use options::{CheckHostKeys, Options};

/// The port that is not part of a context's name.
const DEFAULT_PORT: u16 = 22;

/// The transport `ssh` for profiles, with the specifications of its options.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Ssh::new(parse_options(METHOD, options)?))
        .with_options(options::specs())
}

/// Connects to a host with ssh.
#[derive(Clone, Debug)]
pub struct Ssh {
    options: Options,
}

impl Ssh {
    /// A transport with these options.
    ///
    /// # Errors
    /// Values that ssh would take for flags, numbers out of range, options that require others.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        options.check()?;
        Ok(Self { options })
    }
}

impl Transport for Ssh {
    fn method(&self) -> &str {
        METHOD
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let options = &self.options;
        let name = match options.port {
            None | Some(DEFAULT_PORT) => format!("ssh.{}", options.hostname),
            Some(port) => format!("ssh.{}:{port}", options.hostname),
        };
        let secrets = [(dialogue::PASSWORD, &options.password), (dialogue::PASSPHRASE, &options.passphrase)]
            .into_iter()
            .filter_map(|(name, secret)| Some((name.to_owned(), secret.clone()?)));
        let keepalive = options
            .keepalive_enabled
            .then_some(Keepalive { interval: options.keepalive_interval, count: options.keepalive_count });
        // ssh prompts on its terminal and passes its standard input to the remote side only, so the preamble can be
        // sent at once.
        let spawn = Spawn::new(command::argv(options, child))
            .with_env(command::environment())
            .with_stdio(if options.may_ask() { Stdio::HybridTty } else { Stdio::Socketpair });
        Ok(Plan::new(name, METHOD, spawn)
            .with_timeout(options.connect_timeout)
            .with_dialogue(dialogue::dialogue(options, child))
            .with_secrets(secrets)
            .with_destination(format!("{}:{}", options.hostname, options.port.unwrap_or(DEFAULT_PORT)))
            .with_keepalive(keepalive))
    }
}
