//! The streams of a connection that is not up yet: its link and its stderr channel.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sink::{FeedResult, Sink};
use crate::dialogue::Source;
use crate::io::{Reactor, Residual, Side, Stream, Token, Transmit, Writer};

/// The size of a read buffer before the link carries frames, in bytes.
const BOOT_CHUNK: usize = 16 << 10;

/// The connection that a stream reports to. Its debug form is empty, because a connection holds secrets.
#[derive(Clone)]
pub(super) struct SinkHandle(pub(super) Arc<dyn Sink>);

impl fmt::Debug for SinkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// The link before it carries frames. When the runtime has announced itself,
/// [`MitogenStream`](crate::router::MitogenStream) replaces it.
#[derive(Debug)]
pub(super) struct BootstrapStream {
    name: String,
    sink: SinkHandle,
    /// Taken out when the context is up.
    side: Option<Box<dyn Side>>,
    writer: Writer,
    /// The writer's descriptor, for the loop to watch.
    transmit: Option<Arc<OwnedFd>>,
}

impl BootstrapStream {
    pub(super) fn new(name: String, sink: SinkHandle, side: Box<dyn Side>, writer: Writer) -> Self {
        let transmit = writer.shared_fd();
        Self { name, sink, side: Some(side), writer, transmit }
    }

    /// Lets the connection build the stream of the link, and puts it in this one's place.
    fn establish(&mut self, rest: &[u8], reactor: &mut dyn Reactor, token: Token) {
        let Some(side) = self.side.take() else { return };
        let buffered = side.residual() == Residual::Buffered;
        let Some(mut stream) = self.sink.0.established(side, rest, reactor, token) else { return };
        let sound = stream.drain(reactor, token);
        reactor.replace(token, Box::new(stream));
        if !sound {
            reactor.disconnect(token);
        } else if buffered {
            // The side is not asked any more on this stream's behalf.
            reactor.touch(token);
        }
    }
}

impl Stream for BootstrapStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        self.side.as_ref().and_then(|side| side.fd())
    }

    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        self.transmit.as_ref().map(|fd| fd.as_fd())
    }

    fn receive_residual(&self) -> Residual {
        self.side.as_ref().map_or(Residual::Unknown, |side| side.residual())
    }

    fn transmit_residual(&self) -> Residual {
        Residual::Drained
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        let Some(side) = &mut self.side else { return };
        let mut buffer = [0; BOOT_CHUNK];
        match side.read(&mut buffer) {
            Ok(0) => {
                reactor.stop_receive(token);
                self.sink.0.eof(Source::Link, reactor);
            }
            Ok(count) => {
                let fed = self.sink.0.feed(Source::Link, &buffer[..count], reactor);
                if let FeedResult::Up { rest } = fed {
                    self.establish(&rest, reactor, token);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::debug!(stream = self.name, %error, "reading failed");
                reactor.stop_receive(token);
                self.sink.0.eof(Source::Link, reactor);
            }
        }
    }

    fn on_transmit(&mut self, reactor: &mut dyn Reactor, token: Token) {
        match self.writer.on_transmit() {
            Transmit::More => {}
            // After a failed write the link is still read: what the program has said explains it.
            Transmit::Drained | Transmit::Disconnected => reactor.stop_transmit(token),
        }
    }

    fn on_shutdown(&mut self, reactor: &mut dyn Reactor, _token: Token) {
        self.sink.0.cancel(reactor);
    }

    fn on_disconnect(&mut self, _reactor: &mut dyn Reactor, _token: Token) {
        self.writer.close();
        if let Some(mut side) = self.side.take() {
            side.close();
        }
        self.transmit = None;
    }
}

/// Stands for a link that is being opened: it has no descriptor, and cancels the connection when the
/// broker shuts down.
#[derive(Debug)]
pub(super) struct OpeningStream {
    pub(super) name: String,
    pub(super) sink: SinkHandle,
}

impl Stream for OpeningStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn on_receive(&mut self, _reactor: &mut dyn Reactor, _token: Token) {}

    fn on_shutdown(&mut self, reactor: &mut dyn Reactor, _token: Token) {
        self.sink.0.cancel(reactor);
    }
}

/// The side of a stderr channel, which the stream reads and the connection writes answers to.
#[derive(Clone, Debug)]
pub(super) struct SharedSide(Arc<Mutex<Box<dyn Side>>>);

impl SharedSide {
    pub(super) fn new(side: Box<dyn Side>) -> Self {
        Self(Arc::new(Mutex::new(side)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Box<dyn Side>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stderr channel: prompts and error messages before the context is up, and then lines for the log.
#[derive(Debug)]
pub(super) struct StderrStream {
    name: String,
    sink: SinkHandle,
    side: SharedSide,
    fd: Option<Arc<OwnedFd>>,
    log: LineLog,
}

impl StderrStream {
    pub(super) fn new(name: String, sink: SinkHandle, side: SharedSide) -> Self {
        let fd = side.lock().shared_fd();
        Self { name, sink, side, fd, log: LineLog::default() }
    }
}

impl Stream for StderrStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(|fd| fd.as_fd())
    }

    fn receive_residual(&self) -> Residual {
        self.side.lock().residual()
    }

    /// The end of the link ends a connection; a shutdown does not wait for this channel.
    fn keep_alive(&self) -> bool {
        false
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        let mut buffer = [0; BOOT_CHUNK];
        let read = self.side.lock().read(&mut buffer);
        match read {
            Ok(0) => {
                self.sink.0.eof(Source::Diag, reactor);
                reactor.disconnect(token);
            }
            Ok(count) => {
                let fed = self.sink.0.feed(Source::Diag, &buffer[..count], reactor);
                if let FeedResult::Finished = fed {
                    self.log.feed(&self.name, &buffer[..count]);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => reactor.disconnect(token),
        }
    }

    fn on_shutdown(&mut self, _reactor: &mut dyn Reactor, _token: Token) {}

    fn on_disconnect(&mut self, _reactor: &mut dyn Reactor, _token: Token) {
        self.log.flush(&self.name);
        self.side.lock().close();
        self.fd = None;
    }
}

/// Splits the stderr channel of a context that is up into lines for the log.
#[derive(Debug, Default)]
struct LineLog {
    partial: Vec<u8>,
}

impl LineLog {
    /// A longer line is logged in parts, so that a program that never ends a line cannot use up the memory.
    const LIMIT: usize = 64 << 10;

    fn feed(&mut self, name: &str, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() > Self::LIMIT {
                self.flush(name);
            }
        }
    }

    fn flush(&mut self, name: &str) {
        let line = String::from_utf8_lossy(&self.partial);
        let line = line.trim_end();
        if !line.is_empty() {
            tracing::info!(target: "mitogen::diag", context = name, "{line}");
        }
        self.partial.clear();
    }
}
