//! A context as a thing to call.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::chain::CallChain;
use super::error::CallError;
use super::function::FunctionName;
use super::receiver::Receiver;
use super::reply::FromMessage;
use super::request::Request;
use crate::ids::ContextId;
use crate::router::{Router, SendError};

/// A context that can be called. Cloning it is cheap and gives the same context.
#[derive(Clone)]
pub struct Context {
    router: Router,
    id: ContextId,
    name: Arc<str>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({}, {:?})", self.id, self.name)
    }
}

impl Context {
    /// The context `id`, reached through `router`.
    pub fn new(router: &Router, id: ContextId, name: &str) -> Self {
        Self { router: router.clone(), id, name: name.into() }
    }

    /// Its number in the tree.
    pub fn id(&self) -> ContextId {
        self.id
    }

    /// Its name, such as `ssh.web1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The router that leads to it.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Starts a request; the function runs in the context's main thread.
    pub fn request(&self, function: FunctionName) -> Request<'_> {
        Request { context: self, chain: None, function, args: (), kwargs: Vec::new(), deadline: None }
    }

    /// Calls `function` and waits for its result.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call<T: FromMessage>(&self, function: &str, args: impl Serialize) -> Result<T, CallError> {
        self.request(named(function)?).args(args).call()
    }

    /// Calls `function`; the result comes to the receiver.
    ///
    /// # Errors
    /// The request could not be encoded or sent.
    pub fn call_async<T: FromMessage>(
        &self,
        function: &str,
        args: impl Serialize,
    ) -> Result<Receiver<T>, CallError> {
        self.request(named(function)?).args(args).call_async()
    }

    /// Calls `function` and wants no reply.
    ///
    /// # Errors
    /// The request could not be encoded or sent.
    pub fn call_no_reply(&self, function: &str, args: impl Serialize) -> Result<(), CallError> {
        self.request(named(function)?).args(args).call_no_reply()
    }

    /// A chain of calls that can be sent without waiting: after one has failed, those behind it
    /// fail with its error and are not run.
    pub fn chain(&self) -> CallChain {
        CallChain::new(self.clone())
    }

    /// Asks the context to end; whoever still waits for it is told.
    ///
    /// # Errors
    /// There is no way to it any more.
    pub fn shutdown(&self) -> Result<(), SendError> {
        self.router.request_shutdown(self.id)
    }

    /// Calls `watcher`, once, with the reason when this context is lost.
    pub fn on_disconnect(&self, watcher: impl FnOnce(&str) + Send + 'static) {
        self.router.on_disconnect(self.id, watcher);
    }

    /// Bytes queued towards it and not yet taken by the kernel.
    pub fn pending_bytes(&self) -> usize {
        self.router.pending_bytes(self.id)
    }
}

fn named(function: &str) -> Result<FunctionName, CallError> {
    Ok(function.parse::<FunctionName>()?)
}
