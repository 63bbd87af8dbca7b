//! Decoding messages: values, exceptions and dead messages.

use std::any::Any;

use serde::de::DeserializeOwned;

use super::error::{CallError, RemoteError};
use crate::ids::ContextId;
use crate::pickle::{self, Value};
use crate::wire::Message;

/// A type that a message can be decoded as: every deserializable one, and [`Message`] itself.
pub trait FromMessage: Sized {
    /// Reads `message`, which context `me` received and which is not dead.
    ///
    /// # Errors
    /// The message carries a `CallError`, or something else than this type.
    fn from_message(message: Message, me: ContextId) -> Result<Self, CallError>;
}

impl FromMessage for Message {
    fn from_message(message: Message, _me: ContextId) -> Result<Self, CallError> {
        Ok(message)
    }
}

impl<T: DeserializeOwned + Any> FromMessage for T {
    fn from_message(message: Message, _me: ContextId) -> Result<Self, CallError> {
        let remote = |text: &str| CallError::Remote(RemoteError::from_text(text));
        match pickle::from_shared::<T>(&message.data) {
            Ok(value) => match (&value as &dyn Any).downcast_ref() {
                // When `T` is `Value`, an exception must still be an error.
                Some(Value::CallError(text)) => Err(remote(text)),
                _ => Ok(value),
            },
            Err(pickle::Error::Call(error)) => Err(remote(&error.0)),
            Err(error) => Err(CallError::Decode(error)),
        }
    }
}

/// A reply that has arrived and is not decoded yet, so that it can be decoded on another thread.
#[derive(Debug)]
pub struct Reply {
    message: Message,
    me: ContextId,
}

impl Reply {
    pub(crate) fn new(message: Message, me: ContextId) -> Self {
        Self { message, me }
    }

    /// Makes a reply of a message that a handler of context `me` has got.
    pub fn of(message: Message, me: ContextId) -> Self {
        Self::new(message, me)
    }

    /// The value in it.
    ///
    /// # Errors
    /// The reply is dead, carries an exception, or is something else than `T`.
    pub fn decode<T: FromMessage>(self) -> Result<T, CallError> {
        if self.message.is_dead() {
            return Err(CallError::dead(&self.message, self.me));
        }
        T::from_message(self.message, self.me)
    }
}
