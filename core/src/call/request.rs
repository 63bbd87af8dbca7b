//! A call as it is being put together: function, arguments, chain; then sent in one of four ways.

use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeTuple, Serializer};

use super::context::Context;
use super::error::CallError;
use super::function::FunctionName;
use super::receiver::Receiver;
use super::reply::{FromMessage, Reply};
use crate::ids::Handle;
use crate::pickle::{self, Value};
use crate::router::{HandlerOptions, Policy};
use crate::wire::{Encoding, Message, Standard};

/// Positional arguments: a tuple of up to eight serializable values, or a slice of [`Value`]s.
pub trait Args {
    /// Writes them as one tuple.
    ///
    /// # Errors
    /// A value cannot be encoded.
    fn serialize_args<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

macro_rules! tuples {
    ($($($name:ident)*;)*) => {$(
        impl<$($name: Serialize),*> Args for ($($name,)*) {
            #[allow(non_snake_case, reason = "the macro names each value after its type")]
            fn serialize_args<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let ($($name,)*) = self;
                let tuple = serializer.serialize_tuple(0 $(+ { let _ = $name; 1 })*)?;
                #[allow(unused_mut, reason = "the empty tuple has nothing to write")]
                let mut tuple = tuple;
                $(tuple.serialize_element($name)?;)*
                tuple.end()
            }
        }
    )*};
}

tuples! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}

impl Args for [Value] {
    fn serialize_args<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.len())?;
        for value in self {
            tuple.serialize_element(value)?;
        }
        tuple.end()
    }
}

impl Args for Vec<Value> {
    fn serialize_args<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize_args(serializer)
    }
}

impl<A: Args + ?Sized> Args for &A {
    fn serialize_args<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize_args(serializer)
    }
}

struct Positional<'a, A: ?Sized>(&'a A);

impl<A: Args + ?Sized> Serialize for Positional<'_, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_args(serializer)
    }
}

/// The payload of `CALL_FUNCTION`.
struct Payload<'a, A: ?Sized> {
    chain: Option<&'a str>,
    function: &'a FunctionName,
    args: &'a A,
    kwargs: &'a Value,
}

impl<A: Args + ?Sized> Serialize for Payload<'_, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(6)?;
        tuple.serialize_element(&self.chain)?;
        tuple.serialize_element(&self.function.module)?;
        tuple.serialize_element(&self.function.class)?;
        tuple.serialize_element(&self.function.function)?;
        tuple.serialize_element(&Positional(self.args))?;
        tuple.serialize_element(self.kwargs)?;
        tuple.end()
    }
}

/// A call that is not sent yet.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a, A: Args = ()> {
    pub(super) context: &'a Context,
    pub(super) chain: Option<&'a str>,
    pub(super) function: FunctionName,
    pub(super) args: A,
    pub(super) kwargs: Vec<(Value, Value)>,
    pub(super) deadline: Option<Instant>,
}

impl<'a, A: Args> Request<'a, A> {
    /// Sets the positional arguments.
    pub fn args<B: Args>(self, args: B) -> Request<'a, B> {
        let Self { context, chain, function, kwargs, deadline, .. } = self;
        Request { context, chain, function, args, kwargs, deadline }
    }

    /// Adds a keyword argument.
    pub fn kwarg(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.kwargs.push((Value::from(name), value.into()));
        self
    }

    /// Gives up waiting after `timeout` from now: to send, and for [`Request::call`], to answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.deadline = Some(Instant::now() + timeout);
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

    /// Sends it; `then` gets the reply on the broker's thread and must not block.
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

    /// Sends it and wants no reply: an exception is logged by the child.
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
        // An empty dict instead of an empty `Kwargs` spares the child a global look-up.
        let kwargs = if self.kwargs.is_empty() {
            Value::Dict(Vec::new())
        } else {
            Value::Kwargs(self.kwargs)
        };
        let payload =
            Payload { chain: self.chain, function: &self.function, args: &self.args, kwargs: &kwargs };
        let data = pickle::to_bytes(&payload).map_err(CallError::Encode)?;
        let message = Message {
            reply_to,
            ..Message::new(self.context.id(), Standard::CallFunction, Encoding::Pickle, data)
        };
        Ok(self.context.router().send_blocking(message, self.deadline)?)
    }
}
