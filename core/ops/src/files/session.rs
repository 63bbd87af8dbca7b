//! The conversation of a transfer: messages out, messages in, credit.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use mitogen_core::call::{CallError, Context, FunctionName};
use mitogen_core::ids::{ContextId, Handle};
use mitogen_core::importer::push_module;
use mitogen_core::pickle::{self, Value};
use mitogen_core::router::{HandlerOptions, Policy};
use mitogen_core::wire::{Encoding, Message};
use serde::Deserialize;

use super::error::FileError;

/// Why the far end is told to stop.
const GIVEN_UP: &str = "the transfer was given up";

#[derive(Deserialize)]
struct Started {
    control: u32,
}

/// What the other end said.
#[derive(Debug)]
pub(super) enum Said {
    /// Contents.
    Data(Bytes),
    /// Anything else: its first word, and what follows.
    Op(String, Vec<Value>),
}

/// A conversation with `mitogen.files` in a context. Dropping it ends the far half.
#[derive(Debug)]
pub(super) struct Session {
    context: Context,
    handle: Handle,
    control: Handle,
    /// Messages; nothing at all is a nudge.
    inbox: mpsc::Receiver<Option<Message>>,
    nudge: Nudge,
    /// The far half has said its last word.
    over: bool,
}

/// Ends a [`Session::wait`], from any thread.
#[derive(Clone, Debug)]
pub(super) struct Nudge(mpsc::Sender<Option<Message>>);

impl Nudge {
    pub(super) fn wake(&self) {
        // Nobody waits any more when the session is over.
        let _ = self.0.send(None);
    }
}

impl Session {
    /// Starts the far half; waits for the context if that is still coming up.
    pub(super) fn open(
        context: &Context,
        function: &str,
        args: Vec<Value>,
        options: Value,
    ) -> Result<Self, FileError> {
        let router = context.router();
        push_module(router, context.id(), "mitogen.files").map_err(CallError::from)?;
        let (sender, inbox) = mpsc::channel();
        let nudge = Nudge(sender.clone());
        let respondent = HandlerOptions { policy: Policy::Any, respondent: Some(context.id()) };
        let handle = router.add_handler(None, respondent, move |delivery| {
            // Nobody listens any more when the session is over.
            let _ = sender.send(Some(delivery.message));
        });
        // From here on dropping the session removes the handler.
        let mut session =
            Self { context: context.clone(), handle, control: Handle::NONE, inbox, nudge, over: true };
        let mut all = vec![Value::from(u64::from(handle.0))];
        all.extend(args);
        all.push(options);
        let name =
            FunctionName { module: "mitogen.files".to_owned(), class: None, function: function.to_owned() };
        let started: Started = context.request(name).args(Value::Tuple(all)).call()?;
        session.control = Handle(started.control);
        session.over = false;
        Ok(session)
    }

    /// Says something.
    pub(super) fn tell(&self, word: &str, fields: Vec<Value>) -> Result<(), FileError> {
        let mut all = vec![Value::from(word)];
        all.extend(fields);
        let data = pickle::to_bytes(&Value::Tuple(all)).map_err(CallError::Encode)?;
        self.send(Encoding::Pickle, data)
    }

    /// Sends contents; waits while the link is busy.
    pub(super) fn data(&self, data: Bytes) -> Result<(), FileError> {
        self.send(Encoding::Raw, data)
    }

    fn send(&self, encoding: Encoding, data: Bytes) -> Result<(), FileError> {
        let message = Message::new(self.context.id(), self.control, encoding, data);
        Ok(self.context.router().send_blocking(message, None).map_err(CallError::from)?)
    }

    /// What came; waits for it. The other end's complaint is an error.
    pub(super) fn next(&mut self) -> Result<Said, FileError> {
        loop {
            if let Some(said) = self.wait(None)? {
                return Ok(said);
            }
        }
    }

    /// What has come, if anything.
    pub(super) fn try_next(&mut self) -> Result<Option<Said>, FileError> {
        loop {
            match self.inbox.try_recv() {
                Ok(Some(message)) => return self.read(message).map(Some),
                Ok(None) => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// What comes before a nudge does or `limit` has passed.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> Result<Option<Said>, FileError> {
        let item = match limit {
            None => self.inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            Some(limit) => self.inbox.recv_timeout(limit),
        };
        match item {
            Ok(Some(message)) => self.read(message).map(Some),
            Ok(None) | Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(FileError::Call(CallError::Closed)),
        }
    }

    /// Where the far half listens.
    pub(super) fn address(&self) -> (ContextId, Handle) {
        (self.context.id(), self.control)
    }

    /// What wakes us.
    pub(super) fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    fn read(&mut self, message: Message) -> Result<Said, FileError> {
        if message.is_dead() {
            self.over = true;
            let reason = String::from_utf8_lossy(&message.data).into_owned();
            return Err(CallError::Dead { reason, by: message.src_id }.into());
        }
        if message.encoding == Encoding::Raw {
            return Ok(Said::Data(message.data));
        }
        let fields: Value = pickle::decode(&message.data).map_err(CallError::Decode)?;
        let (word, fields) = match fields.as_seq() {
            Some([word, fields @ ..]) => (word.as_str().unwrap_or_default().to_owned(), fields.to_vec()),
            _ => return Err(FileError::Protocol(format!("{fields:?} is no tuple"))),
        };
        match (word.as_str(), fields.as_slice()) {
            ("fail", [errno, path, text]) => {
                self.over = true;
                let errno = errno.as_i64().and_then(|errno| i32::try_from(errno).ok()).unwrap_or(0);
                let path = path.as_bytes().map_or(&[][..], |path| path);
                Err(FileError::there(errno, path, text.as_str().unwrap_or_default()))
            }
            ("finished", _) => {
                self.over = true;
                Ok(Said::Op(word, fields))
            }
            _ => Ok(Said::Op(word, fields)),
        }
    }

    /// The far half needs nothing more from us.
    pub(super) fn finished(&mut self) {
        self.over = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let router = self.context.router();
        router.remove_handler(self.handle);
        if !self.over {
            let _ = router.send(Message::dead(self.context.id(), self.control, GIVEN_UP));
        }
    }
}

/// The field as a number that is not negative.
pub(super) fn number(field: &Value) -> Result<u64, FileError> {
    let number = field.as_i64().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| FileError::Protocol(format!("{field:?} is no size")))
}

/// The field as bytes.
pub(super) fn bytes(field: &Value) -> Result<&Bytes, FileError> {
    field.as_bytes().ok_or_else(|| FileError::Protocol(format!("{field:?} are no bytes")))
}
