//! What the connections of one router share: the processes, the limit of handshakes, the list of open
//! connections.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::handshake_limiter::{Ended, HANDSHAKES_PER_DESTINATION, HandshakeLimiter, Key};
use super::opener::Opener;
use super::process::Processes;
use crate::broker::ProcessMonitor;
use crate::connect::connect_handle::Completion;
use crate::connect::error::ConnectError;
use crate::connect::plan::Plan;
use crate::dialogue::{FailureKind, Stage};
use crate::ids::ContextId;
use crate::io::{self, Reactor};
use crate::router::{LinkId, Router};

/// One connection to make.
pub(in crate::connect) struct Job {
    pub(in crate::connect) plan: Plan,
    /// What is written to the link before any frame.
    pub(in crate::connect) preamble: Bytes,
    pub(in crate::connect) id: ContextId,
    pub(in crate::connect) link: LinkId,
    /// Opens the link, with the child's command line, if the plan says that it is opened.
    pub(in crate::connect) opener: Option<(Arc<dyn Opener>, Vec<String>)>,
    pub(in crate::connect) done: Completion,
}

/// The state that the connections of one router share.
pub(in crate::connect) struct Launcher {
    router: Router,
    processes: Processes,
    limiter: Mutex<HandshakeLimiter<io::Task>>,
    noise: (RandomState, AtomicU64),
    /// Connections without an outcome, with their names. Those with a stream are cancelled by it at
    /// shutdown; those that wait for their turn, their opener or their next try have none.
    open: Mutex<HashMap<LinkId, (String, Completion)>>,
    stopping: AtomicBool,
    /// Children that continue to run after the end of their links.
    detached: Mutex<HashSet<ContextId>>,
}

impl Launcher {
    /// A launcher for `router`; `processes` waits for what it starts.
    pub(in crate::connect) fn new(router: Router, processes: ProcessMonitor) -> Arc<Self> {
        let processes = Processes::new(processes);
        let last = processes.clone();
        let broker = router.broker().clone();
        let launcher = Arc::new(Self {
            router,
            processes,
            limiter: Mutex::new(HandshakeLimiter::new(HANDSHAKES_PER_DESTINATION)),
            noise: (RandomState::new(), AtomicU64::new(0)),
            open: Mutex::default(),
            stopping: AtomicBool::new(false),
            detached: Mutex::default(),
        });
        let weak = Arc::downgrade(&launcher);
        broker.on_shutdown(move || {
            if let Some(launcher) = weak.upgrade() {
                launcher.stopping.store(true, Ordering::Relaxed);
            }
        });
        let weak = Arc::downgrade(&launcher);
        broker.on_exit(move || {
            last.kill_all();
            if let Some(launcher) = weak.upgrade() {
                launcher.cancel_all();
            }
        });
        launcher
    }

    pub(in crate::connect) fn router(&self) -> &Router {
        &self.router
    }

    pub(super) fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Whether nothing may be started any more.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The children that continue to run after the end of their links.
    pub(in crate::connect) fn detached(&self) -> MutexGuard<'_, HashSet<ContextId>> {
        self.detached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limiter(&self) -> MutexGuard<'_, HandshakeLimiter<io::Task>> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds work that wants to start, and starts what may start now.
    pub(super) fn enter(&self, key: &Key, work: io::Task, reactor: &mut dyn Reactor) {
        self.limiter().enter(key, work);
        self.start(reactor);
    }

    /// Notes that a start has ended, and starts what may start in its place.
    pub(super) fn leave(&self, key: &Key, counted: bool, ended: Ended, reactor: &mut dyn Reactor) {
        self.limiter().leave(key, counted, ended);
        self.start(reactor);
    }

    /// Notes that a start waits for something else than this machine, and starts what may start meanwhile.
    pub(super) fn idles(&self, reactor: &mut dyn Reactor) {
        self.limiter().idles();
        self.start(reactor);
    }

    /// The number of handshakes with a destination that have succeeded, as far as it is remembered.
    pub(super) fn successes(&self, key: &Key) -> u64 {
        self.limiter().successes(key)
    }

    fn start(&self, reactor: &mut dyn Reactor) {
        loop {
            let Some(work) = self.limiter().next() else { return };
            // Not from here: the caller's connection is locked, and the next one may fail at once.
            let now = reactor.now();
            reactor.schedule(now, work);
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<LinkId, (String, Completion)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection to the list of those without an outcome.
    pub(super) fn add(&self, job: &Job) {
        self.open().insert(job.link, (job.plan.name.clone(), job.done.clone()));
    }

    /// Sets the outcome of the connection of `link`.
    pub(super) fn conclude(&self, link: LinkId, done: &Completion, outcome: Result<(), ConnectError>) {
        self.open().remove(&link);
        if let Err(error) = &outcome {
            self.router.links().lost(link, &error.to_string());
        }
        done.set(&outcome.map_err(Arc::new));
    }

    /// Cancels every connection without an outcome: the loop has ended.
    fn cancel_all(&self) {
        // The tasks own connections, which own this launcher.
        let waiting =
            std::mem::replace(&mut *self.limiter(), HandshakeLimiter::new(HANDSHAKES_PER_DESTINATION));
        drop(waiting);
        let open = std::mem::take(&mut *self.open());
        for (link, (hop, done)) in open {
            self.conclude(link, &done, Err(cancelled(&hop)));
        }
    }

    /// A number in 0..1 that differs from call to call and from process to process.
    pub(super) fn noise(&self) -> f64 {
        let number = self.noise.1.fetch_add(1, Ordering::Relaxed);
        (self.noise.0.hash_one(number) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The message of a connection that this process's shutdown has cancelled.
pub(super) const CANCELLED: &str = "cancelled by our own shutdown";

/// The error of a connection that this process's shutdown has cancelled before it had a link.
pub(super) fn cancelled(hop: &str) -> ConnectError {
    ConnectError::new(hop, Stage::Spawn, FailureKind::Cancelled, CANCELLED)
}
