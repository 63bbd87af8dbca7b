//! Signals that end a run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use mitogen_core::broker::{BrokerHandle, SignalWatch};
use mitogen_core::io::Reactor;
use nix::libc::{SIGHUP, SIGINT, SIGTERM};

use super::event::FleetEvent;
use crate::exit;

/// How long the main thread may take to receive a forcing signal from the queue. If it takes longer, it is
/// blocked in a write, because no process reads its output.
const MAIN_THREAD_TIMEOUT: Duration = Duration::from_millis(500);

/// Turns SIGINT, SIGTERM and SIGHUP into events.
#[derive(Debug)]
pub(super) struct Signals {
    broker: BrokerHandle,
    /// The number of signals that the main thread has received.
    received: Arc<AtomicUsize>,
    /// Dropping it restores the previous handlers.
    _watch: SignalWatch,
}

impl Signals {
    /// Starts watching. Every signal except the first SIGINT is forcing: if the main thread does not
    /// receive its event in time, the broker is shut down from here and the process exits.
    pub(super) fn watch(broker: &BrokerHandle, sender: &Sender<FleetEvent>) -> io::Result<Self> {
        // Signals that were ignored when this process started, as under nohup, stay ignored.
        let ignored = ignored_signals();
        let signals: Vec<i32> =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect();
        let received = Arc::new(AtomicUsize::new(0));
        let forced = Arc::new(AtomicBool::new(false));
        let mut count = 0;
        let events = sender.clone();
        let watch = {
            let (received, forced, handle) = (Arc::clone(&received), Arc::clone(&forced), broker.clone());
            SignalWatch::new(broker, &signals, move |reactor, signal| {
                count += 1;
                let _ = events.send(FleetEvent::Signal(signal));
                if signal == SIGINT && count == 1 {
                    return;
                }
                let (number, received, forced) = (count, Arc::clone(&received), Arc::clone(&forced));
                let handle = handle.clone();
                let force = move |_: &mut dyn Reactor| {
                    if received.load(Ordering::SeqCst) < number {
                        forced.store(true, Ordering::SeqCst);
                        handle.shutdown();
                    }
                };
                reactor.schedule(reactor.now() + MAIN_THREAD_TIMEOUT, Box::new(force));
            })?
        };
        let sender = sender.clone();
        broker.on_exit(move || {
            let _ = sender.send(FleetEvent::Stopped);
            // All child processes have ended; only the main thread is left, blocked in a write.
            if forced.load(Ordering::SeqCst) {
                std::process::exit(i32::from(exit::INTERRUPTED));
            }
        });
        Ok(Self { broker: broker.clone(), received, _watch: watch })
    }

    /// Notes that the main thread has received a signal's event.
    pub(super) fn note_received(&self) {
        self.received.fetch_add(1, Ordering::SeqCst);
    }

    /// Shuts the broker down; [`FleetEvent::Stopped`] follows.
    pub(super) fn stop(&self) {
        self.broker.shutdown();
    }
}

/// The signals that this process ignores: bit 0 for signal 1 and so on. Read from `/proc`; 0 on systems
/// without it.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
