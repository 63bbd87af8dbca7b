//! The broker and its streams: order of events, timers, changes in callbacks, panics.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mitogen_core::broker::{Broker, DeferError};
use mitogen_core::io::{PollPoller, Reactor, Side, Stopped, Stream, Token};
use support::{LONG, Probe, Seen, at_end, broker, is_registered, next, register, socket, text, wait_until};

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

        // A stopped stream is not notified; after its start it is notified of data that arrived meanwhile.
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
        // Requests for disconnected streams have no effect.
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
