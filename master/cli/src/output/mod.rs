//! What is printed: events of the hosts in, bytes out.
//!
//! Everything here is a state machine that is fed with [`Event`]s and writes to what it is given; time
//! comes in with the events. Nothing reads a clock, a terminal or the environment.

pub(crate) mod base64;
mod diff;
mod gather;
mod json;
mod mode;
mod paint;
mod presenter;
mod progress;
mod stream;
mod summary;

use std::io::{self, Write};
use std::time::Duration;

use mitogen::{ConnectError, files};
use serde_json::Value;

use crate::exit::Outcome;

pub use diff::Diff;
pub use gather::Gather;
pub use json::{JsonLines, SCHEMA};
pub use mode::{Mode, Wishes};
pub use paint::Paint;
pub use presenter::Presenter;
pub use progress::Progress;
pub use stream::{Prefixed, Raw};
pub use summary::{Counts, Summary};

/// A host of the run: its position among the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// Which output of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How it ended on a host.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The command ended with this status.
    Exit(i32),
    /// The command was ended by this signal.
    Signal(i32),
    /// The function returned this.
    Value(Value),
    /// The function raised; type, message and traceback, as Python prints them.
    Raised(String),
    /// The command or call did not end within this time.
    TimedOut(Duration),
    /// The files are in place; so much it was.
    Copied(files::TransferProgress),
    /// Not all files are in place.
    NotCopied(String),
    /// The command could not be started there.
    NotStarted(String),
    /// The connection failed.
    Failed(Box<ConnectError>),
    /// The connection was up, and was lost before the command ended.
    Lost(String),
    /// The user interrupted the run.
    Interrupted,
    /// A fault of ours.
    Internal(String),
}

impl End {
    /// What it means for the exit status.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Exit(0) | Self::Value(_) | Self::Copied(_) => Outcome::Ok,
            Self::Exit(_) | Self::Signal(_) | Self::Raised(_) | Self::NotStarted(_) | Self::NotCopied(_) => {
                Outcome::CommandFailed
            }
            Self::Lost(_) => Outcome::Unreachable,
            Self::TimedOut(_) => Outcome::TimedOut,
            Self::Failed(error) => Outcome::of_failure(error.stage, error.kind),
            Self::Interrupted => Outcome::Interrupted,
            Self::Internal(_) => Outcome::Internal,
        }
    }

    /// For people: a lowercase fragment, without the hint; empty if all went well.
    pub fn describe(&self) -> String {
        match self {
            Self::Exit(0) | Self::Value(_) | Self::Copied(_) => String::new(),
            Self::Exit(status) => format!("exit status {status}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => format!("killed by {name}"),
                None => format!("killed by signal {signal}"),
            },
            // The last line of a traceback says what was raised.
            Self::Raised(text) => {
                format!("raised {}", text.trim_end().lines().next_back().unwrap_or_default())
            }
            Self::TimedOut(limit) => format!("no end within {}", seconds(*limit)),
            // Without the hop: its name has the host's in it, and many hosts fail alike.
            Self::Failed(error) => {
                format!("{}: {}: {}", self.outcome().word(), stage_word(error), error.message)
            }
            Self::NotCopied(message) => message.clone(),
            Self::NotStarted(message) => format!("cannot be started: {message}"),
            Self::Lost(reason) => format!("connection lost: {reason}"),
            Self::Interrupted => "interrupted".to_owned(),
            Self::Internal(message) => format!("internal error: {message}"),
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => error.hint.as_deref(),
            _ => None,
        }
    }

    /// The rank of a command's end as a shell has it: its status, or 128 and the signal. `None` where
    /// no command ended.
    pub fn rank(&self) -> Option<i32> {
        match self {
            Self::Exit(status) => Some(*status),
            Self::Signal(signal) => Some(128 + signal),
            Self::Value(_) | Self::Copied(_) => Some(0),
            Self::Raised(_) | Self::NotCopied(_) => Some(1),
            Self::NotStarted(_) => Some(127),
            _ => None,
        }
    }
}

/// Something that happened on a host. Each host has at most one [`Event::Started`], then outputs, and
/// one [`Event::Ended`], which is its last.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The connection is up and the command was started.
    Started(HostId),
    /// The command printed something.
    Output(HostId, Channel, &'a [u8]),
    /// So far the files are on their way.
    Moved(HostId, files::TransferProgress),
    /// It is over on this host.
    Ended(HostId, &'a End),
}

/// Where to print.
pub struct Streams<'a> {
    /// Data: what the commands print.
    pub out: &'a mut dyn Write,
    /// Messages: what commands and we say about it.
    pub err: &'a mut dyn Write,
}

impl Streams<'_> {
    fn channel(&mut self, channel: Channel) -> &mut dyn Write {
        match channel {
            Channel::Stdout => &mut *self.out,
            Channel::Stderr => &mut *self.err,
        }
    }
}

/// A way to print events.
pub trait Report {
    /// Takes an event; `at` is the time since the run began.
    ///
    /// # Errors
    /// Of the streams.
    fn event(&mut self, to: &mut Streams<'_>, at: Duration, event: &Event<'_>) -> io::Result<()>;

    /// Prints what is still kept. Hosts that have not ended were interrupted.
    ///
    /// # Errors
    /// Of the streams.
    fn finish(&mut self, to: &mut Streams<'_>, at: Duration) -> io::Result<()>;

    /// Prints what is whole by now, because the user wants to see what there is. What is printed
    /// as it comes has nothing to add.
    ///
    /// # Errors
    /// Of the streams.
    fn so_far(&mut self, _: &mut Streams<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// What an end prints by itself: a function's value, or its traceback.
fn ending_text(end: &End) -> Option<(Channel, Vec<u8>)> {
    match end {
        End::Value(value) => Some((Channel::Stdout, format!("{value}\n").into_bytes())),
        End::Raised(text) => Some((Channel::Stderr, format!("{}\n", text.trim_end()).into_bytes())),
        _ => None,
    }
}

/// The stage's word as it is written in JSON.
fn stage_word(error: &ConnectError) -> String {
    let word = serde_json::to_value(error.stage).ok();
    word.as_ref().and_then(Value::as_str).unwrap_or_default().replace('_', " ")
}

fn seconds(time: Duration) -> String {
    format!("{}s", (time.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn signal_name(signal: i32) -> Option<&'static str> {
    // The numbers that are the same on all systems we run on.
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

#[cfg(test)]
mod testing;
