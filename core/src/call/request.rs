//! One call: function, arguments and chain are set, then it is sent in one of four ways.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::context::Context;
use super::error::CallError;
use super::function::FunctionName;
use super::receiver::Receiver;
use super::reply::{FromMessage, Reply};
use crate::ids::Handle;
use crate::importer::preloader;
use crate::pickle::{CallRequest, Value, write_call};
use crate::router::{HandlerOptions, Policy};
use crate::wire::{Encoding, Message, WellKnownHandle};

/// A call that is not sent yet.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a, A = ()> {
    pub(super) context: &'a Context,
    pub(super) chain: Option<&'a str>,
    pub(super) function: FunctionName,
    pub(super) args: A,
    pub(super) kwargs: Vec<(Value, Value)>,
    pub(super) deadline: Option<Instant>,
}

impl Context {
    /// Starts a request; the function runs in the context's main thread.
    pub fn request(&self, function: FunctionName) -> Request<'_> {
        Request { context: self, chain: None, function, args: (), kwargs: Vec::new(), deadline: None }
    }

    /// Calls `function` and waits for its result.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call<T: FromMessage>(&self, function: &str, args: impl Serialize) -> Result<T, CallError> {
        self.request(function.parse::<FunctionName>()?).args(args).call()
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
        self.request(function.parse::<FunctionName>()?).args(args).call_async()
    }

    /// Calls `function` without asking for a reply.
    ///
    /// # Errors
    /// The request could not be encoded or sent.
    pub fn call_no_reply(&self, function: &str, args: impl Serialize) -> Result<(), CallError> {
        self.request(function.parse::<FunctionName>()?).args(args).call_no_reply()
    }
}

impl<'a, A: Serialize> Request<'a, A> {
    /// Sets the positional arguments: a tuple, a sequence, or `()` for none.
    pub fn args<B: Serialize>(self, args: B) -> Request<'a, B> {
        let Self { context, chain, function, kwargs, deadline, .. } = self;
        Request { context, chain, function, args, kwargs, deadline }
    }

    /// Adds a keyword argument.
    pub fn kwarg(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.kwargs.push((Value::from(name), value.into()));
        self
    }

    /// Sets a timeout from now: for room in the send queue, and in [`Request::call`] for the reply, too.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        // A timeout beyond the clock's range means no timeout.
        self.deadline = Instant::now().checked_add(timeout);
        self
    }

    /// Sends it and waits for the result.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call<T: FromMessage>(self) -> Result<T, CallError> {
        let deadline = self.deadline;
        let receiver = self.call_async()?;
        match deadline {
            Some(deadline) => receiver.get_deadline(deadline),
            None => receiver.get(),
        }
    }

    /// Sends it; the result comes to the receiver.
    ///
    /// # Errors
    /// It could not be encoded or sent.
    pub fn call_async<T: FromMessage>(self) -> Result<Receiver<T>, CallError> {
        let receiver = Receiver::once(self.context.router(), self.reply_options());
        self.send(receiver.handle())?;
        Ok(receiver)
    }

    /// Sends it; `then` is called with the reply on the broker's thread and must not block.
    ///
    /// # Errors
    /// It could not be encoded or sent; `then` is not called.
    pub fn call_then(self, then: impl FnOnce(Reply) + Send + 'static) -> Result<(), CallError> {
        let router = self.context.router();
        let me = router.identity().id;
        let handle =
            router.add_once(self.reply_options(), move |delivery| then(Reply::new(delivery.message, me)));
        let router = router.clone();
        self.send(handle).inspect_err(|_| {
            router.remove_handler(handle);
        })
    }

    /// Sends it without asking for a reply; the remote side logs an exception.
    ///
    /// # Errors
    /// It could not be encoded or sent.
    pub fn call_no_reply(self) -> Result<(), CallError> {
        self.send(Handle::NONE)
    }

    fn reply_options(&self) -> HandlerOptions {
        HandlerOptions { policy: Policy::Any, respondent: Some(self.context.id()) }
    }

    fn send(self, reply_to: Handle) -> Result<(), CallError> {
        let keywords = Keywords(&self.kwargs);
        let payload = write_call(&CallRequest {
            chain_id: self.chain,
            module: &self.function.module,
            class: self.function.class.as_deref(),
            function: &self.function.function,
            arguments: &self.args,
            keywords: (!self.kwargs.is_empty()).then_some(&keywords),
        })
        .map_err(CallError::Encode)?;
        let message = Message {
            reply_to,
            ..Message::new(self.context.id(), WellKnownHandle::CallFunction, Encoding::Pickle, payload)
        };
        let router = self.context.router();
        let Some(preloader) = preloader(router) else {
            return Ok(router.send_blocking(message, self.deadline)?);
        };
        let more = preloader.before_call(self.context.id(), &self.function.module);
        router.send_blocking(message, self.deadline)?;
        if more {
            preloader.after_call(self.context.id(), &self.function.module);
        }
        Ok(())
    }
}

/// Keyword arguments in the order in which they were given.
struct Keywords<'a>(&'a [(Value, Value)]);

impl Serialize for Keywords<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
