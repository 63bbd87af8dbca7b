//! The stream of a link: reads frames and gives them to the router.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::io::{Reactor, Residual, Side, Stream, Token, Transmit, Writer};
use crate::wire::FrameDecoder;

use super::keepalive::{Keepalive, KeepaliveMonitor};
use super::router::{Routed, Router};
use super::table::LinkId;

/// The high-water mark of a link's writer in bytes: when more is queued, user threads wait, and links
/// whose frames go there are not read.
pub const LINK_HIGH_WATER: usize = 4 << 20;

/// The stream of a link that is up, as the broker drives it.
///
/// When the broker disconnects it, the link is lost in the router, with the reason.
#[derive(Debug)]
pub struct MitogenStream {
    router: Router,
    link: LinkId,
    name: String,
    side: Box<dyn Side>,
    /// The writer's descriptor, for the loop to watch.
    transmit: Option<Arc<OwnedFd>>,
    writer: Writer,
    decoder: FrameDecoder,
    /// Whether our shutdown only cuts the link, instead of asking the other end to shut down.
    detach_on_shutdown: bool,
    /// Set when the loop shuts down, for the reason of the loss.
    closing: bool,
    reason: Option<String>,
    /// Notices that the link is dead, where keep-alive is on.
    keepalive: Option<Arc<KeepaliveMonitor>>,
}

impl MitogenStream {
    /// A stream that reads `side` and is written to by `writer`, for `link` of `router`, which was opened
    /// with [`Links::begin`](super::Links::begin). `rest` are bytes that were read before the link was up.
    pub fn new(
        router: Router,
        link: LinkId,
        name: String,
        side: Box<dyn Side>,
        writer: Writer,
        rest: &[u8],
    ) -> Self {
        let mut decoder = FrameDecoder::new(router.max_message_size());
        decoder.feed(rest);
        let transmit = writer.shared_fd();
        Self {
            router,
            link,
            name,
            side,
            transmit,
            writer,
            decoder,
            detach_on_shutdown: false,
            closing: false,
            reason: None,
            keepalive: None,
        }
    }

    /// Makes our shutdown cut the link and leave the other end running, as with unix clients.
    #[must_use]
    pub fn detach_on_shutdown(self) -> Self {
        Self { detach_on_shutdown: true, ..self }
    }

    /// Ends the link when it has been silent for too long.
    pub fn enable_keepalive(&mut self, keepalive: Keepalive, reactor: &mut dyn Reactor, token: Token) {
        let remote = self.router.with_table(|table| table.remote_id(self.link));
        if let Some(remote) = remote.filter(|_| keepalive.is_on()) {
            let router = self.router.downgrade();
            let monitor = KeepaliveMonitor::start(keepalive, router, remote, &self.name, reactor, token);
            self.keepalive = Some(monitor);
        }
    }

    fn record_activity(&self) {
        if let Some(monitor) = &self.keepalive {
            monitor.record_activity();
        }
    }

    /// Routes every complete frame in the buffer. Gives `false` when the stream must be disconnected.
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

    /// Stops reading until `slow`, which frames of this link go to, has room: they must not be queued
    /// in memory without limit.
    fn pause_for(&self, slow: &Writer, reactor: &mut dyn Reactor, token: Token) {
        reactor.stop_receive(token);
        let broker = self.router.broker().clone();
        let monitor = self.keepalive.clone();
        if let Some(monitor) = &monitor {
            monitor.pause();
        }
        slow.on_low_water(Box::new(move || {
            // A stopped broker reads nothing anyway.
            let _ = broker.defer(move |reactor| {
                if let Some(monitor) = &monitor {
                    monitor.resume();
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
        self.transmit.as_ref().map(|fd| fd.as_fd())
    }

    fn receive_residual(&self) -> Residual {
        self.side.residual()
    }

    fn transmit_residual(&self) -> Residual {
        // The writer goes on transmitting only when the kernel has taken less than it was offered.
        Residual::Drained
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        match self.side.read_buf(self.decoder.read_buffer()) {
            Ok(0) => reactor.disconnect(token),
            Ok(_) => {
                self.record_activity();
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
        self.record_activity();
        match self.writer.on_transmit() {
            Transmit::More => {}
            Transmit::Drained => reactor.stop_transmit(token),
            Transmit::Disconnected => reactor.disconnect(token),
        }
    }

    fn on_shutdown(&mut self, reactor: &mut dyn Reactor, token: Token) {
        self.closing = true;
        if self.detach_on_shutdown {
            return reactor.disconnect(token);
        }
        let remote = self.router.with_table(|table| table.remote_id(self.link));
        let parent = self.router.identity().parent();
        match remote {
            // The parent decides when its link ends; a child ends its link when it has shut down.
            Some(id) if Some(id) != parent && self.router.request_shutdown(id).is_err() => {
                reactor.disconnect(token);
            }
            _ => {}
        }
    }

    fn on_disconnect(&mut self, reactor: &mut dyn Reactor, _token: Token) {
        if let Some(verdict) = self.keepalive.take().and_then(|monitor| monitor.stop(reactor)) {
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
        self.router.links().lost(self.link, &reason);
        self.side.close();
        self.transmit = None;
    }
}
