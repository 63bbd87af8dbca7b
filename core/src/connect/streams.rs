//! The streams of a process that is not up yet: its link and its side channel.

use std::os::fd::BorrowedFd;

use super::connection::{Driver, DriverRef, FeedResult};
use crate::dialogue::Source;
use crate::io::{FdSide, Reactor, Residual, Side, Stream, Token, Transmit, Writer};
use crate::router::MitogenStream;

/// How much is read at once before frames flow.
const BOOT_CHUNK: usize = 16 << 10;

/// The stream that becomes the link. When the runtime has announced itself, a [`MitogenStream`]
/// takes its place.
#[derive(Debug)]
pub(super) struct BootstrapStream {
    name: String,
    driver: DriverHandle,
    /// What is read, and the writer's descriptor for the loop to watch; handed over when it is up.
    ends: Option<(FdSide, FdSide)>,
    writer: Writer,
}

/// A driver reference that prints nothing: a driver holds secrets.
struct DriverHandle(DriverRef);

impl std::fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Driver")
    }
}

impl BootstrapStream {
    pub(super) fn new(name: String, driver: DriverRef, ends: (FdSide, FdSide), writer: Writer) -> Self {
        Self { name, driver: DriverHandle(driver), ends: Some(ends), writer }
    }
}

impl Stream for BootstrapStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        self.ends.as_ref().and_then(|(side, _)| side.fd())
    }

    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        self.ends.as_ref().and_then(|(_, transmit)| transmit.fd())
    }

    fn receive_residual(&self) -> Residual {
        self.ends.as_ref().map_or(Residual::Unknown, |(side, _)| side.residual())
    }

    fn transmit_residual(&self) -> Residual {
        Residual::Drained
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        let Some((side, _)) = &mut self.ends else { return };
        let mut buffer = [0; BOOT_CHUNK];
        match side.read(&mut buffer) {
            Ok(0) => {
                reactor.stop_receive(token);
                Driver::eof(&self.driver.0, Source::Link, reactor);
            }
            Ok(count) => {
                let fed = Driver::feed(&self.driver.0, Source::Link, &buffer[..count], reactor);
                if let FeedResult::Established { rest, writer } = fed
                    && let Some(ends) = self.ends.take()
                {
                    let (router, link, keepalive) = Driver::parts(&self.driver.0);
                    let mut stream = MitogenStream::new(router, link, self.name.clone(), ends, writer, &rest);
                    if let Some(keepalive) = keepalive {
                        stream.enable_keepalive(keepalive, reactor, token);
                    }
                    let sound = stream.drain(reactor, token);
                    reactor.replace(token, Box::new(stream));
                    if !sound {
                        reactor.disconnect(token);
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::debug!(stream = self.name, %error, "reading failed");
                reactor.stop_receive(token);
                Driver::eof(&self.driver.0, Source::Link, reactor);
            }
        }
    }

    fn on_transmit(&mut self, reactor: &mut dyn Reactor, token: Token) {
        match self.writer.on_transmit() {
            Transmit::More => {}
            // The reading end tells what a lost one means.
            Transmit::Drained | Transmit::Disconnected => reactor.stop_transmit(token),
        }
    }

    fn on_shutdown(&mut self, reactor: &mut dyn Reactor, _token: Token) {
        Driver::cancel(&self.driver.0, reactor);
    }

    fn on_disconnect(&mut self, _reactor: &mut dyn Reactor, _token: Token) {
        self.writer.close();
        self.ends = None;
    }
}

/// The side channel: prompts and complaints, then, once the link is up, lines for the log.
#[derive(Debug)]
pub(super) struct StderrStream {
    name: String,
    driver: DriverHandle,
    side: FdSide,
    log: LineLog,
}

impl StderrStream {
    pub(super) fn new(name: String, driver: DriverRef, side: FdSide) -> Self {
        let log = LineLog::default();
        Self { name, driver: DriverHandle(driver), side, log }
    }
}

impl Stream for StderrStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        self.side.fd()
    }

    /// The link decides when a connection is over; this channel never holds up a shutdown.
    fn keep_alive(&self) -> bool {
        false
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        let mut buffer = [0; BOOT_CHUNK];
        match self.side.read(&mut buffer) {
            Ok(0) => {
                Driver::eof(&self.driver.0, Source::Diag, reactor);
                reactor.disconnect(token);
            }
            Ok(count) => {
                if let FeedResult::Finished =
                    Driver::feed(&self.driver.0, Source::Diag, &buffer[..count], reactor)
                {
                    self.log.feed(&self.name, &buffer[..count]);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => reactor.disconnect(token),
        }
    }

    fn on_shutdown(&mut self, _reactor: &mut dyn Reactor, _token: Token) {}

    fn on_disconnect(&mut self, _reactor: &mut dyn Reactor, _token: Token) {
        self.log.flush(&self.name);
        self.side.close();
    }
}

/// Lines of a side channel after the link is up, for the log.
#[derive(Debug, Default)]
struct LineLog {
    partial: Vec<u8>,
}

impl LineLog {
    /// A tool that never ends its line must not fill our memory.
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
