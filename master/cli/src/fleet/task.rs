//! What is done on each host, and what its replies mean.

use std::sync::mpsc::Sender;
use std::time::Instant;

use mitogen::command::{Command, RunningCommand};
use mitogen::{CallError, Context, Value};
use mitogen_core::call::{FunctionName, Reply};
use mitogen_core::dialogue::quote_argv;
use serde_json::json;

use super::copy::Copy;
use super::event::FleetEvent;
use super::host::Active;
use crate::json::to_json;
use crate::output::{HostId, HostResult};

/// What is done on each host.
#[derive(Clone, Debug)]
pub enum Task {
    /// Run a command.
    Run(Command),
    /// Call a function.
    Call {
        /// The function.
        function: FunctionName,
        /// Its positional arguments.
        positional: Vec<Value>,
        /// Its keyword arguments.
        keywords: Vec<(String, Value)>,
    },
    /// Copy files.
    Copy(Copy),
    /// Connect, and measure a round trip.
    Ping {
        /// Whether the result is JSON numbers instead of a sentence.
        json: bool,
    },
}

/// A line for standard output, if there is one, and the host's result.
type Answer = (Option<String>, HostResult);

impl Task {
    /// Whether the task runs a command, as opposed to calling a function or copying files.
    pub fn is_command(&self) -> bool {
        matches!(self, Self::Run(_))
    }

    /// The message for a command that could not be started, with its working directory: if that is missing,
    /// the system's message names the program.
    pub(super) fn with_directory(&self, message: String) -> String {
        match self {
            Self::Run(Command { cwd: Some(cwd), .. }) => format!("in directory {cwd}: {message}"),
            _ => message,
        }
    }

    /// Starts the task in `context`, which need not be connected yet. Transfers are only prepared;
    /// [`Task::start_prepared`] starts them.
    pub(super) fn start(
        &self,
        context: &Context,
        host: HostId,
        events: &Sender<FleetEvent>,
    ) -> Result<Option<RunningCommand>, CallError> {
        let sender = events.clone();
        match self {
            Self::Run(command) => {
                let sink = move |event| {
                    let _ = sender.send(FleetEvent::Command(host, event));
                };
                command.start(context, sink).map(Some)
            }
            Self::Call { function, positional, keywords } => {
                let mut request = context.request(function.clone()).args(positional);
                for (name, value) in keywords {
                    request = request.kwarg(name, value.clone());
                }
                request.call_then(move |reply| {
                    let _ = sender.send(FleetEvent::Reply(host, reply));
                })?;
                Ok(None)
            }
            Self::Copy(copy) => {
                copy.prepare(context, host, events);
                Ok(None)
            }
            Self::Ping { .. } => call_getpid(context, host, events).map(|()| None),
        }
    }

    /// Starts the prepared transfers, together: all hosts that can start now have been prepared.
    pub(super) fn start_prepared(&self) {
        if let Self::Copy(copy) = self {
            copy.start_prepared();
        }
    }

    /// Handles a reply. Returns `None` if another one will follow.
    pub(super) fn reply(
        &self,
        active: &mut Active,
        host: HostId,
        reply: Reply,
        events: &Sender<FleetEvent>,
    ) -> Result<Option<Answer>, CallError> {
        let value = reply.decode::<Value>()?;
        let Self::Ping { json } = self else {
            return Ok(Some((None, HostResult::Value(to_json(&value)))));
        };
        // The first call was sent along with the connection; the second one measures the round trip.
        let Some(pinged) = active.pinged else {
            active.pinged = Some(Instant::now());
            return call_getpid(active.connection.context(), host, events).map(|()| None);
        };
        let trip = pinged.elapsed().as_secs_f64();
        let connect =
            active.connected.map_or(0.0, |at| at.saturating_duration_since(active.began).as_secs_f64());
        if *json {
            let rounded = |seconds: f64| (seconds * 1e6).round() / 1e6;
            let times = json!({"connect": rounded(connect), "call": rounded(trip)});
            return Ok(Some((None, HostResult::Value(times))));
        }
        let line = format!("connected in {connect:.3} s, round trip {:.3} ms\n", trip * 1e3);
        Ok(Some((Some(line), HostResult::Exit(0))))
    }

    /// What would be done on a host, for people.
    pub fn summary(&self) -> String {
        match self {
            Self::Run(command) => {
                let what = if command.script.is_some() { "run local program" } else { "run" };
                let mut text = format!("{what} {}", quote_argv(&command.argv));
                if let Some(cwd) = &command.cwd {
                    text.push_str(&format!(", in directory {cwd}"));
                }
                for (name, value) in &command.env {
                    text.push_str(&format!(", with {name}={}", value.as_deref().unwrap_or_default()));
                }
                let input = if command.stdin { ", with standard input" } else { ", without standard input" };
                text.push_str(input);
                text
            }
            Self::Call { function, positional, keywords } => {
                let arguments = positional.iter().map(|value| to_json(value).to_string());
                let keywords = keywords.iter().map(|(name, value)| format!("{name}={}", to_json(value)));
                format!("call {function}({})", arguments.chain(keywords).collect::<Vec<_>>().join(", "))
            }
            Self::Copy(copy) => copy.summary(),
            Self::Ping { .. } => "measure a round trip".to_owned(),
        }
    }

    /// What would be done on a host, for programs.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Run(command) => json!({
                "argv": command.argv, "cwd": command.cwd, "env": command.env, "stdin": command.stdin,
                "script": command.script.is_some(),
            }),
            Self::Call { function, positional, keywords } => {
                let keywords = keywords.iter().map(|(name, value)| (name.clone(), to_json(value))).collect();
                json!({
                    "function": function.to_string(),
                    "args": positional.iter().map(to_json).collect::<Vec<_>>(),
                    "kwargs": serde_json::Value::Object(keywords),
                })
            }
            Self::Copy(copy) => copy.to_json(),
            Self::Ping { .. } => json!({}),
        }
    }
}

/// Calls `os.getpid`, which needs no module to be sent.
fn call_getpid(context: &Context, host: HostId, events: &Sender<FleetEvent>) -> Result<(), CallError> {
    let sender = events.clone();
    let function = FunctionName { module: "os".to_owned(), class: None, function: "getpid".to_owned() };
    context.request(function).call_then(move |reply| {
        let _ = sender.send(FleetEvent::Reply(host, reply));
    })
}
