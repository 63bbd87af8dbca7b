//! The built-in transports. Each is a crate of its own.

pub use mitogen_core::connect::{OptionKind, OptionSpec, Registry, TransportKind, TransportOrigin};
pub use {
    mitogen_doas as doas, mitogen_fork as fork, mitogen_local as local, mitogen_ssh as ssh, mitogen_su as su,
    mitogen_sudo as sudo,
};

/// All built-in transports, by name.
pub fn builtin() -> Registry {
    [local::kind(), fork::kind(), ssh::kind(), sudo::kind(), su::kind(), doas::kind()].into_iter().collect()
}
