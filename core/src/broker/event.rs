//! What can make the loop do something: this page is the whole list.

use std::time::Duration;

use crate::io::{self, Task};

/// A reason to act.
pub(super) enum Event {
    /// A descriptor is ready.
    Ready(io::Event),
    /// A timer is due.
    Timer(Task),
    /// Another thread, or a callback, has left work.
    Deferred(Task),
    /// Somebody has asked for the end.
    Shutdown {
        /// How long streams may take to wind up.
        grace: Duration,
    },
}
