//! What can happen during a run, from wherever it comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use mitogen::command;
use mitogen_core::broker::{BrokerHandle, SignalWatch};
use mitogen_core::call::Reply;
use mitogen_core::connect::Outcome;
use mitogen_core::io::Reactor;
use nix::libc::{SIGHUP, SIGINT, SIGTERM};

use super::Transfer;
use crate::exit;
use crate::output::HostId;

/// Something that happened.
#[derive(Debug)]
pub enum Incoming {
    /// The connection is up, or has failed.
    Reached(HostId, Outcome),
    /// The command did something.
    Command(HostId, command::CommandEvent),
    /// The call was answered.
    Reply(HostId, Reply),
    /// There is news of files under way.
    Transfer(HostId, Transfer),
    /// Our own input has these bytes; none means that it has ended.
    Input(io::Result<Bytes>),
    /// A signal came.
    Signal(i32),
    /// The tree has ended on somebody's wish.
    Stopped,
}

/// How long the one who takes the events may leave a signal that means business lying. If it does,
/// it hangs in a write, because nobody reads what we print.
const PATIENCE: Duration = Duration::from_millis(500);

/// The signals that end a run.
#[derive(Debug)]
pub(super) struct Signals {
    broker: BrokerHandle,
    /// How many signals have been taken out of the queue.
    taken: Arc<AtomicUsize>,
    /// Dropping it gives the signals back their old meaning.
    _watch: SignalWatch,
}

impl Signals {
    /// Turns signals into events. All but the first Ctrl-C mean business: if they are not taken, the
    /// tree is ended from here, and the process with it.
    pub(super) fn watch(broker: &BrokerHandle, sender: &Sender<Incoming>) -> io::Result<Self> {
        // What was ignored when we were started, as by nohup, stays so.
        let ignored = ignored_signals();
        let signals: Vec<i32> =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect();
        let taken = Arc::new(AtomicUsize::new(0));
        let forced = Arc::new(AtomicBool::new(false));
        let mut came = 0;
        let events = sender.clone();
        let watch = {
            let (taken, forced, handle) = (Arc::clone(&taken), Arc::clone(&forced), broker.clone());
            SignalWatch::new(broker, &signals, move |reactor, signal| {
                came += 1;
                let _ = events.send(Incoming::Signal(signal));
                if signal == SIGINT && came == 1 {
                    return;
                }
                let (number, taken, forced) = (came, Arc::clone(&taken), Arc::clone(&forced));
                let handle = handle.clone();
                let force = move |_: &mut dyn Reactor| {
                    if taken.load(Ordering::SeqCst) < number {
                        forced.store(true, Ordering::SeqCst);
                        handle.shutdown();
                    }
                };
                reactor.schedule(reactor.now() + PATIENCE, Box::new(force));
            })?
        };
        let sender = sender.clone();
        broker.on_exit(move || {
            let _ = sender.send(Incoming::Stopped);
            // All processes have ended; a thread that hangs in a write is all that is left.
            if forced.load(Ordering::SeqCst) {
                std::process::exit(i32::from(exit::INTERRUPTED));
            }
        });
        Ok(Self { broker: broker.clone(), taken, _watch: watch })
    }

    /// A signal has been taken out of the queue.
    pub(super) fn took(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends the tree; [`Incoming::Stopped`] follows.
    pub(super) fn stop(&self) {
        self.broker.shutdown();
    }
}

/// A bit for each signal that this process ignores, the lowest for number 1. Only where the system
/// shows it in `/proc`; elsewhere none.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
