//! The transports that the command knows.

use mitogen_core::connect::Registry;

/// All built-in transports. The one place to add another.
pub fn registry() -> Registry {
    Registry::new()
}
