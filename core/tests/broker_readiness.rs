//! The cost of the broker's loop: noted residual states, system calls of a round trip, touched streams.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mitogen_core::broker::Broker;
use mitogen_core::io::{Reactor, Residual, Stream, Token, Touch};
use support::{LONG, Probe, Seen, at_end, broker, next, pollers, register, socket, text};

/// Reads or writes one byte at a time, and reports a fixed residual state.
struct Sipper {
    fd: OwnedFd,
    residual: Residual,
    told: std::sync::mpsc::Sender<&'static str>,
}

impl Stream for Sipper {
    fn name(&self) -> &str {
        "sipper"
    }
    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        match nix::unistd::read(&self.fd, &mut [0]) {
            Ok(0) => reactor.disconnect(token),
            Ok(_) => self.told.send("byte").unwrap(),
            Err(errno) => {
                assert_eq!((errno, self.residual), (nix::errno::Errno::EAGAIN, Residual::Ready));
                self.residual = Residual::Drained;
                self.told.send("in vain").unwrap();
            }
        }
    }
    fn receive_residual(&self) -> Residual {
        self.residual
    }
    fn on_transmit(&mut self, _: &mut dyn Reactor, _: Token) {
        self.told.send("room").unwrap();
    }
    fn transmit_residual(&self) -> Residual {
        Residual::Drained
    }
}

#[test]
fn the_residual_state_of_a_stream_decides_about_the_next_event() {
    let broker = broker();
    let handle = broker.handle();
    for (residual, expected) in [
        (Residual::Unknown, "byte byte byte"),
        (Residual::Ready, "byte byte byte in vain"),
        (Residual::Drained, "byte"),
    ] {
        let (ours, mut theirs) = socket();
        mitogen_core::sys::set_nonblock(&ours).unwrap();
        theirs.write_all(b"abc").unwrap();
        let (told, seen) = channel();
        let token = register(&handle, Sipper { fd: ours, residual, told });
        // By then it has been asked several times.
        for _ in 0..6 {
            handle.defer_sync(|_| ()).unwrap();
        }
        assert_eq!(seen.try_iter().collect::<Vec<_>>().join(" "), expected, "{residual:?}");
        // A stop and a start reset the noted state, and so does new data.
        handle.defer_sync(move |reactor| reactor.stop_receive(token)).unwrap();
        theirs.write_all(b"d").unwrap();
        handle.defer_sync(move |reactor| reactor.start_receive(token)).unwrap();
        assert_eq!(seen.recv_timeout(LONG), Ok("byte"));
        // A stream that reports a full buffer is not notified of the same space again.
        handle.defer_sync(move |reactor| reactor.stop_receive(token)).unwrap();
        handle.defer_sync(move |reactor| reactor.start_transmit(token)).unwrap();
        for _ in 0..6 {
            handle.defer_sync(|_| ()).unwrap();
        }
        let rooms = seen.try_iter().filter(|&told| told == "room").count();
        assert_eq!(rooms, 1);
    }
}

/// Counts what the loop asks of the kernel.
#[derive(Debug)]
struct CountingPoller {
    inner: Box<dyn mitogen_core::io::Poller>,
    polls: Arc<AtomicUsize>,
    changes: Arc<AtomicUsize>,
    settled: Arc<AtomicUsize>,
}

impl mitogen_core::io::Poller for CountingPoller {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: mitogen_core::io::Interest,
    ) -> std::io::Result<()> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.inner.register(fd, token, interest)
    }
    fn reregister(
        &mut self,
        fd: std::os::fd::RawFd,
        token: Token,
        interest: mitogen_core::io::Interest,
    ) -> std::io::Result<()> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.inner.reregister(fd, token, interest)
    }
    fn deregister(&mut self, fd: std::os::fd::RawFd, token: Token) {
        self.inner.deregister(fd, token);
    }
    fn note_residual(
        &mut self,
        fd: std::os::fd::RawFd,
        token: Token,
        direction: mitogen_core::io::Interest,
        residual: Residual,
    ) {
        // Only then need the poller not ask the kernel again.
        assert_eq!(residual, Residual::Drained, "{direction:?}");
        self.settled.fetch_add(1, Ordering::SeqCst);
        self.inner.note_residual(fd, token, direction, residual);
    }
    fn poll(
        &mut self,
        events: &mut Vec<mitogen_core::io::Event>,
        timeout: Option<Duration>,
    ) -> std::io::Result<()> {
        let done = self.inner.poll(events, timeout);
        // In quick succession the loop also looks without waiting; only what it waits for or finds counts.
        if timeout != Some(Duration::ZERO) || !events.is_empty() {
            self.polls.fetch_add(1, Ordering::SeqCst);
        }
        done
    }
    fn waker(&self) -> mitogen_core::io::Waker {
        self.inner.waker()
    }
}

#[test]
fn a_round_trip_costs_one_poll_and_one_read_and_a_send_does_not_wake_the_loop() {
    const TRIPS: usize = 300;
    let [polls, changes, settled] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let poller = CountingPoller {
        inner: mitogen_core::io::default_poller().unwrap(),
        polls: Arc::clone(&polls),
        changes: Arc::clone(&changes),
        settled: Arc::clone(&settled),
    };
    let broker = Broker::start("test", Box::new(poller)).unwrap();
    let handle = broker.handle();
    let (ours, mut theirs) = socket();
    let (probe, seen) = Probe::new(ours);
    let writer = mitogen_core::io::Writer::new(probe.side.share(), 1_000_000);
    let token = register(&handle, probe);
    handle.bind(&writer, token);
    handle.defer_sync(|_| ()).unwrap();

    let before = (polls.load(Ordering::SeqCst), changes.load(Ordering::SeqCst));
    for _ in 0..TRIPS {
        writer.send(&[bytes::Bytes::from_static(b"ask")]).unwrap();
        std::io::Read::read_exact(&mut theirs, &mut [0; 3]).unwrap();
        theirs.write_all(b"answer").unwrap();
        // One read is one of these: had it taken a second one, that would have been an error.
        assert_eq!(next(&seen), text("answer"));
    }
    // Two more: the wait in progress at the start, and the one in progress now.
    let waits = polls.load(Ordering::SeqCst) - before.0;
    assert!(waits <= TRIPS + 2, "{waits} waits for {TRIPS} round trips");
    assert_eq!(changes.load(Ordering::SeqCst), before.1);
    handle.defer_sync(|_| ()).unwrap();
    assert!(settled.load(Ordering::SeqCst) >= TRIPS);
}

/// A stream whose data is in memory: nothing that a poller sees announces it.
struct Memory {
    /// A descriptor that never becomes ready, or none.
    fd: Option<OwnedFd>,
    data: Arc<Mutex<Vec<u8>>>,
    left: bool,
    seen: std::sync::mpsc::Sender<Seen>,
}

impl Stream for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(|fd| fd.as_fd())
    }
    fn on_receive(&mut self, _: &mut dyn Reactor, _: Token) {
        // One byte per call.
        let mut data = self.data.lock().unwrap();
        if !data.is_empty() {
            self.seen.send(Seen::Bytes(vec![data.remove(0)])).unwrap();
        }
        self.left = !data.is_empty();
    }
    fn receive_residual(&self) -> Residual {
        if self.left { Residual::Buffered } else { Residual::Drained }
    }
    fn on_transmit(&mut self, reactor: &mut dyn Reactor, token: Token) {
        reactor.stop_transmit(token);
        self.seen.send(Seen::Transmit).unwrap();
    }
}

/// Nothing is seen although the loop has gone round.
#[track_caller]
fn nothing(handle: &mitogen_core::broker::BrokerHandle, seen: &Receiver<Seen>) {
    for _ in 0..3 {
        handle.defer_sync(|_| ()).unwrap();
    }
    assert!(seen.try_recv().is_err());
}

#[test]
fn a_touched_stream_is_called_although_its_descriptor_is_not_ready() {
    for (name, poller) in pollers() {
        let broker = Broker::start(name, poller).unwrap();
        let handle = broker.handle();
        for with_fd in [true, false] {
            let (fd, _peer) = socket();
            let data = Arc::new(Mutex::new(b"abc".to_vec()));
            let (log, seen) = channel();
            let touch = Touch::new();
            touch.touch();
            let fd = with_fd.then_some(fd);
            let token = register(&handle, Memory { fd, data: Arc::clone(&data), left: false, seen: log });
            handle.defer_sync(move |reactor| reactor.start_receive(token)).unwrap();
            nothing(&handle, &seen);

            // One touch, and the stream is called until it has delivered what it keeps.
            touch.bind(handle.as_defer(), token);
            touch.touch();
            for byte in ["a", "b", "c"] {
                assert_eq!(next(&seen), text(byte), "{name}");
            }
            nothing(&handle, &seen);

            // From a callback, twice: one call for one byte.
            data.lock().unwrap().push(b'd');
            handle
                .defer_sync(move |reactor| {
                    reactor.touch(token);
                    reactor.touch(token);
                })
                .unwrap();
            assert_eq!(next(&seen), text("d"));
            nothing(&handle, &seen);

            // A paused direction is called when it is resumed, and a transmitting stream too.
            handle.defer_sync(move |reactor| reactor.stop_receive(token)).unwrap();
            data.lock().unwrap().push(b'e');
            touch.touch();
            nothing(&handle, &seen);
            handle.defer_sync(move |reactor| reactor.start_receive(token)).unwrap();
            assert_eq!(next(&seen), text("e"));
            handle.defer_sync(move |reactor| reactor.start_transmit(token)).unwrap();
            assert_eq!(next(&seen), Seen::Transmit);

            // A touch of a stream that is gone does nothing.
            handle.defer_sync(move |reactor| reactor.disconnect(token)).unwrap();
            touch.touch();
            at_end(&seen);
        }
    }
}

#[test]
fn a_touched_stream_does_not_starve_others() {
    for (name, poller) in pollers() {
        let broker = Broker::start(name, poller).unwrap();
        let handle = broker.handle();
        let data = Arc::new(Mutex::new(vec![b'x'; 1_000_000]));
        let (log, _endless) = channel();
        let token = register(&handle, Memory { fd: None, data: Arc::clone(&data), left: false, seen: log });
        handle
            .defer_sync(move |reactor| {
                reactor.start_receive(token);
                reactor.touch(token);
            })
            .unwrap();
        let (ours, mut theirs) = socket();
        let (probe, seen) = Probe::new(ours);
        register(&handle, probe);
        theirs.write_all(b"one").unwrap();
        assert_eq!(next(&seen), text("one"), "{name}");
        assert!(!data.lock().unwrap().is_empty(), "{name}: it was served meanwhile");
    }
}
