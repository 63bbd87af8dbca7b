//! The loop: order, timers, changes from inside callbacks, panics, and the orderly end.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod reactor_support;

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mitogen_core::broker::{Broker, BrokerHandle, DeferError};
use mitogen_core::io::{PollPoller, Reactor, Side, Stopped, Stream, Token};
use reactor_support::{LONG, Probe, Seen, broker, next, socket, wait_until};

fn register(handle: &BrokerHandle, stream: impl Stream + 'static) -> Token {
    handle.defer_sync(move |reactor| reactor.register(Box::new(stream))).unwrap().unwrap()
}

fn is_registered(handle: &BrokerHandle, token: Token) -> bool {
    handle.defer_sync(move |reactor| reactor.is_registered(token)).unwrap()
}

fn text(text: &str) -> Seen {
    Seen::Bytes(text.into())
}

#[track_caller]
fn at_end(seen: &Receiver<Seen>) {
    assert_eq!(seen.recv_timeout(LONG), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn deferred_work_runs_in_order_on_the_brokers_thread() {
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
fn streams_are_told_of_bytes_room_and_the_end() {
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
fn timers_come_in_order_and_cancelled_ones_do_not() {
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
fn a_stream_replaces_itself_inside_its_own_callback() {
    let broker = broker();
    let handle = broker.handle();
    let (ours, mut theirs) = socket();
    let (first, first_seen) = Probe::new(ours);
    let (log, second_seen) = channel();
    let first = first.reacting(move |first, _, reactor, token| {
        let side = first.side.another();
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
fn a_stream_that_replaces_itself_and_disconnects_ends_as_the_new_one() {
    let broker = broker();
    let (ours, mut theirs) = socket();
    let (first, first_seen) = Probe::new(ours);
    let (log, second_seen) = channel();
    let first = first.reacting(move |first, _, reactor, token| {
        let side = first.side.another();
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
fn a_stream_disconnects_itself_and_another_inside_its_callback() {
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
fn a_stale_token_does_not_reach_the_next_stream_in_its_place() {
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
fn an_event_of_this_round_does_not_reach_a_stream_that_was_ended_in_it() {
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
fn a_panic_ends_its_stream_and_nothing_else() {
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
fn a_shutdown_tells_hooks_then_streams_and_waits_for_those_that_stay() {
    let broker = broker();
    let handle = broker.handle();
    let (events, log) = channel();
    let (ours, mut theirs) = socket();
    let (mut staying, seen) = Probe::new(ours);
    staying.stays = true;
    let staying = register(&handle, staying);
    let (idle, _idle_peer) = socket();
    let (idle, idle_seen) = Probe::new(idle);
    register(&handle, idle);
    for (name, at_exit) in [("shutdown", false), ("exit", true)] {
        let events = events.clone();
        let hook = move || events.send(name).unwrap();
        if at_exit { handle.on_exit(hook) } else { handle.on_shutdown(hook) }
    }
    handle.shutdown();
    handle.shutdown();
    assert_eq!(log.recv_timeout(LONG), Ok("shutdown"));
    assert_eq!(next(&idle_seen), Seen::Shutdown);
    assert_eq!(next(&idle_seen), Seen::Disconnect);
    assert_eq!(next(&seen), Seen::Shutdown);

    // The graceful phase works as before: deferred work, bytes, timers, even new streams.
    theirs.write_all(b"late").unwrap();
    assert_eq!(next(&seen), text("late"));
    assert_eq!(handle.defer_sync(|_| 7), Ok(7));
    let (sender, timer) = channel();
    handle
        .defer(move |reactor| {
            let when = reactor.now() + Duration::from_millis(2);
            reactor.schedule(when, Box::new(move |_| sender.send(()).unwrap()));
        })
        .unwrap();
    timer.recv_timeout(LONG).unwrap();
    assert!(is_registered(&handle, staying));
    assert!(log.try_recv().is_err());
    let late_hook = events.clone();
    handle.on_shutdown(move || late_hook.send("at once").unwrap());
    assert_eq!(log.recv_timeout(LONG), Ok("at once"));

    drop(theirs);
    broker.join();
    assert_eq!(log.recv_timeout(LONG), Ok("exit"));
    assert_eq!(next(&seen), Seen::End);
    assert_eq!(next(&seen), Seen::Disconnect);
    assert_eq!(handle.defer(|_| ()), Err(Stopped));
    assert_eq!(handle.defer_sync(|_| ()), Err(DeferError::Stopped));
    handle.on_exit(move || events.send("at once").unwrap());
    assert_eq!(log.recv_timeout(LONG), Ok("at once"));
}

#[test]
fn the_grace_period_ends_a_shutdown_that_hangs() {
    let broker = broker().with_grace(Duration::from_millis(30));
    let handle = broker.handle();
    let (ours, _theirs) = socket();
    let (mut probe, seen) = Probe::new(ours);
    probe.stays = true;
    register(&handle, probe);
    let start = Instant::now();
    broker.shutdown();
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(next(&seen), Seen::Shutdown);
    assert_eq!(next(&seen), Seen::Disconnect);
    assert_eq!(next(&seen), Seen::Dropped);
}

#[test]
fn only_holding_timers_and_receiving_keep_alive_streams_hold_a_shutdown() {
    let broker = broker().with_grace(Duration::from_secs(600));
    let handle = broker.handle();
    let (ours, _theirs) = socket();
    let (mut loose, _) = Probe::new(ours);
    (loose.stays, loose.keep_alive) = (true, false);
    register(&handle, loose);
    let (ours, _theirs) = socket();
    let (mut deaf, deaf_seen) = Probe::new(ours);
    deaf.stays = true;
    let deaf = register(&handle, deaf);
    let (sender, fired) = channel();
    handle
        .defer(move |reactor| {
            reactor.stop_receive(deaf);
            let now = reactor.now();
            reactor.schedule(now + Duration::from_secs(500), Box::new(|_| panic!("it was not to come")));
            let task = Box::new(move |_: &mut dyn Reactor| sender.send(()).unwrap());
            reactor.schedule_holding(now + Duration::from_millis(40), task);
        })
        .unwrap();
    broker.shutdown();
    fired.try_recv().expect("the holding timer was waited for");
    assert_eq!(next(&deaf_seen), Seen::Shutdown);
    assert_eq!(next(&deaf_seen), Seen::Disconnect);
}

#[test]
fn work_that_was_accepted_before_or_during_a_shutdown_is_done() {
    let broker = broker();
    let handle = broker.handle();
    let done = Arc::new(AtomicUsize::new(0));
    let accepted = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (handle, done, accepted) = (handle.clone(), Arc::clone(&done), Arc::clone(&accepted));
            std::thread::spawn(move || {
                loop {
                    let done = Arc::clone(&done);
                    let work = move |_: &mut dyn Reactor| {
                        done.fetch_add(1, Ordering::SeqCst);
                    };
                    if handle.defer(work).is_err() {
                        return;
                    }
                    accepted.fetch_add(1, Ordering::SeqCst);
                    // Others get at the queue: it is not without bound, so the end must come.
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    wait_until("work is being done", || done.load(Ordering::SeqCst) > 100);
    // A hook runs after the loop has stopped taking work, so it sees the final count.
    broker.shutdown();
    for thread in threads {
        thread.join().unwrap();
    }
    let (done, accepted) = (done.load(Ordering::SeqCst), accepted.load(Ordering::SeqCst));
    assert_eq!(done, accepted);
}

#[test]
fn a_task_that_leaves_itself_again_and_again_does_not_prevent_the_end() {
    fn again(handle: &BrokerHandle) {
        let inner = handle.clone();
        let _ = handle.defer(move |_| again(&inner));
    }
    let broker = broker();
    again(&broker.handle());
    broker.shutdown();
}

#[test]
fn nothing_is_registered_in_the_last_phase() {
    struct Stubborn(std::sync::mpsc::Sender<bool>, OwnedFd);
    impl Stream for Stubborn {
        fn name(&self) -> &str {
            "stubborn"
        }
        fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
            Some(self.1.as_fd())
        }
        fn keep_alive(&self) -> bool {
            false
        }
        fn on_receive(&mut self, _: &mut dyn Reactor, _: Token) {}
        fn on_shutdown(&mut self, _: &mut dyn Reactor, _: Token) {}
        fn on_disconnect(&mut self, reactor: &mut dyn Reactor, _: Token) {
            let again = Stubborn(self.0.clone(), self.1.try_clone().unwrap());
            let _ = self.0.send(reactor.register(Box::new(again)).is_ok());
        }
    }
    let broker = broker();
    let (ours, _theirs) = socket();
    let (sender, outcome) = channel();
    register(&broker.handle(), Stubborn(sender, ours));
    broker.shutdown();
    assert_eq!(outcome.try_iter().collect::<Vec<_>>(), [false]);
}

#[test]
fn a_reactor_gives_a_handle_for_other_threads() {
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
fn a_descriptor_can_be_registered_again_after_its_stream_has_gone() {
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

/// Counts what the loop asks of the kernel.
#[derive(Debug)]
struct CountingPoller {
    inner: Box<dyn mitogen_core::io::Poller>,
    polls: Arc<AtomicUsize>,
    changes: Arc<AtomicUsize>,
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
    fn poll(
        &mut self,
        events: &mut Vec<mitogen_core::io::Event>,
        timeout: Option<Duration>,
    ) -> std::io::Result<()> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        self.inner.poll(events, timeout)
    }
    fn waker(&self) -> mitogen_core::io::Waker {
        self.inner.waker()
    }
}

#[test]
fn a_round_trip_costs_one_wait_and_one_read_and_a_send_wakes_nobody() {
    const TRIPS: usize = 300;
    let (polls, changes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let poller = CountingPoller {
        inner: mitogen_core::io::default_poller().unwrap(),
        polls: Arc::clone(&polls),
        changes: Arc::clone(&changes),
    };
    let broker = Broker::start("test", Box::new(poller)).unwrap();
    let handle = broker.handle();
    let (ours, mut theirs) = socket();
    let (probe, seen) = Probe::new(ours);
    let writer = mitogen_core::io::Writer::new(probe.side.another(), 1_000_000);
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
}
