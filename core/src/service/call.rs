//! Calling services of other contexts.

use crate::call::{CallError, Context, FromMessage, Receiver};
use crate::ids::Handle;
use crate::pickle::{self, Value};
use crate::router::{HandlerOptions, Policy};
use crate::wire::{Encoding, Message, WellKnownHandle};

impl Context {
    /// Calls `method` of the service `service` (`module.Class`) in the context, with these keyword arguments,
    /// and waits for the answer. A context of the Python runtime that does not have the service yet imports its module.
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

    /// Like [`Context::call_service`]; the answer comes to the receiver.
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

    /// Like [`Context::call_service`], without an answer; errors are not reported either.
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
