//! What can happen during a run, from wherever it comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use bytes::Bytes;
use mitogen::command;
use mitogen_core::broker::{BrokerHandle, SignalWatch};
use mitogen_core::call::Reply;
use mitogen_core::connect::Outcome;
use nix::libc::{SIGHUP, SIGINT, SIGTERM};

use crate::exit;
use crate::output::HostId;

/// Something that happened.
#[derive(Debug)]
pub enum Incoming {
    /// The connection is up, or has failed.
    Reached(HostId, Outcome),
    /// The command did something.
    Command(HostId, command::Event),
    /// The call was answered.
    Reply(HostId, Reply),
    /// Our own input has these bytes; none means that it has ended.
    Input(io::Result<Bytes>),
    /// A signal came.
    Signal(i32),
    /// The tree has ended on somebody's wish.
    Stopped,
}

/// The signals that end a run.
#[derive(Debug)]
pub(super) struct Signals {
    broker: BrokerHandle,
    /// Dropping it gives the signals back their old meaning.
    _watch: Option<SignalWatch>,
}

impl Signals {
    /// Turns signals into events. `busy` says whether the one who takes the events is writing just
    /// now, and may be unable to take any because nobody reads what it writes; then a signal that
    /// means business ends the tree from here, and the process with it.
    pub(super) fn watch(
        broker: &BrokerHandle,
        sender: &Sender<Incoming>,
        busy: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        // What was ignored when we were started, as by nohup, stays so.
        let ignored = ignored_signals();
        let signals: Vec<i32> =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect();
        let stopping = Arc::new(AtomicBool::new(false));
        let watch = {
            let (handle, sender) = (broker.clone(), sender.clone());
            let (stopping, busy) = (Arc::clone(&stopping), Arc::clone(&busy));
            let interrupts = AtomicUsize::new(0);
            SignalWatch::new(broker, &signals, move |_, signal| {
                let first = signal == SIGINT && interrupts.fetch_add(1, Ordering::Relaxed) == 0;
                let _ = sender.send(Incoming::Signal(signal));
                if !first && busy.load(Ordering::SeqCst) {
                    stopping.store(true, Ordering::SeqCst);
                    handle.shutdown();
                }
            })?
        };
        let sender = sender.clone();
        broker.on_exit(move || {
            let _ = sender.send(Incoming::Stopped);
            // All processes have ended; a thread that hangs in a write is all that is left.
            if stopping.load(Ordering::SeqCst) && busy.load(Ordering::SeqCst) {
                std::process::exit(i32::from(exit::INTERRUPTED));
            }
        });
        Ok(Self { broker: broker.clone(), _watch: Some(watch) })
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
