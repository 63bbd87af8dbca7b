//! The stream that carries frames: bytes in, verdicts out.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::io::{FdSide, Reactor, Residual, Side, Stream, Token, Transmit, Writer};
use crate::wire::FrameDecoder;

use super::keepalive::{Keepalive, Pulse};
use super::route::{Routed, Router};
use super::table::LinkId;

/// A link in frame mode, as the broker drives it.
///
/// Dropping out of the broker loses the link in the router, with the reason that ended it.
#[derive(Debug)]
pub struct MitogenStream {
    router: Router,
    link: LinkId,
    name: String,
    side: FdSide,
    /// The writer's descriptor, for the loop to watch.
    transmit: FdSide,
    writer: Writer,
    decoder: FrameDecoder,
    /// Whether a shutdown of ours just leaves, instead of asking the other end to end.
    leaving: bool,
    /// Set when we are asked to end, so that the loss is not a surprise.
    closing: bool,
    reason: Option<String>,
    /// Watches for silence, where that is wanted.
    pulse: Option<Arc<Pulse>>,
}

impl MitogenStream {
    /// A stream over `side` and `writer` for `link` of `router`, which was opened with
    /// [`Router::begin_link`]; `ends` are the sides it reads and is written by. `rest` are bytes that
    /// were read before the link was up.
    pub fn new(
        router: Router,
        link: LinkId,
        name: String,
        ends: (FdSide, FdSide),
        writer: Writer,
        rest: &[u8],
    ) -> Self {
        let mut decoder = FrameDecoder::new(router.max_message_size());
        decoder.feed(rest);
        let (side, transmit) = ends;
        Self {
            router,
            link,
            name,
            side,
            transmit,
            writer,
            decoder,
            leaving: false,
            closing: false,
            reason: None,
            pulse: None,
        }
    }

    /// The same for a link whose ends do not end with each other, as with unix clients.
    #[must_use]
    pub fn leaving(self) -> Self {
        Self { leaving: true, ..self }
    }

    /// Gives the link up when it has been silent for too long.
    pub fn watch_silence(&mut self, keepalive: Keepalive, reactor: &mut dyn Reactor, token: Token) {
        let remote = self.router.with_table(|table| table.remote_id(self.link));
        if let Some(remote) = remote.filter(|_| keepalive.is_on()) {
            let router = self.router.downgrade();
            self.pulse = Some(Pulse::start(keepalive, router, remote, &self.name, reactor, token));
        }
    }

    fn beat(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
    }

    /// Routes every whole frame that is buffered. `false` ends the stream.
    pub fn drain(&mut self, reactor: &mut dyn Reactor, token: Token) -> bool {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => match self.router.route_frame(frame, self.link) {
                    Routed::Done => {}
                    Routed::Congested(slow) => self.pause_for(&slow, reactor, token),
                    Routed::LinkEnded => return false,
                },
                Ok(None) => return true,
                Err(error) => {
                    let shown = self.decoder.pending();
                    let shown = String::from_utf8_lossy(&shown[..shown.len().min(2048)]);
                    tracing::error!(stream = self.name, %error, bytes = ?shown, "the link is corrupt");
                    self.reason = Some(format!("the link to {} is corrupt: {error}", self.name));
                    return false;
                }
            }
        }
    }

    /// Reads no more until `slow`, which we feed, has room: our memory is not the place to queue.
    fn pause_for(&self, slow: &Writer, reactor: &mut dyn Reactor, token: Token) {
        reactor.stop_receive(token);
        let broker = self.router.broker().clone();
        let pulse = self.pulse.clone();
        if let Some(pulse) = &pulse {
            pulse.pause();
        }
        slow.on_low_water(Box::new(move || {
            // A stopped broker reads nothing anyway.
            let _ = broker.defer(move |reactor| {
                if let Some(pulse) = &pulse {
                    pulse.resume();
                }
                reactor.start_receive(token);
            });
        }));
    }
}

impl Stream for MitogenStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        self.side.fd()
    }

    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        self.transmit.fd()
    }

    fn receive_residual(&self) -> Residual {
        self.side.residual()
    }

    fn transmit_residual(&self) -> Residual {
        // It goes on transmitting only when the kernel has taken less than it was offered.
        Residual::Drained
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        match self.side.read_buf(self.decoder.read_buffer()) {
            Ok(0) => reactor.disconnect(token),
            Ok(_) => {
                self.beat();
                if !self.drain(reactor, token) {
                    reactor.disconnect(token);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.reason = Some(format!("reading from {} failed: {error}", self.name));
                reactor.disconnect(token);
            }
        }
    }

    fn on_transmit(&mut self, reactor: &mut dyn Reactor, token: Token) {
        self.beat();
        match self.writer.on_transmit() {
            Transmit::More => {}
            Transmit::Drained => reactor.stop_transmit(token),
            Transmit::Disconnected => reactor.disconnect(token),
        }
    }

    fn on_shutdown(&mut self, reactor: &mut dyn Reactor, token: Token) {
        self.closing = true;
        if self.leaving {
            return reactor.disconnect(token);
        }
        let remote = self.router.with_table(|table| table.remote_id(self.link));
        let parent = self.router.identity().parent();
        match remote {
            // Our parent decides when this link ends; a child ends it when it has obeyed.
            Some(id) if Some(id) != parent && self.router.request_shutdown(id).is_err() => {
                reactor.disconnect(token);
            }
            _ => {}
        }
    }

    fn on_disconnect(&mut self, reactor: &mut dyn Reactor, _token: Token) {
        if let Some(verdict) = self.pulse.take().and_then(|pulse| pulse.stop(reactor)) {
            tracing::warn!("{verdict}");
            self.reason = Some(verdict);
        }
        let reason = self.reason.take().unwrap_or_else(|| {
            if self.closing {
                format!("{} has shut down", self.name)
            } else {
                format!("the link to {} was lost", self.name)
            }
        });
        self.writer.close();
        self.router.link_lost(self.link, &reason);
        self.side.close();
        self.transmit.close();
    }
}
