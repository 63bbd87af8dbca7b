//! The entry to this room: a transport and some options in, a [`ConnectHandle`] out.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use thiserror::Error;

use super::connect_handle::{Completion, ConnectHandle};
use super::connection::{self, DriverRef, Job};
use super::detach;
use super::error::ConnectError;
use super::handshake_limiter::{HANDSHAKES_PER_DESTINATION, HandshakeLimiter};
use super::live_contexts::{ContextInfo, LiveContexts};
use super::options::OptionsError;
use super::peers::Peers;
use super::plan::Plan;
use super::reaper::Processes;
use super::remote;
use super::start::Start;
use super::transport::{ChildCommand, Transport};
use super::validate::PlanError;
use crate::broker::ProcessMonitor;
use crate::call::Context;
use crate::dialogue::{FailureKind, Stage};
use crate::ids::ContextId;
use crate::router::{Keepalive, LinkId, Router};
use crate::runtime::{Boot, BootRequest, ChildConfig, Runtime, RuntimeError};
use crate::sys;

/// What runs in a child, and how it is configured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildSettings {
    /// What runs in the child. A copy of a context runs what that context runs.
    pub runtime: Arc<dyn Runtime>,
    /// The name of the child's process in process lists on the remote host; `user@host:pid` of this
    /// process unless given.
    pub remote_name: Option<String>,
    /// Whether the child writes a debug log file of its own. Default: no.
    pub debug: bool,
    /// The effective levels of the child's loggers root, `mitogen` and `mitogen.io`, in Python's
    /// numbers. Default: 30, WARNING, as Python's own root logger. Records below the level are not sent.
    pub log_levels: [i64; 3],
    /// Prefixes of the names of modules that are always fetched from here.
    pub import_overrides: Vec<String>,
    /// Prefixes of the names of modules that are never fetched from here.
    pub import_blocks: Vec<String>,
    /// Keep-alive of the link; the transport's default unless given.
    pub keepalive: Option<Keepalive>,
    /// The time limit of the connection; `None` for the transport's.
    pub timeout: Option<Duration>,
}

impl ChildSettings {
    /// Children that run `runtime`, with everything else at its default.
    pub fn new(runtime: impl Runtime + 'static) -> Self {
        Self {
            runtime: Arc::new(runtime),
            remote_name: None,
            debug: false,
            log_levels: [30, 30, 30],
            import_overrides: Vec::new(),
            import_blocks: Vec::new(),
            keepalive: None,
            timeout: None,
        }
    }

    /// Sets what runs in the child.
    #[must_use]
    pub fn runtime(mut self, runtime: impl Runtime + 'static) -> Self {
        self.runtime = Arc::new(runtime);
        self
    }

    /// Sets the name of the child's process.
    #[must_use]
    pub fn remote_name(mut self, name: impl Into<String>) -> Self {
        self.remote_name = Some(name.into());
        self
    }

    /// Sets whether the child writes a debug log file.
    #[must_use]
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Sets the levels of the child's loggers root, `mitogen` and `mitogen.io`, in Python's numbers.
    #[must_use]
    pub fn log_levels(mut self, levels: [i64; 3]) -> Self {
        self.log_levels = levels;
        self
    }

    /// Sets the prefixes of the names of modules that are always fetched from here.
    #[must_use]
    pub fn import_overrides<I: IntoIterator<Item: Into<String>>>(mut self, prefixes: I) -> Self {
        self.import_overrides = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the prefixes of the names of modules that are never fetched from here.
    #[must_use]
    pub fn import_blocks<I: IntoIterator<Item: Into<String>>>(mut self, prefixes: I) -> Self {
        self.import_blocks = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the time limit for connecting.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the keep-alive of the link.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.keepalive = Some(keepalive);
        self
    }
}

/// One context to start.
#[derive(Debug)]
pub struct ConnectRequest<'a> {
    /// How to get there.
    pub transport: &'a dyn Transport,
    /// The context's name; the transport's own unless given.
    pub name: Option<String>,
    /// The context that starts it; ourselves unless given.
    pub via: Option<&'a Context>,
    /// What the child is told.
    pub settings: &'a ChildSettings,
}

/// A request that no connection can be made of.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The transport refuses its options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The transport has made a plan that cannot be carried out.
    #[error("the plan cannot be carried out")]
    Plan(#[from] PlanError),
    /// The runtime cannot start the context.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The intermediate's runtime cannot carry out plans.
    #[error(
        "{via} runs `{runtime}`, which cannot start contexts by a plan: use another intermediate, or \
         upstream's own method (`mitogen::upstream::connect`)"
    )]
    UnsupportedIntermediate {
        /// The context that was to start the new one.
        via: String,
        /// What runs in it.
        runtime: String,
    },
    /// A copy of a context runs what the context runs.
    #[error(
        "a copy of {via} runs `{runtime}` as {via} does: to run `{wanted}`, use a transport that \
         starts a program"
    )]
    CopyOfOtherRuntime {
        /// The context that was to be copied.
        via: String,
        /// What runs in it.
        runtime: String,
        /// What the settings ask for.
        wanted: String,
    },
}

/// Said when this process would have to copy itself.
pub(super) const FORK_NEEDS_VIA: &str = "a copy is made of a Python context; name one as `via` \
     (copies of the program itself are not there yet)";

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

    /// The plan that [`Connector::connect`] would carry out.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub fn plan(&self, request: &ConnectRequest<'_>) -> Result<Plan, RequestError> {
        // Ids count, so the one that the context would have is not known; it shows in nothing but
        // the size of a stock child's bootstrap.
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

    /// All that is sent to start the context of `request` as `id`.
    fn prepare(&self, request: &ConnectRequest<'_>, id: ContextId) -> Result<Prepared, RequestError> {
        let router = &self.0.router;
        let settings = request.settings;
        let via_runtime = request.via.and_then(|via| Peers::of(router).runtime(via.id()));
        if let (Some(via), Some(runtime)) = (request.via, &via_runtime)
            && !runtime.can_start_children()
        {
            let (via, runtime) = (via.name().to_owned(), runtime.name().to_owned());
            return Err(RequestError::UnsupportedIntermediate { via, runtime });
        }
        let lineage = match request.via {
            // The parents of a grandchild are its parent's, seen from here: each hop is known,
            // because each was started from here.
            Some(via) => router.lineage_of(via.id()),
            None => router.identity().clone(),
        }
        .child(id);
        let parents = lineage.parents.iter().map(|id| id.0).collect();
        let mut config = ChildConfig::new(id.0, parents, "");
        config.debug = settings.debug;
        config.unidirectional = router.unidirectional();
        config.max_message_size = router.max_message_size() as u64;
        config.log_levels = settings.log_levels;
        config.import_overrides.clone_from(&settings.import_overrides);
        config.import_blocks.clone_from(&settings.import_blocks);
        let title = match &settings.remote_name {
            Some(name) => name.replace(['/', '\\'], "_"),
            None => default_remote_name(),
        };
        let mut runtime = Arc::clone(&settings.runtime);
        let boot = runtime.boot(&BootRequest::new(&config, &title))?;
        let command = ChildCommand::new(boot.argv).with_exits(boot.exits);
        let mut plan = request.transport.plan(&command)?;
        if plan.start == Start::Fork {
            let Some(via) = request.via else {
                let message = FORK_NEEDS_VIA.to_owned();
                return Err(OptionsError::in_option(plan.method, "via", message).into());
            };
            if let Some(own) = via_runtime {
                if own.name() != runtime.name() {
                    return Err(RequestError::CopyOfOtherRuntime {
                        via: via.name().to_owned(),
                        runtime: own.name().to_owned(),
                        wanted: runtime.name().to_owned(),
                    });
                }
                runtime = own;
            }
        }
        if let Some(timeout) = settings.timeout {
            plan.timeout = timeout;
        }
        if let Some(keepalive) = settings.keepalive {
            plan.keepalive = keepalive.is_on().then_some(keepalive);
        }
        if let Some(name) = &request.name {
            plan.name.clone_from(name);
        }
        if let Some(via) = request.via {
            plan.name = format!("{}.{}", via.name(), plan.name);
        }
        plan.validate()?;
        config.name.clone_from(&plan.name);
        // Again, with the name that the transport gave the context.
        let boot = runtime.boot(&BootRequest::new(&config, &title))?;
        Ok(Prepared { plan, config, boot, runtime })
    }
}

/// All that is sent to start one context.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) config: ChildConfig,
    pub(super) boot: Boot,
    pub(super) runtime: Arc<dyn Runtime>,
}

/// What our own shutdown does to a connection that has no process.
pub(super) fn cancelled(hop: &str) -> ConnectError {
    ConnectError::new(hop, Stage::Spawn, FailureKind::Cancelled, "cancelled by our own shutdown")
}

/// What a process that we start shows to people who list processes there.
fn default_remote_name() -> String {
    let user = sys::current_user_name().ok().flatten().unwrap_or_else(|| "unknown".to_owned());
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{user}@{}:{}", host.to_string_lossy(), std::process::id()).replace(['/', '\\'], "_")
}
