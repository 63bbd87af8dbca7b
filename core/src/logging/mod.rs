//! Log records of other contexts, and a log file that survives forks.
//!
//! Records of children come in as `FORWARD_LOG` messages and become `tracing` events; the program decides
//! where those are printed. Knows Python's level numbers, because they are on the wire.

mod forward;
mod pidful;

pub use forward::{ForwardedLog, emit, level_of, python_level};
pub use pidful::PidfulFile;
