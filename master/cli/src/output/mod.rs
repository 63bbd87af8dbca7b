//! What is printed: the events of the hosts go in, bytes come out.
//!
//! Everything here is a state machine that takes [`HostEvent`]s and writes to the given streams; times come
//! with the events. Nothing reads a clock, a terminal or the environment.

mod diff;
mod event;
mod gather;
mod json;
mod mode;
mod presenter;
mod progress;
mod stream;
mod summary;
#[cfg(test)]
mod testing;
mod visible;

pub use diff::Diff;
pub use event::{HostEvent, HostId, HostResult, Printer, StdStream, Streams};
pub use gather::Gather;
pub use json::{JsonLines, SCHEMA};
pub use mode::{Mode, OutputPrefs};
pub use presenter::Presenter;
pub use progress::ProgressLine;
pub use stream::{Prefixed, Raw};
pub use summary::{Counts, Summary};
pub use visible::{VisibleStream, visible, visible_lines};
