//! Starts contexts: takes a transport and settings, and returns a [`ConnectHandle`].

use std::sync::{Arc, Weak};

use super::connect_handle::{Completion, ConnectHandle};
use super::detach;
use super::driver::{self, Job, Launcher, Opener};
use super::live_contexts::{ContextInfo, LiveContexts};
use super::peers::Peers;
use super::plan::Plan;
use super::prepare::{PlanRequest, Prepared, prepare};
use super::request::{ConnectRequest, RequestError};
use super::via;
use crate::broker::ProcessMonitor;
use crate::call::Context;
use crate::ids::ContextId;
use crate::router::{Router, RouterOptions};

/// Starts contexts. Clones refer to the same connector.
#[derive(Clone)]
pub struct Connector {
    launcher: Arc<Launcher>,
    members: LiveContexts,
}

/// A reference that does not keep its connector alive, for handlers of its router.
#[derive(Clone)]
pub struct WeakConnector {
    launcher: Weak<Launcher>,
    members: LiveContexts,
}

impl WeakConnector {
    /// The connector, if it still exists.
    pub fn upgrade(&self) -> Option<Connector> {
        Some(Connector { launcher: self.launcher.upgrade()?, members: self.members.clone() })
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("router", self.launcher.router()).finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector for `router`; `processes` waits for the programs that it starts.
    pub fn new(router: Router, processes: ProcessMonitor) -> Self {
        let launcher = Launcher::new(router, processes);
        detach::listen(&launcher);
        Self { launcher, members: LiveContexts::default() }
    }

    /// A reference that does not keep the connector alive.
    pub fn downgrade(&self) -> WeakConnector {
        WeakConnector { launcher: Arc::downgrade(&self.launcher), members: self.members.clone() }
    }

    /// The contexts that this connector has started and that are connected, by id.
    pub fn contexts(&self) -> Vec<ContextInfo> {
        self.members.all()
    }

    /// The context `id`, if this connector has started it and it is connected.
    pub fn context(&self, id: ContextId) -> Option<Context> {
        let member = self.members.all().into_iter().find(|member| member.id == id)?;
        Some(Context::new(self.launcher.router(), id, &member.name))
    }

    /// Whether siblings are kept apart.
    pub fn unidirectional(&self) -> bool {
        self.launcher.router().unidirectional()
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
        let router = self.launcher.router();
        let id = router.ids().allocate();
        let prepared = self.prepare(request, id)?;
        let context = Context::new(router, id, &prepared.plan.name);
        let done = Completion::default();
        let connecting = ConnectHandle::new(context, done.clone());
        let parent = request.via.map_or(router.identity().id, Context::id);
        self.members.follow(&connecting, parent, &prepared.plan.method);
        match request.via {
            Some(via) => via::start(router, via, id, &prepared, &done),
            None => self.start(prepared, request.transport.opener(), id, done),
        }
        Ok(connecting)
    }

    /// Starts context `id` as `prepared` says, as a child of this process.
    fn start(&self, prepared: Prepared, opener: Option<Arc<dyn Opener>>, id: ContextId, done: Completion) {
        let router = self.launcher.router();
        let Prepared { plan, boot, runtime, .. } = prepared;
        let preamble = boot.preamble();
        let opener = opener.map(|opener| (opener, boot.argv.clone()));
        let link = router.links().begin(id, &plan.name);
        if runtime.legacy_encoding_only() {
            router.links().set_legacy_encoding_only(link, true);
        }
        Peers::of(router).add(id, runtime, &boot);
        driver::launch(&self.launcher, Job { plan, preamble, id, link, opener, done });
    }

    /// Everything that is sent to start the context of `request` as `id`.
    fn prepare(&self, request: &ConnectRequest<'_>, id: ContextId) -> Result<Prepared, RequestError> {
        let router = self.launcher.router();
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
