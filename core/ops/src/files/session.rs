//! The conversation of a transfer: messages to the remote side, messages from it, and the sizes that both
//! sides agree on.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use mitogen_core::call::{CallError, Context, FunctionName};
use mitogen_core::connect::Peers;
use mitogen_core::ids::{ContextId, Handle};
use mitogen_core::pickle::{self, Value};
use mitogen_core::router::{HandlerOptions, Policy};
use mitogen_core::runtime::Feature;
use mitogen_core::wire::{Encoding, Message};
use serde::Deserialize;

use super::error::FileError;
use super::options::TransferOptions;

/// Bytes of contents in a message: large enough to need few messages, small enough not to delay others on
/// the same link.
pub(super) const CHUNK_SIZE: usize = 256 << 10;
/// Bytes of contents that may be sent before the target acknowledges any: enough for a fast link with a
/// long round trip.
pub(super) const WINDOW: u64 = 4 << 20;
/// The target acknowledges contents in portions of this many bytes.
pub(super) const CREDIT: u64 = 512 << 10;
/// What an entry without its contents counts in the window, so that many small files are bounded, too.
pub(super) const ENTRY_COST: u64 = 1 << 10;
/// The smallest file that is continued. Sending a smaller one again is cheaper than the round trip that
/// asks how much of it the target has.
pub(super) const RESUME_THRESHOLD: u64 = 1 << 20;

/// The reason in the dead message that ends the remote side.
const ABANDONED: &str = "the transfer was abandoned";

#[derive(Deserialize)]
struct Started {
    control: u32,
}

/// A message from the remote side.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Contents of the current file.
    Data(Bytes),
    /// An operation: its name and its fields.
    Op(String, Vec<Value>),
}

/// A conversation with `mitogen.files` in a context. Dropping it ends the remote side.
#[derive(Debug)]
pub(super) struct Session {
    context: Context,
    handle: Handle,
    control: Handle,
    /// Messages; `None` only wakes the thread.
    inbox: mpsc::Receiver<Option<Message>>,
    wakeup: Wakeup,
    /// Whether the remote side has sent its last message, or needs no further message from this side.
    ended: bool,
}

/// Interrupts a [`Session::wait`] from any thread.
#[derive(Clone, Debug)]
pub(super) struct Wakeup(mpsc::Sender<Option<Message>>);

impl Wakeup {
    pub(super) fn wake(&self) {
        // Fails only if the session is gone, and then no thread waits.
        let _ = self.0.send(None);
    }
}

impl Session {
    /// Starts the remote side, `function` of `mitogen.files`. Waits for the context if it is still
    /// connecting.
    pub(super) fn open(
        context: &Context,
        function: &str,
        args: Vec<Value>,
        options: &TransferOptions,
    ) -> Result<Self, FileError> {
        let router = context.router();
        Peers::of(router).provide(context.id(), Feature::Files)?;
        let (sender, inbox) = mpsc::channel();
        let wakeup = Wakeup(sender.clone());
        let respondent = HandlerOptions { policy: Policy::Any, respondent: Some(context.id()) };
        let handle = router.add_handler(None, respondent, move |delivery| {
            // Fails only if the session is gone.
            let _ = sender.send(Some(delivery.message));
        });
        // From here on, dropping the session removes the handler.
        let mut session =
            Self { context: context.clone(), handle, control: Handle::NONE, inbox, wakeup, ended: true };
        let mut all = vec![Value::from(u64::from(handle.0))];
        all.extend(args);
        all.push(remote_options(options));
        let name =
            FunctionName { module: "mitogen.files".to_owned(), class: None, function: function.to_owned() };
        let started: Started = context.request(name).args(Value::Tuple(all)).call()?;
        session.control = Handle(started.control);
        session.ended = false;
        Ok(session)
    }

    /// Sends an operation.
    pub(super) fn send_op(&self, name: &str, fields: Vec<Value>) -> Result<(), FileError> {
        let mut all = vec![Value::from(name)];
        all.extend(fields);
        let data = pickle::to_bytes(&Value::Tuple(all)).map_err(CallError::Encode)?;
        self.send(Encoding::Pickle, data)
    }

    /// Sends contents. Blocks while the link is congested.
    pub(super) fn send_data(&self, data: Bytes) -> Result<(), FileError> {
        self.send(Encoding::Raw, data)
    }

    fn send(&self, encoding: Encoding, data: Bytes) -> Result<(), FileError> {
        let message = Message::new(self.context.id(), self.control, encoding, data);
        Ok(self.context.router().send_blocking(message, None).map_err(CallError::from)?)
    }

    /// Waits for the next message. An error that the remote side reports is returned as one.
    pub(super) fn next(&mut self) -> Result<Incoming, FileError> {
        loop {
            if let Some(incoming) = self.wait(None)? {
                return Ok(incoming);
            }
        }
    }

    /// The next message that has arrived, if any.
    pub(super) fn try_next(&mut self) -> Result<Option<Incoming>, FileError> {
        loop {
            match self.inbox.try_recv() {
                Ok(Some(message)) => return self.read(message).map(Some),
                Ok(None) => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// Waits for the next message, until a [`Wakeup`] or until `limit` has passed.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> Result<Option<Incoming>, FileError> {
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

    /// Where the remote side receives messages.
    pub(super) fn address(&self) -> (ContextId, Handle) {
        (self.context.id(), self.control)
    }

    /// Wakes the thread of this session.
    pub(super) fn wakeup(&self) -> Wakeup {
        self.wakeup.clone()
    }

    fn read(&mut self, message: Message) -> Result<Incoming, FileError> {
        if message.is_dead() {
            self.ended = true;
            let reason = String::from_utf8_lossy(&message.data).into_owned();
            return Err(CallError::Dead { reason, by: message.src_id }.into());
        }
        if message.encoding == Encoding::Raw {
            return Ok(Incoming::Data(message.data));
        }
        let fields: Value = pickle::decode(&message.data).map_err(CallError::Decode)?;
        let (name, fields) = match fields.as_seq() {
            Some([name, fields @ ..]) => (name.as_str().unwrap_or_default().to_owned(), fields.to_vec()),
            _ => return Err(FileError::Protocol(format!("expected a tuple, found {fields:?}"))),
        };
        match (name.as_str(), fields.as_slice()) {
            ("fail", [errno, path, text]) => {
                self.ended = true;
                let errno = errno.as_i64().and_then(|errno| i32::try_from(errno).ok()).unwrap_or(0);
                let path = path.as_bytes().map_or(&[][..], |path| path);
                Err(FileError::remote(errno, path, text.as_str().unwrap_or_default()))
            }
            ("finished", _) => {
                self.ended = true;
                Ok(Incoming::Op(name, fields))
            }
            _ => Ok(Incoming::Op(name, fields)),
        }
    }

    /// The remote side needs no more messages.
    pub(super) fn finish(&mut self) {
        self.ended = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let router = self.context.router();
        router.remove_handler(self.handle);
        if !self.ended {
            let _ = router.send(Message::dead(self.context.id(), self.control, ABANDONED));
        }
    }
}

/// The options as `mitogen.files` expects them.
fn remote_options(options: &TransferOptions) -> Value {
    let number = |number: u64| Value::Int(number.cast_signed());
    Value::Dict(vec![
        (Value::from("mode"), options.mode.map_or(Value::None, |mode| Value::Int(mode.into()))),
        (Value::from("owner"), options.owner.as_deref().map_or(Value::None, Value::from)),
        (Value::from("resume"), Value::Bool(options.resume)),
        (Value::from("sync"), Value::Bool(options.sync)),
        (Value::from("window"), number(WINDOW)),
        (Value::from("credit"), number(CREDIT)),
        (Value::from("entry"), number(ENTRY_COST)),
        (Value::from("resume_threshold"), number(RESUME_THRESHOLD)),
    ])
}

/// The field as a non-negative integer.
pub(super) fn number(field: &Value) -> Result<u64, FileError> {
    let number = field.as_i64().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| FileError::Protocol(format!("expected a size, found {field:?}")))
}

/// The field as bytes.
pub(super) fn bytes(field: &Value) -> Result<&Bytes, FileError> {
    field.as_bytes().ok_or_else(|| FileError::Protocol(format!("expected bytes, found {field:?}")))
}
