//! The ssh transport: a context on another host, by way of OpenSSH's client.

mod command;
mod dialogue;
mod options;
#[cfg(test)]
mod tests;

use std::time::Duration;

use mitogen_core::connect::{
    ChildCommand, Keepalive, OptionsError, Plan, Spawn, Stdio, Transport, TransportKind, parse_options,
    seconds_option,
};

pub use options::{CheckHostKeys, Options};

/// The transport as profiles know it: its options and their specifications.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Ssh::new(parse_options(METHOD, options)?))
        .with_options(options::specs())
}

/// The transport's name.
const METHOD: &str = "ssh";
// Until plans are built in the new way.
struct Named {
    name: &'static str,
}
const KIND: Named = Named { name: "ssh" };

/// Reaches a host by way of ssh.
#[derive(Clone, Debug)]
pub struct Ssh {
    options: Options,
}

impl Ssh {
    /// A transport with these options.
    ///
    /// # Errors
    /// Names that ssh would take for flags, numbers out of range, options that need others.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        options.check()?;
        Ok(Self { options })
    }
}

impl Transport for Ssh {
    fn method(&self) -> &str {
        KIND.name
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let options = &self.options;
        let name = match options.port {
            None | Some(SSH_PORT) => format!("ssh.{}", options.hostname),
            Some(port) => format!("ssh.{}:{port}", options.hostname),
        };
        let secrets = [(dialogue::PASSWORD, &options.password), (dialogue::PASSPHRASE, &options.passphrase)]
            .into_iter()
            .filter_map(|(name, secret)| Some((name.to_owned(), secret.clone()?)));
        let keepalive = options.keepalive_enabled.then(|| Keepalive {
            interval: Duration::from_secs(options.keepalive_interval.into()),
            count: options.keepalive_count,
        });
        let timeout = seconds_option(KIND.name, "connect_timeout", options.connect_timeout)?;
        let spawn = Spawn::new(command::argv(options, child))
            .with_env(command::environment())
            .with_stdio(if options.may_ask() { Stdio::HybridTty } else { Stdio::Socketpair });
        Ok(Plan::new(name, KIND.name, spawn)
            .with_timeout(timeout)
            // ssh asks on its terminal; its standard input is for the far side alone.
            .with_dialogue(dialogue::dialogue(options))
            .with_secrets(secrets)
            .with_destination(format!("{}:{}", options.hostname, options.port.unwrap_or(SSH_PORT)))
            .with_keepalive(keepalive))
    }
}

/// The port that needs no mention.
const SSH_PORT: u16 = 22;
