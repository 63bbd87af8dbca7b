//! The entry to this room: a transport and some options in, a [`ConnectHandle`] out.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::connect_handle::{Completion, ConnectHandle};
use super::connection::{self, DriverRef, Job};
use super::detach;
use super::error::ConnectError;
use super::handshake_limiter::{HANDSHAKES_PER_DESTINATION, HandshakeLimiter};
use super::live_contexts::{ContextInfo, LiveContexts};
use super::peers::Peers;
use super::plan::Plan;
use super::prepare::{PlanRequest, Prepared, prepare};
use super::reaper::Processes;
use super::remote;
use super::request::{ConnectRequest, RequestError};
use crate::broker::ProcessMonitor;
use crate::call::Context;
use crate::dialogue::{FailureKind, Stage};
use crate::ids::ContextId;
use crate::router::{LinkId, Router, RouterOptions};

pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) processes: Processes,
    gate: Mutex<HandshakeLimiter<DriverRef>>,
    noise: (RandomState, AtomicU64),
    /// Connections without an outcome, and their hops. Those with a process learn of a shutdown by
    /// their streams; those that wait for their turn or their next try have none.
    open: Mutex<HashMap<LinkId, (String, Completion)>>,
    stopping: AtomicBool,
    members: LiveContexts,
    /// Children that will outlive their links.
    detached: Mutex<HashSet<ContextId>>,
}

impl Shared {
    pub(super) fn gate(&self) -> MutexGuard<'_, HandshakeLimiter<DriverRef>> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing may be started any more.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The children that will outlive their links.
    pub(super) fn detached(&self) -> MutexGuard<'_, HashSet<ContextId>> {
        self.detached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<LinkId, (String, Completion)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the connection behind `link` its outcome.
    pub(super) fn conclude(&self, link: LinkId, done: &Completion, outcome: Result<(), ConnectError>) {
        self.open().remove(&link);
        if let Err(error) = &outcome {
            self.router.links().lost(link, &error.to_string());
        }
        done.set(&outcome.map_err(Arc::new));
    }

    /// The loop has ended: what is still open will never come up.
    fn cancel_all(&self) {
        // They hold this connector, so they must not stay in it.
        let waiting = std::mem::replace(&mut *self.gate(), HandshakeLimiter::new(HANDSHAKES_PER_DESTINATION));
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

/// Starts contexts. Cloning it gives the same connector.
#[derive(Clone)]
pub struct Connector(Arc<Shared>);

/// A connector that may be gone: what handlers of its router hold.
#[derive(Clone)]
pub struct WeakConnector(Weak<Shared>);

impl WeakConnector {
    /// The connector, if it still lives.
    pub fn upgrade(&self) -> Option<Connector> {
        self.0.upgrade().map(Connector)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("router", &self.0.router).finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector for `router`'s tree; `processes` waits for what it starts.
    pub fn new(router: Router, processes: ProcessMonitor) -> Self {
        let processes = Processes::new(processes);
        let last = processes.clone();
        let broker = router.broker().clone();
        let shared = Arc::new(Shared {
            router,
            processes,
            gate: Mutex::new(HandshakeLimiter::new(HANDSHAKES_PER_DESTINATION)),
            noise: (RandomState::new(), AtomicU64::new(0)),
            open: Mutex::default(),
            stopping: AtomicBool::new(false),
            members: LiveContexts::default(),
            detached: Mutex::default(),
        });
        detach::listen(&shared);
        let weak = Arc::downgrade(&shared);
        broker.on_shutdown(move || {
            if let Some(shared) = weak.upgrade() {
                shared.stopping.store(true, Ordering::Relaxed);
            }
        });
        let weak = Arc::downgrade(&shared);
        broker.on_exit(move || {
            last.kill_all();
            if let Some(shared) = weak.upgrade() {
                shared.cancel_all();
            }
        });
        Self(shared)
    }

    /// A reference that does not keep the connector alive.
    pub fn downgrade(&self) -> WeakConnector {
        WeakConnector(Arc::downgrade(&self.0))
    }

    /// The contexts that this connector has started and that are connected, by id.
    pub fn contexts(&self) -> Vec<ContextInfo> {
        self.0.members.all()
    }

    /// The context `id`, if this connector has started it and it is connected.
    pub fn context(&self, id: ContextId) -> Option<Context> {
        let member = self.0.members.all().into_iter().find(|member| member.id == id)?;
        Some(Context::new(&self.0.router, id, &member.name))
    }

    /// Whether siblings are kept apart.
    pub fn unidirectional(&self) -> bool {
        self.0.router.unidirectional()
    }

    /// The plan that [`Connector::connect`] would carry out. [`PlanRequest`] does the same without a
    /// connector.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub fn plan(&self, request: &ConnectRequest<'_>) -> Result<Plan, RequestError> {
        // The id is not allocated yet. It shows in nothing but the size of an upstream child's bootstrap.
        Ok(self.prepare(request, ContextId(1))?.plan)
    }

    /// Starts a context; returns at once. It can be called before it is up.
    ///
    /// # Errors
    /// The transport refuses its options, or `via` and the new context do not go together; nothing
    /// was started.
    pub fn connect(&self, request: &ConnectRequest<'_>) -> Result<ConnectHandle, RequestError> {
        let shared = Arc::clone(&self.0);
        let router = &shared.router;
        let id = router.ids().allocate();
        let prepared = self.prepare(request, id)?;
        let context = Context::new(router, id, &prepared.plan.name);
        let done = Completion::default();
        let connecting = ConnectHandle::new(context, done.clone());
        let parent = request.via.map_or(router.identity().id, Context::id);
        shared.members.follow(&connecting, parent, &prepared.plan.method);
        match request.via {
            Some(via) => remote::start(&shared, via, id, &prepared, &done),
            None => {
                let Prepared { plan, boot, runtime, .. } = prepared;
                let preamble = boot.preamble();
                let link = router.links().begin(id, &plan.name);
                if runtime.legacy_encoding_only() {
                    router.links().set_legacy_encoding_only(link, true);
                }
                Peers::of(router).add(id, runtime, &boot);
                let hop = plan.name.clone();
                shared.open().insert(link, (hop.clone(), done.clone()));
                let job = Job { plan, preamble, id, link, done: done.clone() };
                let broker = router.broker().clone();
                let starter = Arc::clone(&shared);
                if broker.defer(move |reactor| connection::start(&starter, job, reactor)).is_err() {
                    shared.conclude(link, &done, Err(cancelled(&hop)));
                }
            }
        }
        Ok(connecting)
    }

    /// Everything that is sent to start the context of `request` as `id`.
    fn prepare(&self, request: &ConnectRequest<'_>, id: ContextId) -> Result<Prepared, RequestError> {
        let router = &self.0.router;
        let parent = match request.via {
            // The parents of a grandchild are its parent's, as they are known here: every hop was
            // started from here.
            Some(via) => router.lineage_of(via.id()),
            None => router.identity().clone(),
        };
        let options = RouterOptions::default()
            .max_message_size(router.max_message_size())
            .unidirectional(router.unidirectional());
        let mut plan = PlanRequest::new(request.transport, request.settings)
            .context(parent.child(id))
            .router_options(options);
        if let Some(name) = &request.name {
            plan = plan.name(name);
        }
        if let Some(via) = request.via {
            plan = plan.via(via.name(), Peers::of(router).runtime(via.id()));
        }
        prepare(&plan)
    }
}

/// What our own shutdown does to a connection that has no process.
pub(super) fn cancelled(hop: &str) -> ConnectError {
    ConnectError::new(hop, Stage::Spawn, FailureKind::Cancelled, "cancelled by our own shutdown")
}
