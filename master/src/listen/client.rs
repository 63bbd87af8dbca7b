//! A process that has joined somebody's tree.

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

use super::question::{Ids, Place, Places, Question, Told, Waited};
use crate::connection_pool::Connection;
use crate::modules::ModuleSource;
use crate::responder::{DeliveryMode, Guests, ImportPolicy, ModulePreloader, Responder, Store};

/// How long the listener may take for an answer that it has at hand.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a shutdown may take; there is nothing that it would wait for.
const GRACE: Duration = Duration::from_secs(1);

/// What went wrong between a client and its tree.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The tree could not be joined.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The I/O loop could not be started.
    #[error("cannot start the I/O loop")]
    Broker(#[source] io::Error),
    /// The listener does not answer, or says something else.
    #[error("the listener does not answer as it should")]
    Answer(#[source] CallError),
    /// The thread that serves modules could not be started.
    #[error("cannot start the thread that serves modules")]
    Responder(#[source] io::Error),
    /// Ids for guests run out; [`Client::serve`] gets them.
    #[error("no id is left for a new context")]
    NoId,
    /// The listener says why it has no such targets.
    #[error("{0}")]
    Refused(String),
}

/// A member of a tree whose master is another process of this user. Its calls have that master's
/// authority. Dropping it leaves the tree, which stays; what the client waited for is told.
///
/// The only contexts that it starts are copies of others, for modules of its own ([`Client::serve`]).
#[derive(Debug)]
pub struct Client {
    node: Node,
    listener: ContextId,
    guests: Guests,
    responder: Option<Responder>,
}

/// Where targets are, and the way to each.
#[derive(Debug)]
pub struct Reached {
    /// The targets' labels, in order.
    pub labels: Vec<String>,
    /// The ways to them, in the same order.
    pub routes: Vec<Connection>,
}

impl Client {
    /// Joins the tree of the listener at `path`: ours, or stock's.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let joined = unix::join(path)?;
        let options = NodeOptions::default().thread_name("mitogen.client").grace(GRACE);
        let node = Node::start(joined.identity().clone(), &options).map_err(ClientError::Broker)?;
        let listener = joined.listener();
        Peers::of(node.router()).set_default(Arc::new(Python::new()));
        unix::attach(node.router(), joined).map_err(ClientError::Broker)?;
        Ok(Self { node, listener, guests: Guests::default(), responder: None })
    }

    /// The router: for handlers and receivers of one's own.
    pub fn router(&self) -> &Router {
        self.node.router()
    }

    /// The number that we have in the tree.
    pub fn id(&self) -> ContextId {
        self.router().identity().id
    }

    /// The listener. It runs no functions, unless somebody makes it.
    pub fn listener(&self) -> Context {
        Context::new(self.router(), self.listener, "listener")
    }

    /// The context `id` of the tree, which can be called. Nothing is checked: a call to one that is
    /// not there fails.
    pub fn context(&self, id: ContextId, name: &str) -> Context {
        self.context_behind(id, name, &[])
    }

    /// The contexts that the listener has started and that are up.
    ///
    /// # Errors
    /// The listener is not ours, or does not answer.
    pub fn contexts(&self) -> Result<Vec<Told>, ClientError> {
        self.ask(&Question { ask: "contexts".to_owned(), ..Question::default() })
    }

    /// Asks where `targets` (an expression, cut down by `limit`) are. Those that are lost are
    /// connected again by the listener, and can be called before they are up.
    ///
    /// # Errors
    /// The listener knows no such targets, does not hold them, or does not answer.
    pub fn reach(&self, targets: &str, limit: Option<&str>) -> Result<Reached, ClientError> {
        let question = Question {
            ask: "reach".to_owned(),
            targets: Some(targets.to_owned()),
            limit: limit.map(str::to_owned),
            ..Question::default()
        };
        let Places { error, places } = self.ask(&question)?;
        if let Some(error) = error {
            return Err(ClientError::Refused(error));
        }
        let routes = places.iter().map(|place| self.route(place)).collect::<Result<_, _>>()?;
        Ok(Reached { labels: places.into_iter().map(|place| place.label).collect(), routes })
    }

    /// Serves `modules`, asked in order, to contexts that are started for us: [`Client::guest`] and
    /// [`crate::command::Command::script`] start them, `count` at most.
    ///
    /// # Errors
    /// The listener does not answer, or the system refuses a thread.
    pub fn serve(&mut self, modules: Vec<Arc<dyn ModuleSource>>, count: u32) -> Result<(), ClientError> {
        let question = Question { ask: "ids".to_owned(), count: Some(count), ..Question::default() };
        let ids: Ids = self.ask(&question)?;
        self.router().ids().set_block(ContextId(ids.first), count);
        let limit = self.router().max_message_size();
        let store = Arc::new(Store::new(modules, ImportPolicy::default(), None, limit));
        let mode = DeliveryMode::Direct(self.guests.clone());
        self.responder =
            Some(Responder::start(self.router(), &store, &mode).map_err(ClientError::Responder)?);
        importer::set_preloader(self.router(), ModulePreloader::new(store, self.router().downgrade(), mode));
        Ok(())
    }

    /// Starts a copy of `there`, for us: what it imports and is not there comes from the modules that we
    /// serve. It ends when we leave. It can be called when it is up, and not before.
    ///
    /// # Errors
    /// No id is left, or `there` cannot be reached.
    pub fn guest(&self, there: &Context) -> Result<ConnectHandle, ClientError> {
        let id = self.router().ids().take().ok_or(ClientError::NoId)?;
        let name = format!("guest.{id}");
        // A lost listener shows when the context is called.
        let _ = self.router().links().begin_route(id, there.id(), &name);
        self.guests.add(id, None);
        let (connecting, completer) = ConnectHandle::pending(Context::new(self.router(), id, &name));
        let function =
            FunctionName { module: "mitogen.guest".to_owned(), class: None, function: "start".to_owned() };
        let asked = there.request(function).args((id.0,)).call_then(move |reply| {
            completer.complete(&reply.decode::<String>().map(drop).map_err(|error| {
                ConnectError::new(&name, Stage::Connect, FailureKind::ViaLost, error.to_string()).into()
            }));
        });
        asked.map_err(ClientError::Answer)?;
        Ok(connecting)
    }

    /// The same for the context at the end of `host`, which need not be up: why it does not come up is
    /// then why the copy does not.
    ///
    /// # Errors
    /// As [`Client::guest`].
    pub fn guest_of(&self, host: &Connection) -> Result<Connection, ClientError> {
        Ok(host.then(self.guest(host.context())?))
    }

    /// Leaves the tree.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.node.shutdown();
        if let Some(responder) = &mut self.responder {
            responder.join();
        }
    }

    /// Notes the way to `id`, so that whoever waits for it is told when any part of that is lost.
    fn context_behind(&self, id: ContextId, name: &str, way: &[u32]) -> Context {
        let mut via = self.listener;
        for between in way.iter().map(|id| ContextId(*id)) {
            if self.router().directory().name_of(between).is_none() {
                // A lost listener shows when the context is called.
                let _ = self.router().links().begin_route(between, via, &format!("context {between}"));
            }
            via = between;
        }
        let _ = self.router().links().begin_route(id, via, name);
        Context::new(self.router(), id, name)
    }

    fn route(&self, place: &Place) -> Result<Connection, ClientError> {
        let context = self.context_behind(ContextId(place.id), &place.name, &place.way);
        if place.up {
            return Ok(Connection::ready(context));
        }
        let (connecting, completer) = ConnectHandle::pending(context);
        let question =
            Question { ask: "wait".to_owned(), label: Some(place.label.clone()), ..Question::default() };
        let hop = place.name.clone();
        let (me, options) = (self.id(), self.options());
        let handle = self.router().add_once(options, move |delivery| {
            let lost =
                |reason: String| ConnectError::new(&hop, Stage::Connect, FailureKind::ViaLost, reason).into();
            completer.complete(&match Reply::of(delivery.message, me).decode::<Waited>() {
                Ok(Waited { ok: true, .. }) => Ok(()),
                Ok(Waited { error: Some(error), .. }) => Err(error.into()),
                Ok(Waited { error: None, .. }) => Err(lost("it failed and gave no reason".to_owned())),
                Err(error) => Err(lost(error.to_string())),
            });
        });
        self.send(&question, handle)?;
        Ok(Connection::pending(connecting))
    }

    fn ask<T: FromMessage>(&self, question: &Question) -> Result<T, ClientError> {
        let receiver = Receiver::<T>::new(self.router(), self.options());
        self.send(question, receiver.handle())?;
        receiver.get_timeout(PATIENCE).map_err(ClientError::Answer)
    }

    fn options(&self) -> HandlerOptions {
        HandlerOptions { policy: Policy::Any, respondent: Some(self.listener) }
    }

    fn send(&self, question: &Question, reply_to: mitogen_core::ids::Handle) -> Result<(), ClientError> {
        let sent = pickle::to_bytes(question).map_err(CallError::Encode).and_then(|data| {
            let message = Message::new(self.listener, WellKnownHandle::Tree, Encoding::Pickle, data);
            self.router().send(Message { reply_to, ..message }).map_err(|error: SendError| error.into())
        });
        sent.map_err(|error| {
            self.router().remove_handler(reply_to);
            ClientError::Answer(error)
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop();
    }
}
