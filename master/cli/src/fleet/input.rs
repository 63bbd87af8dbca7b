//! Standard input, forwarded to all hosts.
//!
//! One thread reads a chunk at a time, on request. It is asked for a chunk when every connected host has room
//! for it, so the slowest host sets the pace, and nothing is read before a command runs. The thread may block
//! in a read forever; nothing waits for it, and it ends with the process.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::mpsc::{Sender, channel};

use bytes::Bytes;
use mitogen::command::RunningCommand;

use super::event::FleetEvent;
use super::streams::read;
use crate::output::HostId;

/// The most that is read at once, in bytes.
const CHUNK: usize = 128 * 1024;
/// The most that is buffered for hosts that `--forks` delays, in bytes.
const MAX_BUFFERED: u64 = 64 << 20;
/// The error of hosts that would need a larger buffer.
pub(super) const TOO_MUCH: &str =
    "standard input has more than 64 MiB, the limit for hosts that start late; increase --forks";

/// Where input comes from.
#[derive(Debug)]
pub struct InputSource(File);

impl InputSource {
    /// Standard input. `None` if it is not forwarded: a terminal, `/dev/null`, or a file at its end.
    pub fn standard() -> Option<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return None;
        }
        let mut file = File::from(stdin.as_fd().try_clone_to_owned().ok()?);
        let status = file.metadata().ok()?;
        let null = || std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == status.rdev());
        let at_end =
            |file: &mut File| io::Seek::stream_position(file).is_ok_and(|position| position >= status.len());
        let nothing =
            (status.file_type().is_char_device() && null()) || (status.is_file() && at_end(&mut file));
        (!nothing).then_some(Self(file))
    }
}

/// A host that receives input.
struct Receiver {
    running: RunningCommand,
    /// How much of the input it was sent, in bytes.
    sent: u64,
    /// How much more it accepts, in bytes.
    room: usize,
    closed: bool,
}

/// The state of the forwarding.
pub(super) struct Input {
    source: Option<InputSource>,
    reader: Option<Sender<usize>>,
    events: Sender<FleetEvent>,
    receivers: BTreeMap<HostId, Receiver>,
    /// The number of hosts that may still join.
    not_joined: usize,
    joined: Vec<bool>,
    /// The chunks that some host still needs, and the positions in the input where they begin and end.
    buffered: VecDeque<Bytes>,
    begin: u64,
    end: u64,
    at_end: bool,
    reading: bool,
    wanted: bool,
}

impl Input {
    pub(super) fn new(source: Option<InputSource>, events: Sender<FleetEvent>, hosts: usize) -> Self {
        Self {
            source,
            reader: None,
            events,
            receivers: BTreeMap::new(),
            not_joined: hosts,
            joined: vec![false; hosts],
            buffered: VecDeque::new(),
            begin: 0,
            end: 0,
            at_end: false,
            reading: false,
            wanted: false,
        }
    }

    /// A command was sent to the host. It will receive all input from the beginning.
    pub(super) fn join(&mut self, host: HostId, running: &RunningCommand) {
        self.note_joined(host);
        if self.source.is_none() && self.reader.is_none() && !self.at_end {
            return;
        }
        let receiver =
            Receiver { running: running.clone(), sent: 0, room: RunningCommand::STDIN_WINDOW, closed: false };
        self.receivers.insert(host, receiver);
        self.pump();
    }

    /// The host has ended, whether it had joined or not.
    pub(super) fn leave(&mut self, host: HostId) {
        self.note_joined(host);
        self.receivers.remove(&host);
        self.pump();
    }

    fn note_joined(&mut self, host: HostId) {
        if !std::mem::replace(&mut self.joined[host.0], true) {
            self.not_joined -= 1;
        }
    }

    /// A command is running, so that reading may begin.
    pub(super) fn allow_reading(&mut self) {
        self.wanted = true;
        self.pump();
    }

    /// The host accepts this much more.
    pub(super) fn room(&mut self, host: HostId, bytes: usize) {
        if let Some(receiver) = self.receivers.get_mut(&host) {
            receiver.room += bytes;
            self.pump();
        }
    }

    /// A chunk was read. Returns the hosts that cannot be served any more, because the buffer is full.
    pub(super) fn arrived(&mut self, data: io::Result<Bytes>) -> Vec<HostId> {
        self.reading = false;
        match data {
            Ok(data) if !data.is_empty() => {
                self.end += data.len() as u64;
                self.buffered.push_back(data);
            }
            Ok(_) => self.at_end = true,
            Err(error) => {
                tracing::warn!("cannot read standard input: {error}; it is closed for the commands");
                self.at_end = true;
            }
        }
        let mut late = Vec::new();
        if self.not_joined > 0 && self.end > MAX_BUFFERED {
            late = (0..self.joined.len()).filter(|host| !self.joined[*host]).map(HostId).collect();
        }
        self.pump();
        late
    }

    /// Sends what the hosts accept, drops what no host needs, and requests more if all hosts have room.
    fn pump(&mut self) {
        for receiver in self.receivers.values_mut() {
            let mut at = self.begin;
            for chunk in &self.buffered {
                let end = at + chunk.len() as u64;
                if receiver.sent < end && receiver.room > 0 {
                    let rest = chunk.slice((receiver.sent - at) as usize..);
                    let part = rest.slice(..rest.len().min(receiver.room));
                    receiver.sent += part.len() as u64;
                    receiver.room -= part.len();
                    // If the context is lost, its own event reports that.
                    let _ = receiver.running.write(part);
                }
                at = end;
            }
            if self.at_end && receiver.sent == self.end && !std::mem::replace(&mut receiver.closed, true) {
                let _ = receiver.running.close_stdin();
            }
        }
        let needed = if self.not_joined > 0 {
            Some(0)
        } else {
            self.receivers.values().map(|receiver| receiver.sent).min()
        };
        let needed = needed.unwrap_or(self.end);
        while let Some(first) =
            self.buffered.front().filter(|first| self.begin + first.len() as u64 <= needed)
        {
            self.begin += first.len() as u64;
            self.buffered.pop_front();
        }
        let room = |receiver: &Receiver| if receiver.sent == self.end { receiver.room } else { 0 };
        let room = self.receivers.values().map(room).min().unwrap_or(0);
        if room > 0 && self.wanted && !self.reading && !self.at_end {
            self.request(room.min(CHUNK));
        }
    }

    /// Asks the reading thread for a chunk, and starts the thread if necessary.
    fn request(&mut self, bytes: usize) {
        if let Some(source) = self.source.take() {
            let (requests, incoming) = channel();
            let events = self.events.clone();
            let started = std::thread::Builder::new().name("mitogen.stdin".to_owned()).spawn(move || {
                let InputSource(mut file) = source;
                while let Ok(bytes) = incoming.recv() {
                    let mut buffer = vec![0; bytes];
                    let data = read(&mut file, &mut buffer).map(|count| {
                        buffer.truncate(count);
                        Bytes::from(buffer)
                    });
                    if events.send(FleetEvent::Input(data)).is_err() {
                        break;
                    }
                }
            });
            match started {
                Ok(_) => self.reader = Some(requests),
                Err(error) => {
                    let _ = self.events.send(FleetEvent::Input(Err(error)));
                }
            }
        }
        self.reading = true;
        if let Some(reader) = &self.reader {
            let _ = reader.send(bytes);
        }
    }
}
