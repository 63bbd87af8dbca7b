//! Log lines across contexts, and a log file that survives forks.
//!
//! Records of children arrive as `FORWARD_LOG` and leave as `tracing` events; who prints them is
//! decided far above. Knows Python's level numbers because they are on the wire.

mod forward;
mod pidful;

pub use forward::{ForwardedLog, emit, level_of, python_level};
pub use pidful::PidfulFile;
