//! Running programs in contexts: output streamed as it comes, input passed on, status kept.
//!
//! A program is one of the far end's, or one in Python that we bring ([`Command::script`]). The far
//! half is the runtime's module `mitogen.command`, for our own ones `mitogen.script`. Output is flow-controlled: what has not
//! been consumed here is not read there, so a slow reader fills no memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mitogen_core::call::{CallError, Context, FunctionName};
use mitogen_core::ids::Handle;
use mitogen_core::importer::{self, push_module};
use mitogen_core::pickle::{self, Value};
use mitogen_core::router::{HandlerOptions, Policy, SendError};
use mitogen_core::wire::{Encoding, Message};
use serde::Deserialize;

/// Input bytes that may be sent before the far end has asked for more.
const STDIN_WINDOW: usize = 256 << 10;

/// A program to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments, exactly; looked up in the context's `PATH`.
    pub argv: Vec<String>,
    /// The directory to run in.
    pub cwd: Option<String>,
    /// Environment variables to set (`Some`) or remove (`None`).
    pub env: BTreeMap<String, Option<String>>,
    /// Whether its input comes from here; else it reads end-of-file.
    pub stdin: bool,
    /// The source of a program in Python, to run in place of one that is there; `argv` begins with
    /// the name that it goes by, or with `-` when it has none.
    pub script: Option<Bytes>,
}

/// What happens to a running command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It has been started.
    Started {
        /// Its process id there.
        pid: u32,
    },
    /// It wrote to its standard output. Acknowledge with [`Running::consumed`].
    Stdout(Bytes),
    /// It wrote to its standard error. Acknowledge with [`Running::consumed`].
    Stderr(Bytes),
    /// So many more bytes of input can be sent.
    StdinRoom(usize),
    /// It has ended; nothing more follows.
    Exit(Exit),
    /// It could not be started, or the context was lost; nothing more follows.
    Failed(CallError),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

#[derive(Deserialize)]
struct Started {
    pid: u32,
    control: u32,
}

/// What the parts of a running command share.
struct State {
    control: Option<Handle>,
    /// Sent to the control handle as soon as that is known.
    early: Vec<(Encoding, Bytes)>,
    over: bool,
    /// The start's answer and the output travel by different handles; output that overtakes the
    /// answer waits here.
    held: Vec<Event>,
    sink: Sink,
}

type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// A command that is running. Dropping it changes nothing; see [`Running::signal`].
#[derive(Clone)]
pub struct Running {
    context: Context,
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Command {
    /// A command with exactly this argv, no input, and the context's own environment.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// A program in Python from here, by its source, as if an interpreter were started with it there:
    /// `argv` is its `sys.argv`. It runs in a context of its own, a copy of the one that it is
    /// started in, and what it imports and is not there comes from here.
    pub fn script(source: impl Into<Bytes>, argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { script: Some(source.into()), ..Self::new(argv) }
    }

    /// A command line for the far `/bin/sh`.
    pub fn shell(line: &str) -> Self {
        Self::new(["/bin/sh", "-c", line])
    }

    /// Starts it in `context`, which need not be up yet. `sink` gets its events, in order, on the
    /// broker's thread, and must not block.
    ///
    /// # Errors
    /// The request could not be sent; `sink` is not called. For a client of a tree, which starts
    /// programs after `mitogen::Client::serve`, [`CallError::NoId`].
    pub fn start(
        &self,
        context: &Context,
        sink: impl Fn(Event) + Send + Sync + 'static,
    ) -> Result<Running, CallError> {
        let router = context.router();
        let module = if self.script.is_some() { "mitogen.script" } else { "mitogen.command" };
        let copy = match &self.script {
            Some(_) => Some(router.ids().take().ok_or(CallError::NoId)?),
            None => None,
        };
        push_module(router, context.id(), module)?;
        let state = Arc::new(Mutex::new(State {
            control: None,
            early: Vec::new(),
            over: false,
            held: Vec::new(),
            sink: Arc::new(sink),
        }));
        let running = Running { context: context.clone(), state };
        let options = HandlerOptions { policy: Policy::Any, respondent: Some(context.id()) };
        let output = running.clone();
        let handle = router.add_handler(None, options, move |delivery| output.on_message(&delivery.message));
        let function = FunctionName { module: module.to_owned(), class: None, function: "start".to_owned() };
        let answered = running.clone();
        let mut options = self.options();
        if let (Some(source), Some(copy)) = (&self.script, copy) {
            if let Some(preloader) = importer::preloader(router) {
                preloader.before_script(context.id(), copy, source);
            }
            options.push((Value::from("source"), Value::Blob(source.clone())));
            options.push((Value::from("id"), Value::from(copy.0)));
            // A client's modules are no business of those between.
            options.push((Value::from("client"), Value::Bool(router.identity().parent().is_some())));
        }
        context
            .request(function)
            .args((&self.argv, handle.0, Value::Dict(options)))
            .call_then(move |reply| answered.on_started(reply.decode::<Started>(), handle))
            .inspect_err(|_| {
                router.remove_handler(handle);
            })?;
        Ok(running)
    }

    fn options(&self) -> Vec<(Value, Value)> {
        let mut options = vec![(Value::from("stdin"), Value::Bool(self.stdin))];
        if let Some(cwd) = &self.cwd {
            options.push((Value::from("cwd"), Value::from(cwd.as_str())));
        }
        if !self.env.is_empty() {
            let env = self
                .env
                .iter()
                .map(|(key, value)| {
                    let value = value.as_deref().map_or(Value::None, Value::from);
                    (Value::from(key.as_str()), value)
                })
                .collect();
            options.push((Value::from("env"), Value::Dict(env)));
        }
        options
    }
}

impl Running {
    /// The initial room for input, in bytes; [`Event::StdinRoom`] adds to it.
    pub const STDIN_WINDOW: usize = STDIN_WINDOW;

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends input. The caller keeps within the room it was given.
    ///
    /// # Errors
    /// The context is lost.
    pub fn write(&self, data: Bytes) -> Result<(), SendError> {
        self.control(Encoding::Raw, data)
    }

    /// Ends the input.
    ///
    /// # Errors
    /// The context is lost.
    pub fn close_stdin(&self) -> Result<(), SendError> {
        self.control(Encoding::Pickle, encode(vec![Value::from("eof")]))
    }

    /// Reports that `count` bytes of output have been dealt with, so that as many more may come.
    ///
    /// # Errors
    /// The context is lost.
    pub fn consumed(&self, count: usize) -> Result<(), SendError> {
        self.control(Encoding::Pickle, encode(vec![Value::from("ack"), Value::Int(count as i64)]))
    }

    /// Sends a signal to the command's process group.
    ///
    /// # Errors
    /// The context is lost.
    pub fn signal(&self, number: i32) -> Result<(), SendError> {
        self.control(Encoding::Pickle, encode(vec![Value::from("signal"), Value::Int(number.into())]))
    }

    fn control(&self, encoding: Encoding, data: Bytes) -> Result<(), SendError> {
        let control = {
            let mut state = self.lock();
            if state.over {
                return Ok(());
            }
            match state.control {
                Some(control) => control,
                None => {
                    state.early.push((encoding, data));
                    return Ok(());
                }
            }
        };
        self.context.router().send(Message::new(self.context.id(), control, encoding, data))
    }

    fn on_started(&self, started: Result<Started, CallError>, handle: Handle) {
        match started {
            Ok(started) => {
                let control = Handle(started.control);
                let held = {
                    // Under the lock, so that nothing overtakes what waited.
                    let mut state = self.lock();
                    state.control = Some(control);
                    for (encoding, data) in std::mem::take(&mut state.early) {
                        let message = Message::new(self.context.id(), control, encoding, data);
                        if self.context.router().send(message).is_err() {
                            break;
                        }
                    }
                    std::mem::take(&mut state.held)
                };
                self.emit(Event::Started { pid: started.pid });
                for event in held {
                    self.emit(event);
                }
            }
            Err(error) => {
                self.context.router().remove_handler(handle);
                self.emit(Event::Failed(error));
            }
        }
    }

    fn on_message(&self, message: &Message) {
        if message.is_dead() {
            let reason = String::from_utf8_lossy(&message.data).into_owned();
            self.emit(Event::Failed(CallError::Dead { reason, by: message.src_id }));
            return;
        }
        match message.encoding {
            Encoding::Raw => {
                let data = message.data.slice(message.data.len().min(1)..);
                match message.data.first() {
                    Some(b'1') => self.emit(Event::Stdout(data)),
                    Some(b'2') => self.emit(Event::Stderr(data)),
                    other => tracing::warn!(?other, "output of an unknown kind"),
                }
            }
            _ => match pickle::decode(&message.data) {
                Ok(Value::Tuple(fields)) => self.on_notice(&fields, message.handle),
                other => tracing::warn!(?other, "a notice of an unknown shape"),
            },
        }
    }

    fn on_notice(&self, fields: &[Value], handle: Handle) {
        match fields {
            [kind, Value::Int(count)] if kind.as_str() == Some("credit") => {
                self.emit(Event::StdinRoom(usize::try_from(*count).unwrap_or(0)));
            }
            [kind, code, signal] if kind.as_str() == Some("exit") => {
                let number = |value: &Value| match value {
                    Value::Int(number) => i32::try_from(*number).ok(),
                    _ => None,
                };
                self.context.router().remove_handler(handle);
                self.emit(match (number(code), number(signal)) {
                    (_, Some(signal)) => Event::Exit(Exit::Signal(signal)),
                    (code, None) => Event::Exit(Exit::Code(code.unwrap_or(0))),
                });
            }
            other => tracing::warn!(?other, "a notice of an unknown kind"),
        }
    }

    /// Hands an event to the sink; the last one closes it.
    fn emit(&self, event: Event) {
        let sink = {
            let mut state = self.lock();
            if state.over {
                return;
            }
            match event {
                Event::Failed(_) => {}
                _ if state.control.is_none() => {
                    state.held.push(event);
                    return;
                }
                _ => {}
            }
            if matches!(event, Event::Exit(_) | Event::Failed(_)) {
                state.over = true;
                state.early.clear();
                state.held.clear();
            }
            Arc::clone(&state.sink)
        };
        sink(event);
    }
}

fn encode(fields: Vec<Value>) -> Bytes {
    // Short texts and numbers: within every limit of the encoder.
    pickle::to_bytes(&Value::Tuple(fields)).unwrap_or_default()
}
