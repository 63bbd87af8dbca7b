//! [`Touch`]: wakes a stream whose descriptor does not become ready.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::poller::Token;
use super::stream::Defer;

/// Tells the loop, from any thread, that a stream may have data to read or space to write although its
/// descriptor is not ready, or although it has none. Clones are handles of the same stream.
#[derive(Clone, Default)]
pub struct Touch(Arc<OnceLock<(Arc<dyn Defer>, Token)>>);

impl Touch {
    /// A touch of a stream that is not registered yet. It does nothing until [`bind`](Self::bind); the
    /// stream must be touched once afterwards.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects it to stream `token` of `broker`. Only the first call counts.
    pub fn bind(&self, broker: Arc<dyn Defer>, token: Token) {
        let _ = self.0.set((broker, token));
    }

    /// Calls [`Reactor::touch`](super::Reactor::touch) for the stream on the broker's thread.
    pub fn touch(&self) {
        if let Some((broker, token)) = self.0.get() {
            let token = *token;
            // A stopped loop has disconnected its streams.
            let _ = broker.defer(Box::new(move |reactor| reactor.touch(token)));
        }
    }
}

impl fmt::Debug for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Touch").field(&self.0.get().map(|(_, token)| token)).finish()
    }
}
