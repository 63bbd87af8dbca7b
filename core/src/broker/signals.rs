//! [`SignalWatch`]: handles Unix signals on the broker's thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::handle::{BrokerHandle, DeferError};
use crate::io::{Reactor, Stream, Token};
use crate::sys::SignalSource;

/// Catches signals for a broker. Dropping it restores the previous dispositions.
#[derive(Debug)]
pub struct SignalWatch {
    broker: BrokerHandle,
    token: Token,
}

impl SignalWatch {
    /// Calls `callback` on the broker's thread for each of the `signals` (numbers, such as
    /// `libc::SIGTERM`) that arrives. Signals are also handled during the graceful phase of a shutdown, so
    /// that a second one can force the exit.
    ///
    /// # Errors
    /// `ResourceBusy` when another watch in this process catches one of them already, `InvalidInput` for
    /// a number that cannot be caught, or an error that wraps [`DeferError`].
    ///
    /// # Panics
    /// When called on the broker's thread, see [`BrokerHandle::defer_sync`].
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
            // Waits until the dispositions are restored. (A stopped broker has already dropped the
            // stream.)
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
                    tracing::warn!(%err, "cannot read signals");
                    return reactor.disconnect(token);
                }
            }
        }
    }

    fn on_shutdown(&mut self, _: &mut dyn Reactor, _: Token) {}
}
