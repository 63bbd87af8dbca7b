//! The built-in transports, each a crate of its own and a feature of this crate.

pub use mitogen_core::connect::{OptionKind, OptionSpec, Registry, TransportKind, TransportOrigin};

#[cfg(feature = "containers")]
pub use mitogen_containers as containers;
#[cfg(feature = "doas")]
pub use mitogen_doas as doas;
#[cfg(feature = "fork")]
pub use mitogen_fork as fork;
#[cfg(feature = "local")]
pub use mitogen_local as local;
#[cfg(feature = "ssh")]
pub use mitogen_ssh as ssh;
#[cfg(feature = "ssh2")]
pub use mitogen_ssh2 as ssh2;
#[cfg(feature = "su")]
pub use mitogen_su as su;
#[cfg(feature = "sudo")]
pub use mitogen_sudo as sudo;

/// All built-in transports, by name: those whose features are enabled.
pub fn builtin() -> Registry {
    let kinds: &[fn() -> TransportKind] = &[
        #[cfg(feature = "local")]
        local::kind,
        #[cfg(feature = "fork")]
        fork::kind,
        #[cfg(feature = "ssh")]
        ssh::kind,
        #[cfg(feature = "ssh2")]
        ssh2::kind,
        #[cfg(feature = "sudo")]
        sudo::kind,
        #[cfg(feature = "su")]
        su::kind,
        #[cfg(feature = "doas")]
        doas::kind,
    ];
    let registry = kinds.iter().map(|kind| kind());
    #[cfg(feature = "containers")]
    let registry = registry.chain(containers::kinds());
    registry.collect()
}
