//! The listener's side: accepting clients and answering their requests.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mitogen_core::connect::{ConnectError, Connector, Outcome};
use mitogen_core::ids::{ContextId, Handle};
use mitogen_core::pickle;
use mitogen_core::router::{Delivery, HandlerOptions, Policy, Router, WeakRouter};
use mitogen_core::unix::{self, BindError};
use mitogen_core::wire::{Encoding, Message, WellKnownHandle};
use serde::Serialize;

use super::protocol::{IdBlock, ListedContext, Request, TargetLocations, WaitReply};

/// The largest block of context ids that a client gets.
const MAX_IDS: u32 = 1 << 20;

/// A client's request about targets, for the program that knows them by name. If a request is dropped
/// without a reply, its client waits until the session ends.
#[derive(Debug)]
#[non_exhaustive]
pub enum TargetRequest {
    /// Asks where targets are. Those that were lost are to be connected again.
    Reach {
        /// A target expression.
        targets: String,
        /// A second expression, which targets must match as well.
        limit: Option<String>,
        /// Sends the reply.
        reply: ReplyHandle,
    },
    /// Asks how the connection attempt of a target ended, or will end.
    Wait {
        /// The target's label.
        label: String,
        /// Sends the reply.
        reply: ReplyHandle,
    },
}

/// Sends the reply to a [`TargetRequest`].
#[derive(Debug)]
pub struct ReplyHandle {
    router: WeakRouter,
    to: ContextId,
    handle: Handle,
}

impl ReplyHandle {
    /// Replies to [`TargetRequest::Reach`].
    pub fn locations(self, locations: &TargetLocations) {
        self.send(locations);
    }

    /// Replies to [`TargetRequest::Wait`].
    pub fn outcome(self, outcome: &Outcome) {
        let error: Option<ConnectError> = outcome.as_ref().err().map(|error| (**error).clone());
        self.send(&WaitReply { ok: error.is_none(), error });
    }

    fn send<T: Serialize>(self, reply: &T) {
        let Some(router) = self.router.upgrade() else { return };
        match pickle::to_bytes(reply) {
            Ok(data) => {
                let message = Message::new(self.to, self.handle, Encoding::Pickle, data);
                if let Err(error) = router.send(message) {
                    tracing::debug!(%error, "a client left before its reply was sent");
                }
            }
            Err(error) => tracing::error!(%error, "cannot encode the reply to a client"),
        }
    }
}

type TargetHandler = Arc<dyn Fn(TargetRequest) + Send + Sync>;

/// A unix socket on which other processes of this user join a master's session. Dropping it closes and
/// removes the socket; clients that have joined stay connected until the master ends.
///
/// ```
/// use mitogen::{Client, Master, MasterOptions, transports::local};
///
/// let master = Master::start(MasterOptions::default())?;
/// let context = master.connect(&local::Local::new(local::Options::new())?)?.wait()?;
/// let listener = master.listen(None)?;
///
/// // In practice, another process:
/// let client = Client::connect(listener.path())?;
/// let contexts = client.contexts()?;
/// assert_eq!(contexts[0].id, context.id().0);
/// let sum: i64 = client.context(context.id(), "child").call("operator.add", (2, 3))?;
/// assert_eq!(sum, 5);
/// client.shutdown();
///
/// drop(listener);
/// master.shutdown();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    listener: unix::Listener,
    router: Router,
    connector: Connector,
    labels: Labels,
}

type Labels = Arc<Mutex<HashMap<u32, String>>>;

impl Listener {
    /// Listens at `path`, or in a new directory that only this user may enter.
    pub(crate) fn bind(
        router: &Router,
        connector: &Connector,
        path: Option<&Path>,
    ) -> Result<Self, BindError> {
        let listener = unix::Listener::bind(router, path)?;
        let this = Self {
            listener,
            router: router.clone(),
            connector: connector.clone(),
            labels: Labels::default(),
        };
        this.handle_requests(None);
        Ok(this)
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        self.listener.path()
    }

    /// Sets the target that clients see for the context `id`. Ids are never reused, so labels are not removed.
    pub fn label(&self, id: ContextId, target: &str) {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).insert(id.0, target.to_owned());
    }

    /// Calls `handler` with requests about targets, on the broker's thread, where it must not block. Without
    /// a handler, clients are told that the session has no named targets.
    pub fn on_target_request(&self, handler: impl Fn(TargetRequest) + Send + Sync + 'static) {
        self.handle_requests(Some(Arc::new(handler)));
    }

    fn handle_requests(&self, handler: Option<TargetHandler>) {
        let weak = self.router.downgrade();
        let connector = self.connector.downgrade();
        let labels = Arc::clone(&self.labels);
        let options = HandlerOptions { policy: Policy::ParentAuthority, respondent: None };
        self.router.add_handler(Some(WellKnownHandle::Tree.handle()), options, move |delivery| {
            let contexts = || {
                let members = connector.upgrade().map(|connector| connector.contexts());
                let labels = labels.lock().unwrap_or_else(PoisonError::into_inner);
                let listed = members.unwrap_or_default().into_iter().map(ListedContext::from);
                listed.map(|it| ListedContext { target: labels.get(&it.id).cloned(), ..it }).collect()
            };
            if let Err(error) = handle(&weak, &delivery, contexts, handler.as_deref()) {
                let src = delivery.message.src_id.0;
                tracing::warn!(src, %error, "invalid request of a client");
            }
        });
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.router.remove_handler(WellKnownHandle::Tree.handle());
    }
}

fn handle(
    router: &WeakRouter,
    delivery: &Delivery,
    contexts: impl FnOnce() -> Vec<ListedContext>,
    handler: Option<&(dyn Fn(TargetRequest) + Send + Sync)>,
) -> io::Result<()> {
    let message = &delivery.message;
    if message.is_dead() || !message.wants_reply() {
        return Ok(());
    }
    let reply = ReplyHandle { router: router.clone(), to: message.src_id, handle: message.reply_to };
    let request: Request = pickle::from_bytes(&message.data).map_err(io::Error::other)?;
    let no_targets = "this session has no named targets; list its contexts instead";
    match (request.ask.as_str(), handler) {
        ("contexts", _) => reply.send(&contexts()),
        ("ids", _) => {
            let count = request.count.unwrap_or(1).min(MAX_IDS);
            let router = router.upgrade().ok_or_else(|| io::Error::other("the router has ended"))?;
            match router.ids().allocate_block(count) {
                Some(first) => reply.send(&IdBlock { first: first.0 }),
                None => {
                    let dead = Message::dead(message.src_id, message.reply_to, "no context ids are left");
                    router.send(dead).map_err(io::Error::other)?;
                }
            }
        }
        ("reach", Some(handler)) => {
            let (targets, limit) = (request.targets.unwrap_or_default(), request.limit);
            handler(TargetRequest::Reach { targets, limit, reply });
        }
        ("wait", Some(handler)) => {
            handler(TargetRequest::Wait { label: request.label.unwrap_or_default(), reply });
        }
        ("reach", None) => reply.locations(&TargetLocations::error(no_targets)),
        (other, _) => {
            let message = format!("unknown request {other:?}");
            reply.locations(&TargetLocations::error(message.clone()));
            return Err(io::Error::other(message));
        }
    }
    Ok(())
}
