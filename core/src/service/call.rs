//! Calling services of other contexts.

use super::registry::Kind;
use crate::call::{CallError, Context, FromMessage, Receiver};
use crate::ids::Handle;
use crate::pickle::{self, Value};
use crate::router::{HandlerOptions, Policy};
use crate::wire::{Encoding, Message, WellKnownHandle};

impl Context {
    /// Calls `method` of the service `service` (`module.Class`) there, with these keyword arguments,
    /// and waits for the answer. A Python context that does not have the service yet imports its module.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call_service<T: FromMessage>(
        &self,
        service: &str,
        method: &str,
        kwargs: &[(&str, Value)],
    ) -> Result<T, CallError> {
        self.call_service_async(service, method, kwargs)?.get()
    }

    /// The same; the answer comes to the receiver.
    ///
    /// # Errors
    /// The request could not be encoded or sent.
    pub fn call_service_async<T: FromMessage>(
        &self,
        service: &str,
        method: &str,
        kwargs: &[(&str, Value)],
    ) -> Result<Receiver<T>, CallError> {
        let options = HandlerOptions { policy: Policy::Any, respondent: Some(self.id()) };
        let receiver = Receiver::once(self.router(), options);
        self.send_service_call(service, method, kwargs, receiver.handle())?;
        Ok(receiver)
    }

    /// The same; nothing is wanted back, not even an error.
    ///
    /// # Errors
    /// The request could not be encoded or sent.
    pub fn call_service_no_reply(
        &self,
        service: &str,
        method: &str,
        kwargs: &[(&str, Value)],
    ) -> Result<(), CallError> {
        self.send_service_call(service, method, kwargs, Handle::NONE)
    }

    fn send_service_call(
        &self,
        service: &str,
        method: &str,
        kwargs: &[(&str, Value)],
        reply_to: Handle,
    ) -> Result<(), CallError> {
        let kwargs = kwargs.iter().map(|(name, value)| (Value::from(*name), value.clone())).collect();
        let call = Value::Tuple(vec![Value::from(service), Value::from(method), Value::Kwargs(kwargs)]);
        let data = pickle::to_bytes(&call).map_err(CallError::Encode)?;
        let message = Message {
            reply_to,
            ..Message::new(self.id(), WellKnownHandle::CallService, Encoding::Pickle, data)
        };
        Ok(self.router().send_blocking(message, None)?)
    }
}

/// The type of a value, as errors name it.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::None => "None",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Big(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) | Value::Surrogates(_) => "str",
        Value::Bytes(_) => "bytes",
        Value::List(_) => "list",
        Value::Tuple(_) => "tuple",
        Value::Dict(_) => "dict",
        Value::Blob(_) => "Blob",
        Value::Secret(_) => "Secret",
        Value::Kwargs(_) => "Kwargs",
        Value::CallError(_) => "CallError",
        Value::Context { .. } => "Context",
        Value::Sender { .. } => "Sender",
    }
}

impl Kind {
    /// Whether `value` is one. Python 2 writes text as bytes where it is all ASCII.
    pub(super) fn takes(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Text => value.as_str().is_some(),
            Self::Bytes => value.as_bytes().is_some(),
            Self::Int => matches!(value, Value::Int(_) | Value::Bool(_)),
            Self::Context => matches!(value, Value::Context { .. }),
            Self::Sender => matches!(value, Value::Sender { .. }),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Text => "str",
            Self::Bytes => "bytes",
            Self::Int => "int",
            Self::Context => "Context",
            Self::Sender => "Sender",
        }
    }
}
