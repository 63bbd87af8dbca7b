//! The events of a run.

use std::io;

use bytes::Bytes;
use mitogen::command;
use mitogen::files::{FileError, TransferProgress, TransferReport};
use mitogen_core::call::Reply;
use mitogen_core::connect::Outcome;

use crate::output::HostId;

/// An event that the main thread of a run handles.
#[derive(Debug)]
pub enum FleetEvent {
    /// The connection is established, or has failed.
    Connected(HostId, Outcome),
    /// An event of the host's command.
    Command(HostId, command::CommandEvent),
    /// The reply to the host's call.
    Reply(HostId, Reply),
    /// An event of the host's transfer.
    Transfer(HostId, TransferEvent),
    /// A chunk of standard input; empty at its end.
    Input(io::Result<Bytes>),
    /// This process received a signal.
    Signal(i32),
    /// The broker has stopped, so that no event of a host will follow.
    Stopped,
}

/// An event of a transfer.
#[derive(Debug)]
pub enum TransferEvent {
    /// How far it has got.
    Progress(TransferProgress),
    /// It has ended.
    Done(Result<TransferReport, FileError>),
    /// Its local thread could not be started.
    NotStarted(io::Error),
}
