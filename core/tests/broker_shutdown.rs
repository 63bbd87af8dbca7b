//! The orderly and the forced shutdown of a broker.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use mitogen_core::broker::{BrokerHandle, DeferError};
use mitogen_core::io::{Reactor, Stopped, Stream, Token};
use support::{LONG, Probe, Seen, broker, is_registered, next, register, socket, text, wait_until};

#[test]
fn a_shutdown_calls_hooks_then_streams_and_waits_for_keep_alive_streams() {
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
fn the_grace_period_ends_a_hanging_shutdown() {
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
fn only_keep_alive_timers_and_receiving_keep_alive_streams_delay_a_shutdown() {
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
            reactor.schedule_keep_alive(now + Duration::from_millis(40), task);
        })
        .unwrap();
    broker.shutdown();
    fired.try_recv().expect("the holding timer was waited for");
    assert_eq!(next(&deaf_seen), Seen::Shutdown);
    assert_eq!(next(&deaf_seen), Seen::Disconnect);
}

#[test]
fn tasks_accepted_before_or_during_a_shutdown_run() {
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
fn a_task_that_defers_itself_forever_does_not_prevent_the_shutdown() {
    fn again(handle: &BrokerHandle) {
        let inner = handle.clone();
        let _ = handle.defer(move |_| again(&inner));
    }
    let broker = broker();
    again(&broker.handle());
    broker.shutdown();
}

#[test]
fn no_stream_is_accepted_in_the_last_phase_of_a_shutdown() {
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
