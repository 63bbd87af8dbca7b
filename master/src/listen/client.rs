//! A process that joins the session of another process's master.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mitogen_core::call::{CallError, Context, FromMessage, FunctionName, Receiver, Reply};
use mitogen_core::connect::{ConnectError, ConnectHandle, Peers};
use mitogen_core::dialogue::{FailureKind, Stage};
use mitogen_core::ids::ContextId;
use mitogen_core::importer;
use mitogen_core::node::{Node, NodeOptions};
use mitogen_core::pickle;
use mitogen_core::router::{HandlerOptions, Policy, Router, SendError};
use mitogen_core::unix::{self, JoinError};
use mitogen_core::wire::{Encoding, Message, WellKnownHandle};
use mitogen_python::Python;
use thiserror::Error;

use super::protocol::{IdBlock, ListedContext, Request, TargetLocation, TargetLocations, WaitReply};
use crate::connection::Connection;
use crate::modules::ModuleSource;
use crate::responder::{DeliveryMode, ImportPolicy, ModulePreloader, Responder, ScopedContexts, Store};

/// Timeout for replies that the listener can give at once.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// Limit of a shutdown. A client has no children to wait for.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// A client could not join or use a session.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The session could not be joined.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The I/O loop could not be started.
    #[error("cannot start the I/O loop")]
    Broker(#[source] io::Error),
    /// The listener did not reply in time, or its reply is invalid.
    #[error("no valid reply from the listener")]
    Reply(#[source] CallError),
    /// The thread that serves modules could not be started.
    #[error("cannot start the thread that serves modules")]
    Responder(#[source] io::Error),
    /// The ids for new contexts are used up, or [`Client::serve`] has not been called to get any.
    #[error("no context id is left for a new context")]
    NoId,
    /// The listener refused the request, for this reason.
    #[error("{0}")]
    Refused(String),
}

/// A connection to the session of a master that is another process of this user.
///
/// Its calls have that master's authority. Dropping it leaves the session, which continues; commands that
/// this client has started are ended. The only contexts that a client can start are copies of others, for
/// modules of its own ([`Client::serve`]). [`Listener`](super::Listener) has an example.
///
/// ```no_run
/// use mitogen::Client;
///
/// let client = Client::connect("/run/user/1000/mitogen.sock".as_ref())?;
/// for context in client.contexts()? {
///     println!("{}: {}", context.id, context.name);
/// }
/// client.shutdown();
/// # Ok::<(), mitogen::ClientError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    node: Node,
    listener: ContextId,
    scoped: ScopedContexts,
    responder: Option<Responder>,
}

/// The targets that [`Client::reach`] has found.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReachedTargets {
    /// Their labels, in order.
    pub labels: Vec<String>,
    /// Their connections, in the same order.
    pub connections: Vec<Connection>,
}

impl Client {
    /// Joins the session of the listener at `path`, which may also be one of upstream Mitogen.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let joined = unix::join(path)?;
        let options = NodeOptions::default().thread_name("mitogen.client").grace(SHUTDOWN_GRACE);
        let node = Node::start(joined.identity().clone(), &options).map_err(ClientError::Broker)?;
        let listener = joined.listener();
        Peers::of(node.router()).set_default(Arc::new(Python::new()));
        unix::attach(node.router(), joined).map_err(ClientError::Broker)?;
        Ok(Self { node, listener, scoped: ScopedContexts::default(), responder: None })
    }

    /// The router, for handlers and receivers.
    pub fn router(&self) -> &Router {
        self.node.router()
    }

    /// The context id of this client in the session.
    pub fn id(&self) -> ContextId {
        self.router().identity().id
    }

    /// The listener's own context. It does not execute calls.
    pub fn listener(&self) -> Context {
        Context::new(self.router(), self.listener, "listener")
    }

    /// The context `id` of the session. Nothing is checked; calls to a context that does not exist fail.
    pub fn context(&self, id: ContextId, name: &str) -> Context {
        self.context_behind(id, name, &[])
    }

    /// Lists the contexts that the listener has started and that are connected.
    ///
    /// # Errors
    /// The listener does not reply; one of upstream Mitogen does not know the request.
    pub fn contexts(&self) -> Result<Vec<ListedContext>, ClientError> {
        self.ask(&Request { ask: "contexts".to_owned(), ..Request::default() })
    }

    /// Asks for the contexts of `targets`, an expression that `limit` narrows down. The listener connects
    /// again those that were lost; they can be called at once.
    ///
    /// # Errors
    /// The listener does not know or serve such targets, or does not reply.
    pub fn reach(&self, targets: &str, limit: Option<&str>) -> Result<ReachedTargets, ClientError> {
        let request = Request {
            ask: "reach".to_owned(),
            targets: Some(targets.to_owned()),
            limit: limit.map(str::to_owned),
            ..Request::default()
        };
        let TargetLocations { error, places } = self.ask(&request)?;
        if let Some(error) = error {
            return Err(ClientError::Refused(error));
        }
        let connections = places.iter().map(|target| self.connection(target)).collect::<Result<_, _>>()?;
        Ok(ReachedTargets { labels: places.into_iter().map(|target| target.label).collect(), connections })
    }

    /// Serves modules of this client to its scoped contexts, which [`Client::scoped_context`] and
    /// [`crate::command::Command::script`] start; `count` is the largest number of them. `modules` are
    /// searched in order.
    ///
    /// # Errors
    /// The listener does not reply, or a thread cannot be started.
    pub fn serve(&mut self, modules: Vec<Arc<dyn ModuleSource>>, count: u32) -> Result<(), ClientError> {
        let request = Request { ask: "ids".to_owned(), count: Some(count), ..Request::default() };
        let ids: IdBlock = self.ask(&request)?;
        self.router().ids().set_block(ContextId(ids.first), count);
        let limit = self.router().max_message_size();
        let store = Arc::new(Store::new(modules, ImportPolicy::default(), None, limit));
        let mode = DeliveryMode::Direct(self.scoped.clone());
        self.responder =
            Some(Responder::start(self.router(), &store, &mode).map_err(ClientError::Responder)?);
        importer::set_preloader(self.router(), ModulePreloader::new(store, self.router().downgrade(), mode));
        Ok(())
    }

    /// Starts a scoped context: a copy of `original` that imports the modules of this client and ends with it.
    /// It can be called once it is connected.
    ///
    /// # Errors
    /// No context id is left, or `original` cannot be reached.
    pub fn scoped_context(&self, original: &Context) -> Result<ConnectHandle, ClientError> {
        let id = self.router().ids().take().ok_or(ClientError::NoId)?;
        let name = format!("scoped.{id}");
        // If the listener is lost, the call to the context fails.
        let _ = self.router().links().begin_route(id, original.id(), &name);
        self.scoped.add(id, None);
        let (connecting, completer) = ConnectHandle::pending(Context::new(self.router(), id, &name));
        let function =
            FunctionName { module: "mitogen.scoped".to_owned(), class: None, function: "start".to_owned() };
        let asked = original.request(function).args((id.0,)).call_then(move |reply| {
            completer.complete(&reply.decode::<String>().map(drop).map_err(|error| {
                ConnectError::new(&name, Stage::Connect, FailureKind::ViaLost, error.to_string()).into()
            }));
        });
        asked.map_err(ClientError::Reply)?;
        Ok(connecting)
    }

    /// The same for the context of a connection that may not be established yet. If it fails, so does the
    /// returned connection, with the same error.
    ///
    /// # Errors
    /// As [`Client::scoped_context`].
    pub fn scoped_connection(&self, original: &Connection) -> Result<Connection, ClientError> {
        Ok(original.then(self.scoped_context(original.context())?))
    }

    /// Leaves the session.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.node.shutdown();
        if let Some(responder) = &mut self.responder {
            responder.join();
        }
    }

    /// Adds routes to `id` and to the contexts between, so that those who wait for `id` learn of the loss of any.
    fn context_behind(&self, id: ContextId, name: &str, way: &[u32]) -> Context {
        let mut via = self.listener;
        for between in way.iter().map(|id| ContextId(*id)) {
            if self.router().directory().name_of(between).is_none() {
                // If the listener is lost, the call to the context fails.
                let _ = self.router().links().begin_route(between, via, &format!("context {between}"));
            }
            via = between;
        }
        let _ = self.router().links().begin_route(id, via, name);
        Context::new(self.router(), id, name)
    }

    fn connection(&self, target: &TargetLocation) -> Result<Connection, ClientError> {
        let context = self.context_behind(ContextId(target.id), &target.name, &target.way);
        if target.up {
            return Ok(Connection::ready(context));
        }
        let (connecting, completer) = ConnectHandle::pending(context);
        let request =
            Request { ask: "wait".to_owned(), label: Some(target.label.clone()), ..Request::default() };
        let hop = target.name.clone();
        let (me, options) = (self.id(), self.options());
        let handle = self.router().add_once(options, move |delivery| {
            let lost =
                |reason: String| ConnectError::new(&hop, Stage::Connect, FailureKind::ViaLost, reason).into();
            completer.complete(&match Reply::of(delivery.message, me).decode::<WaitReply>() {
                Ok(WaitReply { ok: true, .. }) => Ok(()),
                Ok(WaitReply { error: Some(error), .. }) => Err(error.into()),
                Ok(WaitReply { error: None, .. }) => {
                    Err(lost("the connection failed without a reason".to_owned()))
                }
                Err(error) => Err(lost(error.to_string())),
            });
        });
        self.send(&request, handle)?;
        Ok(Connection::pending(connecting))
    }

    fn ask<T: FromMessage>(&self, request: &Request) -> Result<T, ClientError> {
        let receiver = Receiver::<T>::new(self.router(), self.options());
        self.send(request, receiver.handle())?;
        receiver.get_timeout(REPLY_TIMEOUT).map_err(ClientError::Reply)
    }

    fn options(&self) -> HandlerOptions {
        HandlerOptions { policy: Policy::Any, respondent: Some(self.listener) }
    }

    fn send(&self, request: &Request, reply_to: mitogen_core::ids::Handle) -> Result<(), ClientError> {
        let sent = pickle::to_bytes(request).map_err(CallError::Encode).and_then(|data| {
            let message = Message::new(self.listener, WellKnownHandle::Tree, Encoding::Pickle, data);
            self.router().send(Message { reply_to, ..message }).map_err(|error: SendError| error.into())
        });
        sent.map_err(|error| {
            self.router().remove_handler(reply_to);
            ClientError::Reply(error)
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop();
    }
}
