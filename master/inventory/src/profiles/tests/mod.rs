//! Whole profile files: their faults, and the chains that they make.

mod chains;
mod faults;

use mitogen_core::connect::{ChildCommand, OptionsError, Plan, Registry, Transport, TransportKind};
use serde_json::Value as Json;

use super::*;
use crate::profiles::{Diagnostics, Source};

/// Transports of our own, because the real ones come and go above and below us.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add(kind("local", &["connect_timeout"], &[]));
    registry.add(kind(
        "ssh",
        &["hostname", "username", "port", "compression", "ssh_args", "password", "connect_timeout"],
        &["password"],
    ));
    registry.add(kind("sudo", &["username", "password", "sudo_args"], &["password"]));
    registry.add(kind("docker", &["container", "username"], &[]));
    registry
}

/// The transports that the command has.
pub(super) fn builtin() -> Registry {
    let mut registry = Registry::new();
    for kind in [
        mitogen_local::KIND,
        mitogen_fork::KIND,
        mitogen_ssh::KIND,
        mitogen_sudo::KIND,
        mitogen_su::KIND,
        mitogen_doas::KIND,
    ] {
        registry.add(kind);
    }
    registry
}

fn kind(
    name: &'static str,
    options: &'static [&'static str],
    secrets: &'static [&'static str],
) -> TransportKind {
    TransportKind { name, options, secrets, from_options: read }
}

#[derive(Debug)]
struct Nowhere;

impl Transport for Nowhere {
    fn method(&self) -> &str {
        "nowhere"
    }

    fn plan(&self, _: &ChildCommand) -> Result<Plan, OptionsError> {
        Err(wrong("method", "leads nowhere"))
    }
}

fn wrong(key: &str, message: &str) -> OptionsError {
    OptionsError { method: "test".into(), key: Some(key.into()), message: message.into() }
}

// The signature is that of the registry.
#[allow(clippy::needless_pass_by_value)]
fn read(options: Json) -> Result<Box<dyn Transport>, OptionsError> {
    let options = options.as_object().unwrap();
    for (key, value) in options {
        let right = match key.as_str() {
            "port" => value.as_u64().is_some_and(|port| port < 65536),
            "compression" => value.is_boolean(),
            "ssh_args" | "sudo_args" => value.is_array(),
            "connect_timeout" => value.is_number(),
            _ => value.is_string(),
        };
        if !right {
            return Err(wrong(key, "wrong type"));
        }
    }
    if options.contains_key("ssh_args") && !options.contains_key("username") {
        return Err(wrong("username", "ssh_args need a username"));
    }
    Ok(Box::new(Nowhere))
}

pub(super) fn parse(text: &str) -> Result<Inventory, Diagnostics> {
    Inventory::parse(&Source::from_text("m.toml", text), &registry())
}
