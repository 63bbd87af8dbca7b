//! Whole profile files: the errors in them, and the chains made from them.

mod chains;
mod errors;
mod plugins;
mod templates;

use mitogen_core::connect::{
    ChildCommand, OptionKind, OptionSpec, OptionsError, Plan, Registry, Transport, TransportKind,
};
use serde_json::Value as Json;

use super::*;
use crate::profiles::{Diagnostics, ProfileFile};

/// Test transports with the options that the tests need.
pub(super) fn registry() -> Registry {
    [
        kind("local", &["connect_timeout"]),
        kind(
            "ssh",
            &["hostname", "username", "port", "compression", "ssh_args", "password", "connect_timeout"],
        ),
        kind("sudo", &["username", "password", "sudo_args"]),
        kind("docker", &["container", "username"]),
    ]
    .into_iter()
    .collect()
}

/// The built-in transports.
pub(super) fn builtin() -> Registry {
    [
        mitogen_local::kind(),
        mitogen_fork::kind(),
        mitogen_ssh::kind(),
        mitogen_sudo::kind(),
        mitogen_su::kind(),
        mitogen_doas::kind(),
    ]
    .into_iter()
    .collect()
}

fn kind(name: &str, options: &[&str]) -> TransportKind {
    let spec = |&option: &&str| {
        let kind = match option {
            "password" => OptionKind::Secret,
            "port" => OptionKind::Integer { min: 1, max: 65535 },
            "compression" => OptionKind::Boolean,
            "ssh_args" | "sudo_args" => OptionKind::StringArray,
            "connect_timeout" => OptionKind::Seconds,
            _ => OptionKind::String,
        };
        OptionSpec::new(option, kind, "")
    };
    TransportKind::new(name, read).with_options(options.iter().map(spec))
}

#[derive(Debug)]
struct Nowhere;

impl Transport for Nowhere {
    fn method(&self) -> &str {
        "nowhere"
    }

    fn plan(&self, _: &ChildCommand) -> Result<Plan, OptionsError> {
        Err(wrong("method", "cannot connect"))
    }
}

fn wrong(key: &str, message: &str) -> OptionsError {
    OptionsError::in_option("test", key, message)
}

// The registry determines the signature.
#[allow(clippy::needless_pass_by_value)]
fn read(options: Json) -> Result<Nowhere, OptionsError> {
    if options.get("ssh_args").is_some() && options.get("username").is_none() {
        return Err(wrong("username", "ssh_args need a username"));
    }
    Ok(Nowhere)
}

pub(super) fn parse(text: &str) -> Result<Inventory, Diagnostics> {
    Inventory::parse(&ProfileFile::from_text("m.toml", text), &registry())
}
