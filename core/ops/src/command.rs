//! Running commands in contexts: output is streamed as it is produced, input is passed on, and the
//! exit status is reported.
//!
//! A command is a program on the remote host or a Python program whose source the caller provides
//! ([`Command::script`]). The remote side is part of the context's runtime: its module
//! `mitogen.command`, or `mitogen.script` for provided programs. Both directions are flow-controlled: the
//! remote side stops reading output that the caller has not consumed, so a slow reader fills no memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mitogen_core::call::{CallError, Context, FunctionName};
use mitogen_core::connect::Peers;
use mitogen_core::ids::Handle;
use mitogen_core::importer;
use mitogen_core::pickle::{self, Value};
use mitogen_core::router::{HandlerOptions, Policy, SendError};
use mitogen_core::runtime::Feature;
use mitogen_core::wire::{Encoding, Message};
use serde::Deserialize;

/// Input bytes that may be sent before the remote side has granted more.
const STDIN_WINDOW: usize = 256 << 10;

/// A command to run in a context.
///
/// ```
/// use std::sync::mpsc;
///
/// use mitogen::command::{Command, CommandEvent, ExitStatus};
/// use mitogen::{Master, MasterOptions, transports::local};
///
/// let master = Master::start(MasterOptions::default())?;
/// let context = master.connect(&local::Local::new(local::Options::new())?)?.wait()?;
///
/// let (events, received) = mpsc::channel();
/// let command = Command::new(["sh", "-c", "echo $GREETING; exit 3"]).env("GREETING", "hello");
/// let running = command.start(&context, move |event| drop(events.send(event)))?;
///
/// let mut output = Vec::new();
/// let status = loop {
///     match received.recv()? {
///         CommandEvent::Stdout(data) => {
///             output.extend_from_slice(&data);
///             // Lets the remote side read and send as much again.
///             running.consumed(data.len())?;
///         }
///         CommandEvent::Exit(status) => break status,
///         CommandEvent::Failed(error) => return Err(error.into()),
///         _ => {}
///     }
/// };
/// assert_eq!((output.as_slice(), status), (&b"hello\n"[..], ExitStatus::Code(3)));
/// master.shutdown();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command {
    /// Program and arguments, passed on without a shell. The program is looked up in the context's `PATH`.
    pub argv: Vec<String>,
    /// The working directory. Default: that of the context.
    pub cwd: Option<String>,
    /// Environment variables to set (`Some`) or to remove (`None`); all others are the context's.
    pub env: BTreeMap<String, Option<String>>,
    /// Whether input is sent with [`RunningCommand::write`]. Default: no, and the command reads `/dev/null`.
    pub stdin: bool,
    /// The source of a Python program to run instead of a program of the remote host; `argv` is then its
    /// `sys.argv`, which begins with the program's name, or with `-` when it has none.
    pub script: Option<Bytes>,
}

/// A change in the state of a running command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CommandEvent {
    /// The command has been started.
    Started {
        /// Its process id on the remote host.
        pid: u32,
    },
    /// A piece of its standard output. Acknowledge it with [`RunningCommand::consumed`].
    Stdout(Bytes),
    /// A piece of its standard error. Acknowledge it with [`RunningCommand::consumed`].
    Stderr(Bytes),
    /// This many more bytes of input may be sent.
    StdinRoom(usize),
    /// The command has ended. This is the last event.
    Exit(ExitStatus),
    /// The command could not be started, or its context was lost. This is the last event.
    Failed(CallError),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this status.
    Code(i32),
    /// It was killed by this signal.
    Signal(i32),
}

#[derive(Deserialize)]
struct Started {
    pid: u32,
    control: u32,
}

/// The state that clones of a [`RunningCommand`] and its handlers share.
struct State {
    control: Option<Handle>,
    /// Messages for the control handle from before it was known.
    unsent: Vec<(Encoding, Bytes)>,
    ended: bool,
    /// Events from before the reply to the start request: output has a handle of its own and can
    /// overtake that reply.
    held: Vec<CommandEvent>,
    sink: Sink,
}

type Sink = Arc<dyn Fn(CommandEvent) + Send + Sync>;

/// A handle on a running command. Clones refer to the same command; dropping them does not end it (see
/// [`RunningCommand::signal`]).
#[derive(Clone)]
pub struct RunningCommand {
    context: Context,
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for RunningCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningCommand").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Command {
    /// A command with exactly this argument vector, without input, in the context's own environment.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// A Python program, given by its source, that runs as if the remote interpreter had been started
    /// with it: `argv` is its `sys.argv`. It runs in a context of its own, a copy of the one that it is
    /// started in; modules that the remote host lacks are imported from the caller.
    pub fn script(source: impl Into<Bytes>, argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { script: Some(source.into()), ..Self::new(argv) }
    }

    /// A command line for `/bin/sh` on the remote host.
    pub fn shell(line: &str) -> Self {
        Self::new(["/bin/sh", "-c", line])
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, directory: impl Into<String>) -> Self {
        self.cwd = Some(directory.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Removes an environment variable.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<String>) -> Self {
        self.env.insert(name.into(), None);
        self
    }

    /// Sets whether input will be sent.
    #[must_use]
    pub fn stdin(mut self, streamed: bool) -> Self {
        self.stdin = streamed;
        self
    }

    /// Starts the command in `context`, which may still be connecting. `sink` receives the events, in
    /// order, on the broker's thread, and must not block.
    ///
    /// # Errors
    /// The request could not be sent; `sink` is then never called. [`CallError::NoId`] if a client of a
    /// running session starts a script before `mitogen::Client::serve`.
    pub fn start(
        &self,
        context: &Context,
        sink: impl Fn(CommandEvent) + Send + Sync + 'static,
    ) -> Result<RunningCommand, CallError> {
        let router = context.router();
        let (module, feature) = match &self.script {
            Some(_) => ("mitogen.script", Feature::Scripts),
            None => ("mitogen.command", Feature::Commands),
        };
        let copy = match &self.script {
            Some(_) => Some(router.ids().take().ok_or(CallError::NoId)?),
            None => None,
        };
        Peers::of(router).provide(context.id(), feature)?;
        let state = Arc::new(Mutex::new(State {
            control: None,
            unsent: Vec::new(),
            ended: false,
            held: Vec::new(),
            sink: Arc::new(sink),
        }));
        let running = RunningCommand { context: context.clone(), state };
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
            // Modules of a client must not be cached by the contexts in between.
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

    /// The options of the remote function `start`.
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

impl RunningCommand {
    /// The number of input bytes that may be sent at first; [`CommandEvent::StdinRoom`] adds to it.
    pub const STDIN_WINDOW: usize = STDIN_WINDOW;

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends input. The caller must not send more than it has been granted.
    ///
    /// # Errors
    /// The context has been lost.
    pub fn write(&self, data: Bytes) -> Result<(), SendError> {
        self.control(Encoding::Raw, data)
    }

    /// Closes the command's standard input.
    ///
    /// # Errors
    /// The context has been lost.
    pub fn close_stdin(&self) -> Result<(), SendError> {
        self.control(Encoding::Pickle, encode(vec![Value::from("eof")]))
    }

    /// Acknowledges `count` bytes of output, so that as many more may be sent.
    ///
    /// # Errors
    /// The context has been lost.
    pub fn consumed(&self, count: usize) -> Result<(), SendError> {
        self.control(Encoding::Pickle, encode(vec![Value::from("ack"), Value::Int(count as i64)]))
    }

    /// Sends a signal to the command's process group.
    ///
    /// # Errors
    /// The context has been lost.
    pub fn signal(&self, number: i32) -> Result<(), SendError> {
        self.control(Encoding::Pickle, encode(vec![Value::from("signal"), Value::Int(number.into())]))
    }

    fn control(&self, encoding: Encoding, data: Bytes) -> Result<(), SendError> {
        let control = {
            let mut state = self.lock();
            if state.ended {
                return Ok(());
            }
            match state.control {
                Some(control) => control,
                None => {
                    state.unsent.push((encoding, data));
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
                    // With the lock held, so that no later message overtakes these.
                    let mut state = self.lock();
                    state.control = Some(control);
                    for (encoding, data) in std::mem::take(&mut state.unsent) {
                        let message = Message::new(self.context.id(), control, encoding, data);
                        if self.context.router().send(message).is_err() {
                            break;
                        }
                    }
                    std::mem::take(&mut state.held)
                };
                self.emit(CommandEvent::Started { pid: started.pid });
                for event in held {
                    self.emit(event);
                }
            }
            Err(error) => {
                self.context.router().remove_handler(handle);
                self.emit(CommandEvent::Failed(error));
            }
        }
    }

    fn on_message(&self, message: &Message) {
        if message.is_dead() {
            let reason = String::from_utf8_lossy(&message.data).into_owned();
            self.emit(CommandEvent::Failed(CallError::Dead { reason, by: message.src_id }));
            return;
        }
        match message.encoding {
            Encoding::Raw => {
                let data = message.data.slice(message.data.len().min(1)..);
                match message.data.first() {
                    Some(b'1') => self.emit(CommandEvent::Stdout(data)),
                    Some(b'2') => self.emit(CommandEvent::Stderr(data)),
                    other => tracing::warn!(?other, "command output of an unknown kind"),
                }
            }
            _ => match pickle::decode(&message.data) {
                Ok(Value::Tuple(fields)) => self.on_control_message(&fields, message.handle),
                other => tracing::warn!(?other, "malformed message about a command"),
            },
        }
    }

    fn on_control_message(&self, fields: &[Value], handle: Handle) {
        match fields {
            [kind, Value::Int(count)] if kind.as_str() == Some("credit") => {
                self.emit(CommandEvent::StdinRoom(usize::try_from(*count).unwrap_or(0)));
            }
            [kind, code, signal] if kind.as_str() == Some("exit") => {
                let number = |value: &Value| match value {
                    Value::Int(number) => i32::try_from(*number).ok(),
                    _ => None,
                };
                self.context.router().remove_handler(handle);
                self.emit(match (number(code), number(signal)) {
                    (_, Some(signal)) => CommandEvent::Exit(ExitStatus::Signal(signal)),
                    (code, None) => CommandEvent::Exit(ExitStatus::Code(code.unwrap_or(0))),
                });
            }
            other => tracing::warn!(?other, "unknown message about a command"),
        }
    }

    /// Passes an event to the sink, unless the last one has been passed already.
    fn emit(&self, event: CommandEvent) {
        let sink = {
            let mut state = self.lock();
            if state.ended {
                return;
            }
            match event {
                CommandEvent::Failed(_) => {}
                _ if state.control.is_none() => {
                    state.held.push(event);
                    return;
                }
                _ => {}
            }
            if matches!(event, CommandEvent::Exit(_) | CommandEvent::Failed(_)) {
                state.ended = true;
                state.unsent.clear();
                state.held.clear();
            }
            Arc::clone(&state.sink)
        };
        sink(event);
    }
}

fn encode(fields: Vec<Value>) -> Bytes {
    // Short strings and integers are within every limit of the encoder, so this cannot fail.
    pickle::to_bytes(&Value::Tuple(fields)).unwrap_or_default()
}
