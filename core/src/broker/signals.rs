//! Signals of the system, told on the broker's thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::{BrokerHandle, DeferError};
use crate::io::{Reactor, Stream, Token};
use crate::sys::SignalSource;

/// Catches signals for a broker. Dropping it restores the dispositions that were there before.
#[derive(Debug)]
pub struct SignalWatch {
    broker: BrokerHandle,
    token: Token,
}

impl SignalWatch {
    /// Calls `callback` on the broker's thread for each of `signals` that comes (numbers, such as
    /// `libc::SIGTERM`). Signals are watched through the graceful phase of a shutdown, so that a second
    /// one can be told from the first.
    ///
    /// # Errors
    /// `ResourceBusy` when somebody in this process catches one of them already, `InvalidInput` for a
    /// number that cannot be caught, or an error that wraps [`DeferError`].
    ///
    /// # Panics
    /// On the broker's thread, see [`BrokerHandle::defer_sync`].
    pub fn new(
        broker: &BrokerHandle,
        signals: &[i32],
        callback: impl FnMut(&mut dyn Reactor, i32) + Send + 'static,
    ) -> io::Result<Self> {
        let stream = SignalStream { source: SignalSource::new(signals)?, callback };
        let token = broker
            .defer_sync(move |reactor| reactor.register(Box::new(stream)))
            .map_err(|err: DeferError| io::Error::other(err))??;
        Ok(Self { broker: broker.clone(), token })
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        let token = self.token;
        if self.broker.is_broker_thread() {
            let _ = self.broker.defer(move |reactor| reactor.disconnect(token));
        } else {
            // Waits: when this returns, the dispositions are restored. (A broker that has stopped
            // has dropped the stream.)
            let _ = self.broker.defer_sync(move |reactor| reactor.disconnect(token));
            let _ = self.broker.defer_sync(|_| ());
        }
    }
}

struct SignalStream<F> {
    source: SignalSource,
    callback: F,
}

impl<F: FnMut(&mut dyn Reactor, i32) + Send> Stream for SignalStream<F> {
    fn name(&self) -> &str {
        "signals"
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.source.as_fd())
    }

    fn keep_alive(&self) -> bool {
        false
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        loop {
            match self.source.next_signal() {
                Ok(Some(signal)) => (self.callback)(reactor, signal),
                Ok(None) => return,
                Err(err) => {
                    tracing::warn!(%err, "cannot read signals any more");
                    return reactor.disconnect(token);
                }
            }
        }
    }

    fn on_shutdown(&mut self, _: &mut dyn Reactor, _: Token) {}
}
