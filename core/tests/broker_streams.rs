//! The broker and its streams: order of events, timers, changes in callbacks, panics, and the cost of a round trip.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mitogen_core::broker::{Broker, DeferError};
use mitogen_core::io::{PollPoller, Reactor, Residual, Side, Stopped, Stream, Token, Touch};
use support::{LONG, Probe, Seen, broker, is_registered, next, pollers, register, socket, text, wait_until};

#[track_caller]
fn at_end(seen: &Receiver<Seen>) {
    assert_eq!(seen.recv_timeout(LONG), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn deferred_tasks_run_in_order_on_the_brokers_thread() {
    let broker = broker();
    let handle = broker.handle();
    let log = Arc::new(Mutex::new(Vec::new()));
    for n in 0..1_000 {
        let (log, inner) = (Arc::clone(&log), handle.clone());
        handle
            .defer(move |_| {
                assert!(inner.is_broker_thread());
                log.lock().unwrap().push(n);
            })
            .unwrap();
    }
    // From inside: after the current callback, and after what waits already.
    let (inner_log, inner) = (Arc::clone(&log), handle.clone());
    let nested = handle.defer_sync(move |_| {
        let log = Arc::clone(&inner_log);
        inner.defer(move |_| log.lock().unwrap().push(1_001)).unwrap();
        inner_log.lock().unwrap().push(1_000);
    });
    nested.unwrap();
    assert!(!handle.is_broker_thread());
    handle.defer_sync(|_| ()).unwrap();
    assert_eq!(*log.lock().unwrap(), (0..=1_001).collect::<Vec<_>>());
}

#[test]
fn streams_are_notified_of_data_space_and_disconnect() {
    for poller in [mitogen_core::io::default_poller().unwrap(), Box::new(PollPoller::new().unwrap())] {
        let broker = Broker::start("test", poller).unwrap();
        let handle = broker.handle();
        let (ours, mut theirs) = socket();
        let (probe, seen) = Probe::new(ours);
        let token = register(&handle, probe);
        theirs.write_all(b"one").unwrap();
        assert_eq!(next(&seen), text("one"));
        handle.defer(move |reactor| reactor.start_transmit(token)).unwrap();
        assert_eq!(next(&seen), Seen::Transmit);

        // Stopped: not told. Started: told again of what came meanwhile.
        handle.defer_sync(move |reactor| reactor.stop_receive(token)).unwrap();
        theirs.write_all(b"two").unwrap();
        handle.defer_sync(|_| ()).unwrap();
        handle.defer_sync(|_| ()).unwrap();
        assert!(seen.try_recv().is_err());
        handle.defer_sync(move |reactor| reactor.start_receive(token)).unwrap();
        assert_eq!(next(&seen), text("two"));

        drop(theirs);
        assert_eq!(next(&seen), Seen::End);
        assert_eq!(next(&seen), Seen::Disconnect);
        assert_eq!(next(&seen), Seen::Dropped);
        at_end(&seen);
        assert!(!is_registered(&handle, token));
    }
}

#[test]
fn a_stream_of_two_pipes_is_one_stream() {
    struct Pipes {
        receive: OwnedFd,
        transmit: OwnedFd,
        told: std::sync::mpsc::Sender<&'static str>,
    }
    impl Stream for Pipes {
        fn name(&self) -> &str {
            "pipes"
        }
        fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
            Some(self.receive.as_fd())
        }
        fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
            Some(self.transmit.as_fd())
        }
        fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
            self.told.send("receive").unwrap();
            reactor.stop_receive(token);
            reactor.start_transmit(token);
        }
        fn on_transmit(&mut self, reactor: &mut dyn Reactor, token: Token) {
            self.told.send("transmit").unwrap();
            reactor.disconnect(token);
        }
    }
    let broker = broker();
    let (receive, mut their_writer) = std::io::pipe().unwrap();
    let (_their_reader, transmit) = std::io::pipe().unwrap();
    let (told, seen) = channel();
    let token =
        register(&broker.handle(), Pipes { receive: receive.into(), transmit: transmit.into(), told });
    their_writer.write_all(b"x").unwrap();
    assert_eq!(seen.recv_timeout(LONG), Ok("receive"));
    assert_eq!(seen.recv_timeout(LONG), Ok("transmit"));
    assert!(seen.recv_timeout(LONG).is_err(), "the stream and its sender are gone");
    assert!(!is_registered(&broker.handle(), token));
}

#[test]
fn timers_fire_in_order_unless_cancelled() {
    let broker = broker();
    let handle = broker.handle();
    let (sender, seen) = channel();
    let start = Instant::now();
    handle
        .defer(move |reactor| {
            let now = reactor.now();
            for (millis, name) in [(30, "c"), (10, "a"), (10, "b"), (20, "gone")] {
                let sender = sender.clone();
                let when = now + Duration::from_millis(millis);
                let task = Box::new(move |reactor: &mut dyn Reactor| {
                    assert!(reactor.now() >= when);
                    sender.send(name).unwrap();
                });
                let timer = reactor.schedule(when, task);
                if name == "gone" {
                    assert!(reactor.cancel(timer));
                    assert!(!reactor.cancel(timer));
                }
            }
        })
        .unwrap();
    let names: Vec<_> = (0..3).map(|_| seen.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(seen.recv_timeout(LONG).is_err(), "the cancelled timer was dropped with its sender");
}

#[test]
fn a_stream_can_replace_itself_in_its_own_callback() {
    let broker = broker();
    let handle = broker.handle();
    let (ours, mut theirs) = socket();
    let (first, first_seen) = Probe::new(ours);
    let (log, second_seen) = channel();
    let first = first.reacting(move |first, _, reactor, token| {
        let side = first.side.share();
        let second = Probe { side, log: log.clone(), keep_alive: true, stays: false, on_receive: None };
        assert!(reactor.replace(token, Box::new(second)));
        assert!(reactor.is_registered(token));
    });
    let token = register(&handle, first);
    theirs.write_all(b"one").unwrap();
    assert_eq!(next(&first_seen), text("one"));
    assert_eq!(next(&first_seen), Seen::Dropped, "without a disconnect");
    at_end(&first_seen);
    theirs.write_all(b"two").unwrap();
    assert_eq!(next(&second_seen), text("two"));

    // From outside of any callback, and with another descriptor.
    let (other, mut others) = socket();
    let (third, third_seen) = Probe::new(other);
    assert!(handle.defer_sync(move |reactor| reactor.replace(token, Box::new(third))).unwrap());
    assert_eq!(next(&second_seen), Seen::Dropped);
    others.write_all(b"three").unwrap();
    assert_eq!(next(&third_seen), text("three"));
    drop(others);
    assert_eq!(next(&third_seen), Seen::End);
    wait_until("the token is unknown", || !is_registered(&handle, token));
    let (fourth, _) = Probe::new(socket().0);
    assert!(!handle.defer_sync(move |reactor| reactor.replace(token, Box::new(fourth))).unwrap());
}

#[test]
fn a_stream_replaced_and_disconnected_in_one_callback_notifies_the_replacement() {
    let broker = broker();
    let (ours, mut theirs) = socket();
    let (first, first_seen) = Probe::new(ours);
    let (log, second_seen) = channel();
    let first = first.reacting(move |first, _, reactor, token| {
        let side = first.side.share();
        let second = Probe { side, log: log.clone(), keep_alive: true, stays: false, on_receive: None };
        reactor.replace(token, Box::new(second));
        reactor.disconnect(token);
    });
    register(&broker.handle(), first);
    theirs.write_all(b"x").unwrap();
    assert_eq!(next(&first_seen), text("x"));
    assert_eq!(next(&first_seen), Seen::Dropped);
    assert_eq!(next(&second_seen), Seen::Disconnect);
    assert_eq!(next(&second_seen), Seen::Dropped);
}

#[test]
fn a_stream_can_disconnect_itself_and_another_in_its_callback() {
    let broker = broker();
    let handle = broker.handle();
    let (other, _others) = socket();
    let (other, other_seen) = Probe::new(other);
    let victim = register(&handle, other);
    let (ours, mut theirs) = socket();
    let (probe, seen) = Probe::new(ours);
    let order = Arc::new(AtomicBool::new(false));
    let inside = Arc::clone(&order);
    let probe = probe.reacting(move |probe, _, reactor, token| {
        reactor.disconnect(victim);
        reactor.disconnect(token);
        reactor.disconnect(token);
        assert!(!reactor.is_registered(victim) && !reactor.is_registered(token));
        // All of these are for nobody now.
        reactor.start_transmit(token);
        reactor.stop_receive(victim);
        // The descriptors are out of the poller but still open.
        assert!(probe.number() >= 0);
        inside.store(true, Ordering::SeqCst);
    });
    register(&handle, probe);
    theirs.write_all(b"x").unwrap();
    assert_eq!(next(&other_seen), Seen::Disconnect);
    assert!(order.load(Ordering::SeqCst), "told after the callback, not within it");
    assert_eq!(next(&other_seen), Seen::Dropped);
    assert_eq!(next(&seen), text("x"));
    assert_eq!(next(&seen), Seen::Disconnect);
    assert_eq!(next(&seen), Seen::Dropped);
    at_end(&seen);
}

#[test]
fn a_stale_token_does_not_reach_the_stream_that_reuses_its_slot() {
    let broker = broker();
    let handle = broker.handle();
    let (probe, seen) = Probe::new(socket().0);
    let old = register(&handle, probe);
    handle.defer_sync(move |reactor| reactor.disconnect(old)).unwrap();
    while next(&seen) != Seen::Dropped {}
    let (ours, _theirs) = socket();
    let (probe, seen) = Probe::new(ours);
    let new = register(&handle, probe);
    assert_ne!(old, new);
    handle.defer_sync(move |reactor| reactor.disconnect(old)).unwrap();
    assert!(is_registered(&handle, new));
    assert!(seen.try_recv().is_err());
}

#[test]
fn an_event_does_not_reach_a_stream_disconnected_in_the_same_iteration() {
    // Two streams become ready in one round; whichever comes first ends the other.
    let broker = broker();
    let handle = broker.handle();
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::new(AtomicUsize::new(0));
    let mut others = Vec::new();
    for _ in 0..2 {
        let (ours, theirs) = socket();
        let (probe, _) = Probe::new(ours);
        let (tokens_inside, received) = (Arc::clone(&tokens), Arc::clone(&received));
        let probe = probe.reacting(move |_, _, reactor, own| {
            received.fetch_add(1, Ordering::SeqCst);
            for &token in tokens_inside.lock().unwrap().iter().filter(|&&token| token != own) {
                reactor.disconnect(token);
            }
        });
        let token = register(&handle, probe);
        tokens.lock().unwrap().push(token);
        others.push(theirs);
    }
    handle
        .defer_sync(move |_| {
            for theirs in &mut others {
                theirs.write_all(b"x").unwrap();
            }
            others
        })
        .map(std::mem::forget)
        .unwrap();
    wait_until("one has received", || received.load(Ordering::SeqCst) > 0);
    handle.defer_sync(|_| ()).unwrap();
    assert_eq!(received.load(Ordering::SeqCst), 1);
}

#[test]
fn a_panic_disconnects_only_its_own_stream() {
    let broker = broker();
    let handle = broker.handle();
    let (ours, mut theirs) = socket();
    let (probe, seen) = Probe::new(ours);
    let probe = probe.reacting(|_, _, _, _| panic!("on purpose"));
    register(&handle, probe);
    let (other, mut others) = socket();
    let (other, other_seen) = Probe::new(other);
    register(&handle, other);

    theirs.write_all(b"x").unwrap();
    assert_eq!(next(&seen), text("x"));
    assert_eq!(next(&seen), Seen::Disconnect);
    assert_eq!(next(&seen), Seen::Dropped);
    handle.defer(|_| panic!("on purpose")).unwrap();
    assert_eq!(handle.defer_sync(|_| panic!("on purpose")), Err::<(), _>(DeferError::Panicked));
    handle
        .defer(|reactor| {
            let now = reactor.now();
            reactor.schedule(now, Box::new(|_| panic!("on purpose")));
        })
        .unwrap();
    others.write_all(b"alive").unwrap();
    assert_eq!(next(&other_seen), text("alive"));
    handle.on_shutdown(|| panic!("on purpose"));
    broker.shutdown();
    assert_eq!(next(&other_seen), Seen::Shutdown);
}

#[test]
fn a_reactor_provides_a_handle_for_other_threads() {
    let broker = broker();
    let handle = broker.handle().defer_sync(|reactor| reactor.handle()).unwrap();
    assert!(!handle.is_broker_thread());
    let (sender, done) = channel();
    handle.defer(Box::new(move |_| sender.send(()).unwrap())).unwrap();
    done.recv_timeout(LONG).unwrap();
    handle.shutdown();
    broker.join();
    assert_eq!(handle.defer(Box::new(|_| ())), Err(Stopped));
}

#[test]
fn a_descriptor_can_be_registered_again_after_a_disconnect() {
    let broker = broker();
    let handle = broker.handle();
    let (ours, mut theirs) = socket();
    let copy = ours.try_clone().unwrap();
    let (probe, seen) = Probe::new(ours);
    let token = register(&handle, probe);
    handle.defer_sync(move |reactor| reactor.disconnect(token)).unwrap();
    while next(&seen) != Seen::Dropped {}
    let (probe, seen) = Probe::new(copy);
    assert!(probe.side.fd().unwrap().as_raw_fd() >= 0);
    register(&handle, probe);
    theirs.write_all(b"again").unwrap();
    assert_eq!(next(&seen), text("again"));
}

#[test]
fn a_panic_in_on_disconnect_or_drop_is_contained() {
    struct Sore(OwnedFd, bool);
    impl Stream for Sore {
        fn name(&self) -> &str {
            "sore"
        }
        fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }
        fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
            let next = Sore(self.0.try_clone().unwrap(), false);
            if self.1 {
                reactor.replace(token, Box::new(next));
            } else {
                reactor.disconnect(token);
            }
        }
        fn on_disconnect(&mut self, _: &mut dyn Reactor, _: Token) {
            panic!("on purpose");
        }
    }
    impl Drop for Sore {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("on purpose");
            }
        }
    }
    let broker = broker();
    let (ours, mut theirs) = socket();
    let token = register(&broker.handle(), Sore(ours, true));
    theirs.write_all(b"x").unwrap();
    wait_until("the first and the second have ended", || !is_registered(&broker.handle(), token));
    assert_eq!(broker.handle().defer_sync(|_| 1), Ok(1));
}

// The other pollers let the later registration win.
#[cfg(target_os = "linux")]
#[test]
fn a_replacement_that_cannot_be_registered_is_disconnected() {
    let broker = broker();
    let handle = broker.handle();
    let (ours, _theirs) = socket();
    let (first, _first_seen) = Probe::new(ours);
    let token = register(&handle, first);
    // A descriptor that is watched already, for another stream, is refused.
    let (taken, _taken_peer) = socket();
    let (owner, _owner_seen) = Probe::new(taken);
    let side = owner.side.share();
    let owner = register(&handle, owner);
    let (log, seen) = channel();
    let second = Probe { side, log, keep_alive: true, stays: false, on_receive: None };
    handle.defer_sync(move |reactor| reactor.replace(token, Box::new(second))).unwrap();
    assert_eq!(next(&seen), Seen::Disconnect);
    assert_eq!(next(&seen), Seen::Dropped);
    assert!(!is_registered(&handle, token) && is_registered(&handle, owner));
}

/// Reads or writes one byte at a time, and says whatever it was told to say of the rest.
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
        // Stopped and started, it is asked anew, and so it is when something comes.
        handle.defer_sync(move |reactor| reactor.stop_receive(token)).unwrap();
        theirs.write_all(b"d").unwrap();
        handle.defer_sync(move |reactor| reactor.start_receive(token)).unwrap();
        assert_eq!(seen.recv_timeout(LONG), Ok("byte"));
        // One that claims to have filled what room there was is not told again of the same.
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
    // Two more: the wait that was going on at the start, and the one that goes on now.
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
