//! Helpers: waiting for conditions, and streams that report their callbacks.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mitogen_core::broker::{Broker, BrokerHandle};
use mitogen_core::io::{FdSide, PollPoller, Poller, Reactor, Residual, Side, Stream, Token, default_poller};

/// No healthy machine needs this long for anything here.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn soon() -> Instant {
    Instant::now() + LONG
}

/// Waits until `condition` holds; fails after [`LONG`].
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = soon();
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// All pollers of this system, by name.
pub(crate) fn pollers() -> Vec<(&'static str, Box<dyn Poller>)> {
    vec![
        #[cfg(any(target_os = "linux", target_os = "android"))]
        ("epoll", Box::new(mitogen_core::io::EpollPoller::new().unwrap())),
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        ("kqueue", Box::new(mitogen_core::io::KqueuePoller::new().unwrap())),
        ("poll", Box::new(PollPoller::new().unwrap())),
    ]
}

pub(crate) fn broker() -> Broker {
    Broker::start("test", default_poller().unwrap()).unwrap()
}

/// Our end of a socket pair as a descriptor, and the other end with a read deadline.
pub(crate) fn socket() -> (OwnedFd, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(LONG)).unwrap();
    theirs.set_write_timeout(Some(LONG)).unwrap();
    (ours.into(), theirs)
}

/// What a [`Probe`] has seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Bytes(Vec<u8>),
    End,
    Transmit,
    Shutdown,
    Disconnect,
    Dropped,
}

pub(crate) type OnReceive = Box<dyn FnMut(&mut Probe, &[u8], &mut dyn Reactor, Token) + Send>;

/// A stream that reports what happens to it.
pub(crate) struct Probe {
    pub(crate) side: FdSide,
    pub(crate) log: Sender<Seen>,
    pub(crate) keep_alive: bool,
    /// Whether it stays when the loop shuts down.
    pub(crate) stays: bool,
    pub(crate) on_receive: Option<OnReceive>,
}

impl Probe {
    pub(crate) fn new(fd: OwnedFd) -> (Self, Receiver<Seen>) {
        let (log, seen) = channel();
        let side = FdSide::new(fd).unwrap();
        (Self { side, log, keep_alive: true, stays: false, on_receive: None }, seen)
    }

    pub(crate) fn reacting(
        mut self,
        on_receive: impl FnMut(&mut Probe, &[u8], &mut dyn Reactor, Token) + Send + 'static,
    ) -> Self {
        self.on_receive = Some(Box::new(on_receive));
        self
    }

    pub(crate) fn number(&self) -> i32 {
        self.side.fd().unwrap().as_raw_fd()
    }

    fn see(&self, seen: Seen) {
        let _ = self.log.send(seen);
    }
}

impl Stream for Probe {
    fn name(&self) -> &str {
        "probe"
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        self.side.fd()
    }

    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        self.side.fd()
    }

    fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        let mut buf = BytesMut::new();
        match self.side.read_buf(&mut buf) {
            Ok(0) => {
                self.see(Seen::End);
                reactor.disconnect(token);
            }
            Ok(_) => {
                self.see(Seen::Bytes(buf.to_vec()));
                if let Some(mut react) = self.on_receive.take() {
                    react(self, &buf, reactor, token);
                    self.on_receive.get_or_insert(react);
                }
            }
            Err(err) => assert_eq!(err.kind(), ErrorKind::WouldBlock),
        }
    }

    fn receive_residual(&self) -> Residual {
        self.side.residual()
    }

    fn on_transmit(&mut self, reactor: &mut dyn Reactor, token: Token) {
        self.see(Seen::Transmit);
        reactor.stop_transmit(token);
    }

    fn on_shutdown(&mut self, reactor: &mut dyn Reactor, token: Token) {
        self.see(Seen::Shutdown);
        if !self.stays {
            reactor.disconnect(token);
        }
    }

    fn on_disconnect(&mut self, _: &mut dyn Reactor, _: Token) {
        self.see(Seen::Disconnect);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.see(Seen::Dropped);
    }
}

pub(crate) fn register(handle: &BrokerHandle, stream: impl Stream + 'static) -> Token {
    handle.defer_sync(move |reactor| reactor.register(Box::new(stream))).unwrap().unwrap()
}

pub(crate) fn is_registered(handle: &BrokerHandle, token: Token) -> bool {
    handle.defer_sync(move |reactor| reactor.is_registered(token)).unwrap()
}

pub(crate) fn text(text: &str) -> Seen {
    Seen::Bytes(text.into())
}

/// The next thing seen.
#[track_caller]
pub(crate) fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(LONG).expect("nothing was seen")
}

/// Checks that the stream of these events has been dropped.
#[track_caller]
pub(crate) fn at_end(seen: &Receiver<Seen>) {
    assert_eq!(seen.recv_timeout(LONG), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}
