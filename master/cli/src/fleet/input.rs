//! Our own input, given to all hosts alike.
//!
//! One thread reads, a portion at a time and only when asked to, and it is asked when every host
//! that is under way has room: the slowest sets the pace. Nothing is read before some command
//! runs. The thread may hang in a read for ever; nobody waits for it, and the process's end ends it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::mpsc::{Sender, channel};

use bytes::Bytes;
use mitogen::command::RunningCommand;

use super::Incoming;
use super::streams::read;
use crate::output::HostId;

/// The most that is read at once, in bytes.
const PORTION: usize = 128 * 1024;
/// The most that is kept for hosts whose turn comes later (`-f`), in bytes.
const MOST_KEPT: u64 = 64 << 20;
/// Said to hosts for which more would have to be kept.
pub(super) const TOO_MUCH: &str = "more than 64 MiB of input came before its turn; raise --forks";

/// Where input comes from.
#[derive(Debug)]
pub struct InputSource(File);

impl InputSource {
    /// Standard input; `None` when there is nothing to be read from it: a terminal, which is the
    /// user's, `/dev/null`, and a file that is at its end.
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

/// A host that gets input.
struct Taker {
    running: RunningCommand,
    /// How much of the input it was sent.
    sent: u64,
    /// How much more it may be sent.
    room: usize,
    told_end: bool,
}

/// The input on its way from our standard input to the hosts.
pub(super) struct Input {
    source: Option<InputSource>,
    reader: Option<Sender<usize>>,
    events: Sender<Incoming>,
    takers: BTreeMap<HostId, Taker>,
    /// How many hosts have not joined yet, and may.
    to_come: usize,
    joined: Vec<bool>,
    /// What somebody still needs, and where in the input it begins and ends.
    kept: VecDeque<Bytes>,
    begin: u64,
    end: u64,
    at_end: bool,
    reading: bool,
    wanted: bool,
}

impl Input {
    pub(super) fn new(source: Option<InputSource>, events: Sender<Incoming>, hosts: usize) -> Self {
        Self {
            source,
            reader: None,
            events,
            takers: BTreeMap::new(),
            to_come: hosts,
            joined: vec![false; hosts],
            kept: VecDeque::new(),
            begin: 0,
            end: 0,
            at_end: false,
            reading: false,
            wanted: false,
        }
    }

    /// A command is under way to the host and will want all input, from its beginning.
    pub(super) fn join(&mut self, host: HostId, running: &RunningCommand) {
        self.arrive(host);
        if self.source.is_none() && self.reader.is_none() && !self.at_end {
            return;
        }
        let taker =
            Taker { running: running.clone(), sent: 0, room: RunningCommand::STDIN_WINDOW, told_end: false };
        self.takers.insert(host, taker);
        self.pump();
    }

    /// The host is done with, whether it joined or not.
    pub(super) fn leave(&mut self, host: HostId) {
        self.arrive(host);
        self.takers.remove(&host);
        self.pump();
    }

    fn arrive(&mut self, host: HostId) {
        if !std::mem::replace(&mut self.joined[host.0], true) {
            self.to_come -= 1;
        }
    }

    /// A command runs: from now on there is somebody to read for.
    pub(super) fn wanted(&mut self) {
        self.wanted = true;
        self.pump();
    }

    /// The host can take more.
    pub(super) fn room(&mut self, host: HostId, bytes: usize) {
        if let Some(taker) = self.takers.get_mut(&host) {
            taker.room += bytes;
            self.pump();
        }
    }

    /// A portion was read. Gives the hosts that cannot be served any more.
    pub(super) fn arrived(&mut self, data: io::Result<Bytes>) -> Vec<HostId> {
        self.reading = false;
        match data {
            Ok(data) if !data.is_empty() => {
                self.end += data.len() as u64;
                self.kept.push_back(data);
            }
            Ok(_) => self.at_end = true,
            Err(error) => {
                tracing::warn!(%error, "cannot read standard input; it ends here");
                self.at_end = true;
            }
        }
        let mut late = Vec::new();
        if self.to_come > 0 && self.end > MOST_KEPT {
            late = (0..self.joined.len()).filter(|host| !self.joined[*host]).map(HostId).collect();
        }
        self.pump();
        late
    }

    /// Sends what can be sent, forgets what nobody needs, and asks for more if all have room.
    fn pump(&mut self) {
        for taker in self.takers.values_mut() {
            let mut at = self.begin;
            for portion in &self.kept {
                let end = at + portion.len() as u64;
                if taker.sent < end && taker.room > 0 {
                    let rest = portion.slice((taker.sent - at) as usize..);
                    let part = rest.slice(..rest.len().min(taker.room));
                    taker.sent += part.len() as u64;
                    taker.room -= part.len();
                    // A context that is gone is told of by an event of its own.
                    let _ = taker.running.write(part);
                }
                at = end;
            }
            if self.at_end && taker.sent == self.end && !std::mem::replace(&mut taker.told_end, true) {
                let _ = taker.running.close_stdin();
            }
        }
        let needed =
            if self.to_come > 0 { Some(0) } else { self.takers.values().map(|taker| taker.sent).min() };
        let needed = needed.unwrap_or(self.end);
        while let Some(first) = self.kept.front().filter(|first| self.begin + first.len() as u64 <= needed) {
            self.begin += first.len() as u64;
            self.kept.pop_front();
        }
        let room = |taker: &Taker| if taker.sent == self.end { taker.room } else { 0 };
        let room = self.takers.values().map(room).min().unwrap_or(0);
        if room > 0 && self.wanted && !self.reading && !self.at_end {
            self.ask(room.min(PORTION));
        }
    }

    fn ask(&mut self, bytes: usize) {
        if let Some(source) = self.source.take() {
            let (orders, to_do) = channel();
            let events = self.events.clone();
            let started = std::thread::Builder::new().name("mitogen.stdin".to_owned()).spawn(move || {
                let InputSource(mut file) = source;
                while let Ok(bytes) = to_do.recv() {
                    let mut buffer = vec![0; bytes];
                    let data = read(&mut file, &mut buffer).map(|count| {
                        buffer.truncate(count);
                        Bytes::from(buffer)
                    });
                    if events.send(Incoming::Input(data)).is_err() {
                        break;
                    }
                }
            });
            match started {
                Ok(_) => self.reader = Some(orders),
                Err(error) => {
                    let _ = self.events.send(Incoming::Input(Err(error)));
                }
            }
        }
        self.reading = true;
        if let Some(reader) = &self.reader {
            let _ = reader.send(bytes);
        }
    }
}
