//! The events of a run as the output sees them, the results of hosts, and the trait of what prints them.

use std::io::{self, Write};
use std::time::Duration;

use mitogen::{ConnectError, files};
use serde_json::Value;

use super::visible::visible_lines;
use crate::exit::HostOutcome;

/// A host of the run: its position among the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// One of the two output streams of a command, or of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StdStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The final result of a host.
#[derive(Clone, Debug, PartialEq)]
pub enum HostResult {
    /// The command exited with this status.
    Exit(i32),
    /// The command was killed by this signal.
    Signal(i32),
    /// The function returned this value.
    Value(Value),
    /// The function raised an exception: traceback, type and message as Python prints them.
    Raised(String),
    /// The command or call took longer than this limit.
    TimedOut(Duration),
    /// The transfer is complete; the totals.
    Copied(files::TransferProgress),
    /// Not all files were transferred; the first error.
    NotCopied(String),
    /// The function returned what cannot be decoded.
    Undecodable(String),
    /// The remote system could not start the command.
    NotStarted(String),
    /// The connection could not be made.
    Failed(Box<ConnectError>),
    /// The connection was lost while the command, call or transfer was running.
    Lost(String),
    /// The user interrupted the run.
    Interrupted,
    /// A local failure: this process could not do its part.
    Internal(String),
}

impl HostResult {
    /// The category that decides about the exit status.
    pub fn outcome(&self) -> HostOutcome {
        match self {
            Self::Exit(0) | Self::Value(_) | Self::Copied(_) => HostOutcome::Ok,
            Self::Exit(_)
            | Self::Signal(_)
            | Self::Raised(_)
            | Self::NotStarted(_)
            | Self::NotCopied(_)
            | Self::Undecodable(_) => HostOutcome::CommandFailed,
            Self::Lost(_) => HostOutcome::Unreachable,
            Self::TimedOut(_) => HostOutcome::TimedOut,
            Self::Failed(error) => HostOutcome::of_failure(error.stage, error.kind),
            Self::Interrupted => HostOutcome::Interrupted,
            Self::Internal(_) => HostOutcome::Internal,
        }
    }

    /// A lowercase phrase for people, without the hint; empty for success.
    pub fn describe(&self) -> String {
        match self {
            Self::Exit(0) | Self::Value(_) | Self::Copied(_) => String::new(),
            Self::Exit(status) => format!("exit status {status}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => format!("killed by {name}"),
                None => format!("killed by signal {signal}"),
            },
            // The last line of a traceback has the type and message of the exception.
            Self::Raised(text) => {
                format!("raised {}", text.trim_end().lines().next_back().unwrap_or_default())
            }
            Self::TimedOut(limit) => format!("timed out after {}", seconds(*limit)),
            // Without the name of the hop: it contains the host's name, and hosts that fail alike are
            // listed together.
            Self::Failed(error) => {
                format!("{}: {}: {}", self.outcome().word(), stage_word(error), error.message)
            }
            Self::NotCopied(message) | Self::Undecodable(message) => message.clone(),
            Self::NotStarted(message) => format!("cannot start: {message}"),
            Self::Lost(reason) => format!("connection lost: {reason}"),
            Self::Interrupted => "interrupted".to_owned(),
            Self::Internal(message) => format!("internal error: {message}"),
        }
    }

    /// What the user can do about a failure.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => error.hint.as_deref(),
            _ => None,
        }
    }

    /// The status that a shell would report for the command: its exit status, or 128 plus the signal.
    /// `None` if no command ended.
    pub fn rank(&self) -> Option<i32> {
        match self {
            Self::Exit(status) => Some(*status),
            Self::Signal(signal) => Some(128 + signal),
            Self::Value(_) | Self::Copied(_) => Some(0),
            Self::Raised(_) | Self::NotCopied(_) | Self::Undecodable(_) => Some(1),
            Self::NotStarted(_) => Some(127),
            _ => None,
        }
    }
}

/// Something that happened on a host. Each host has at most one [`HostEvent::Started`], then any number of
/// outputs and progress reports, and exactly one [`HostEvent::Ended`], its last event.
#[derive(Clone, Debug, PartialEq)]
pub enum HostEvent<'a> {
    /// The host is connected and the command was started.
    Started(HostId),
    /// The command printed something.
    Output(HostId, StdStream, &'a [u8]),
    /// The transfer has got this far.
    Progress(HostId, files::TransferProgress),
    /// The host is finished.
    Ended(HostId, &'a HostResult),
}

/// Where to print.
pub struct Streams<'a> {
    /// Standard output: the output of commands and the values of calls.
    pub out: &'a mut dyn Write,
    /// Standard error: the errors of commands, and messages of this program.
    pub err: &'a mut dyn Write,
}

impl Streams<'_> {
    /// The stream of this process for a stream of a command.
    pub(super) fn of(&mut self, stream: StdStream) -> &mut dyn Write {
        match stream {
            StdStream::Stdout => &mut *self.out,
            StdStream::Stderr => &mut *self.err,
        }
    }
}

/// A way to print events.
pub trait Printer {
    /// Takes an event; `at` is the time since the run began.
    ///
    /// # Errors
    /// Errors of the streams.
    fn event(&mut self, to: &mut Streams<'_>, at: Duration, event: &HostEvent<'_>) -> io::Result<()>;

    /// Prints everything that is still buffered. Hosts that have not ended were interrupted.
    ///
    /// # Errors
    /// Errors of the streams.
    fn finish(&mut self, to: &mut Streams<'_>, at: Duration) -> io::Result<()>;

    /// Prints the buffered output of hosts that have ended, after the user's first interrupt. A printer
    /// that does not buffer has nothing to do.
    ///
    /// # Errors
    /// Errors of the streams.
    fn so_far(&mut self, _: &mut Streams<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// The output that a result itself consists of: a function's value, or its traceback.
pub(super) fn result_text(result: &HostResult) -> Option<(StdStream, Vec<u8>)> {
    match result {
        HostResult::Value(value) => Some((StdStream::Stdout, format!("{value}\n").into_bytes())),
        HostResult::Raised(text) => {
            Some((StdStream::Stderr, format!("{}\n", visible_lines(text.trim_end())).into_bytes()))
        }
        _ => None,
    }
}

/// The stage's name as in JSON, with spaces.
fn stage_word(error: &ConnectError) -> String {
    let word = serde_json::to_value(error.stage).ok();
    word.as_ref().and_then(Value::as_str).unwrap_or_default().replace('_', " ")
}

fn seconds(time: Duration) -> String {
    format!("{}s", (time.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn signal_name(signal: i32) -> Option<&'static str> {
    // Only numbers that are the same on all supported systems.
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}
