//! What the streams of a connection report to it.

use crate::dialogue::Source;
use crate::io::{Reactor, Side, Token};
use crate::router::MitogenStream;

/// What a stream does after [`Sink::feed`].
pub(super) enum FeedResult {
    /// Continue reading.
    Continue,
    /// The context is up, and `rest` are the first bytes of its frames: call [`Sink::established`].
    Up { rest: Vec<u8> },
    /// The connection has ended; its streams are disconnected.
    Finished,
}

/// A connection, as its streams use it. Methods are called on the broker's thread.
pub(super) trait Sink: Send + Sync {
    /// Processes bytes that `source` has shown.
    fn feed(&self, source: Source, bytes: &[u8], reactor: &mut dyn Reactor) -> FeedResult;

    /// Processes the end of `source`.
    fn eof(&self, source: Source, reactor: &mut dyn Reactor);

    /// Ends the connection because the broker is shutting down.
    fn cancel(&self, reactor: &mut dyn Reactor);

    /// Completes the connection, and returns the stream that replaces stream `token` and reads `side`
    /// from now on. `None` if the connection has ended.
    fn established(
        &self,
        side: Box<dyn Side>,
        rest: &[u8],
        reactor: &mut dyn Reactor,
        token: Token,
    ) -> Option<MitogenStream>;
}
