//! What is done on each host, and what its answers mean.

use std::sync::mpsc::Sender;
use std::time::Instant;

use mitogen::command::{Command, RunningCommand};
use mitogen::{CallError, Context, RemoteError, Value};
use mitogen_core::call::{FunctionName, Reply};
use serde_json::json;

use super::host::Active;
use super::{Copy, Incoming};
use crate::output::{End, HostId};
use crate::values;

/// What is done on each host.
#[derive(Clone, Debug)]
pub enum Task {
    /// A command is run.
    Run(Command),
    /// A function is called.
    Call {
        /// Which.
        function: FunctionName,
        /// By position.
        positional: Vec<Value>,
        /// By keyword.
        keywords: Vec<(String, Value)>,
    },
    /// Files are copied.
    Copy(Copy),
    /// Something small is asked, to see that it answers and how soon.
    Ping {
        /// Whether the answer is for programs: numbers instead of a sentence.
        numbers: bool,
    },
}

/// What a task says on standard output, if anything, and how it ended.
type Answer = (Option<String>, End);

impl Task {
    /// Whether a command is run, as opposed to a function called.
    pub fn is_command(&self) -> bool {
        matches!(self, Self::Run(_))
    }

    /// The message with the directory before it that was asked for: if that is missing, the system
    /// says of the program that there is no such file.
    pub(super) fn place(&self, message: String) -> String {
        match self {
            Self::Run(Command { cwd: Some(cwd), .. }) => format!("in {cwd}: {message}"),
            _ => message,
        }
    }

    /// Starts it in `context`, which need not be up; what hosts share waits for [`Task::go`].
    pub(super) fn start(
        &self,
        context: &Context,
        host: HostId,
        events: &Sender<Incoming>,
    ) -> Result<Option<RunningCommand>, CallError> {
        let sender = events.clone();
        match self {
            Self::Run(command) => {
                let sink = move |event| {
                    let _ = sender.send(Incoming::Command(host, event));
                };
                command.start(context, sink).map(Some)
            }
            Self::Call { function, positional, keywords } => {
                let mut request = context.request(function.clone()).args(positional);
                for (name, value) in keywords {
                    request = request.kwarg(name, value.clone());
                }
                request.call_then(move |reply| {
                    let _ = sender.send(Incoming::Reply(host, reply));
                })?;
                Ok(None)
            }
            Self::Copy(copy) => {
                copy.prepare(context, host, events);
                Ok(None)
            }
            Self::Ping { .. } => ask_pid(context, host, events).map(|()| None),
        }
    }

    /// All hosts that can be started now have been.
    pub(super) fn go(&self) {
        if let Self::Copy(copy) = self {
            copy.go();
        }
    }

    /// Takes an answer; `None` when another one will follow.
    pub(super) fn answered(
        &self,
        active: &mut Active,
        host: HostId,
        reply: Reply,
        events: &Sender<Incoming>,
    ) -> Result<Option<Answer>, CallError> {
        let value = reply.decode::<Value>()?;
        let Self::Ping { numbers } = self else {
            return Ok(Some((None, End::Value(values::to_json(&value)))));
        };
        // The first answer comes with the connection; the second one is a round trip of its own.
        let Some(asked) = active.asked else {
            active.asked = Some(Instant::now());
            return ask_pid(active.route.context(), host, events).map(|()| None);
        };
        let trip = asked.elapsed().as_secs_f64();
        let up = active.reached.map_or(0.0, |at| at.saturating_duration_since(active.began).as_secs_f64());
        if *numbers {
            let rounded = |seconds: f64| (seconds * 1e6).round() / 1e6;
            return Ok(Some((None, End::Value(json!({"connect": rounded(up), "call": rounded(trip)})))));
        }
        let line = format!("up in {up:.3} s, answers in {:.3} ms\n", trip * 1e3);
        Ok(Some((Some(line), End::Exit(0))))
    }
}

/// Asks for the process id, which every Python can tell without importing anything.
fn ask_pid(context: &Context, host: HostId, events: &Sender<Incoming>) -> Result<(), CallError> {
    let sender = events.clone();
    let function = FunctionName { module: "os".to_owned(), class: None, function: "getpid".to_owned() };
    context.request(function).call_then(move |reply| {
        let _ = sender.send(Incoming::Reply(host, reply));
    })
}

/// An exception as Python prints it.
pub(super) fn traceback(error: &RemoteError) -> String {
    match &error.traceback {
        Some(traceback) => format!("Traceback (most recent call last):\n{traceback}\n{error}"),
        None => error.to_string(),
    }
}
