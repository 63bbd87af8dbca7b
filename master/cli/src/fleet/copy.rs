//! Files to or from each host: a thread each, since that is where reading and writing may block.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use mitogen::files::{
    self, Distribution, FileError, Member, Sources, TransferOptions, TransferProgress, TransferReport,
};
use mitogen::{CallError, Context, RemoteError};
use serde_json::json;

use super::{Fleet, Incoming};
use crate::output::{End, Event, HostId};

/// How often a transfer says how far it is.
const PACE: Duration = Duration::from_millis(100);
/// It keeps its buffers elsewhere.
const STACK: usize = 512 << 10;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is copied on every host.
#[derive(Clone, Debug)]
pub struct Copy {
    direction: Arc<Direction>,
    options: Arc<TransferOptions>,
    ready: Arc<Mutex<Vec<Job>>>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// A copy with one host.
#[derive(Debug)]
struct Job {
    context: Context,
    host: HostId,
    events: Sender<Incoming>,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Put { member: Member, dest: Vec<u8> },
    Get { sources: Vec<Vec<u8>>, dest: PathBuf },
}

/// From where, to where.
#[derive(Clone, Debug)]
pub enum Direction {
    /// To the hosts.
    Put {
        /// What.
        sources: Sources,
        /// How: hosts behind the same neighbour share it.
        all: Distribution,
        /// Where to, there.
        dest: Vec<u8>,
    },
    /// From the hosts.
    Get {
        /// What, there.
        sources: Vec<Vec<u8>>,
        /// Where to, for each host; before the hosts are known, once for all.
        dests: Vec<PathBuf>,
    },
}

/// News of a transfer.
#[derive(Debug)]
pub enum Transfer {
    /// How far it is.
    Moved(TransferProgress),
    /// It is over.
    Done(Result<TransferReport, FileError>),
}

impl Copy {
    /// A copy that has not begun.
    pub fn new(direction: Direction, options: TransferOptions) -> Self {
        let (direction, options) = (direction.into(), options.into());
        Self { direction, options, ready: Arc::default(), threads: Arc::default() }
    }

    /// The same with the hosts known: what several of them give goes into a directory for each.
    pub fn spread(self, hosts: &[String]) -> Self {
        let Direction::Get { sources, dests } = &*self.direction else { return self };
        let [dest] = dests.as_slice() else { return self };
        if hosts.len() < 2 {
            return self;
        }
        let dests = hosts.iter().map(|host| dest.join(directory(host)).join("")).collect();
        let direction = Direction::Get { sources: sources.clone(), dests };
        Self { direction: direction.into(), ..self }
    }

    /// What is copied.
    pub fn direction(&self) -> &Direction {
        &self.direction
    }

    /// Makes it ready with one host; [`Copy::go`] starts it, with all others that are ready then.
    pub(super) fn prepare(&self, context: &Context, host: HostId, events: &Sender<Incoming>) {
        let work = match &*self.direction {
            Direction::Put { all, dest, .. } => Work::Put { member: all.add(context), dest: dest.clone() },
            Direction::Get { sources, dests } => {
                let dest = dests.get(host.0).or(dests.first()).cloned().unwrap_or_default();
                Work::Get { sources: sources.clone(), dest }
            }
        };
        let job = Job { context: context.clone(), host, events: events.clone(), work };
        lock(&self.ready).push(job);
    }

    /// Starts what is ready.
    pub(super) fn go(&self) {
        let ready = std::mem::take(&mut *lock(&self.ready));
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        for job in ready {
            let (copy, host, events) = (self.clone(), job.host, job.events.clone());
            let work = move || {
                let events = job.events.clone();
                let done = copy.perform(job);
                let _ = events.send(Incoming::Transfer(host, Transfer::Done(done)));
            };
            match Builder::new().name("mitogen.copy".to_owned()).stack_size(STACK).spawn(work) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    let error = CallError::Remote(RemoteError::from_text(&error.to_string()));
                    let _ = events.send(Incoming::Transfer(host, Transfer::Done(Err(error.into()))));
                }
            }
        }
    }

    fn perform(&self, job: Job) -> Result<TransferReport, FileError> {
        let Job { context, host, events, work } = job;
        let mut last: Option<Instant> = None;
        let moved = |progress: &TransferProgress| {
            if last.is_none_or(|last| last.elapsed() >= PACE) {
                last = Some(Instant::now());
                let _ = events.send(Incoming::Transfer(host, Transfer::Moved(*progress)));
            }
        };
        match work {
            Work::Put { member, dest } => member.put(&dest, moved),
            Work::Get { sources, dest } => {
                make_way(&dest, sources.len())?;
                files::get(&context, &sources, &dest, &self.options, moved)
            }
        }
    }

    /// Waits for all threads; the tree has ended, and with it what they wait for.
    pub fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// What would be done, for people.
    pub fn words(&self) -> String {
        let list = |names: Vec<String>| names.join(" ");
        match &*self.direction {
            Direction::Put { sources, dest, .. } => {
                let names = sources.paths().map(|path| path.display().to_string()).collect();
                format!("put {} to {}", list(names), String::from_utf8_lossy(dest))
            }
            Direction::Get { sources, dests } => {
                let names = sources.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
                let dest = dests.first().map(|dest| dest.display().to_string()).unwrap_or_default();
                format!("get {} to {dest}", list(names))
            }
        }
    }

    /// What would be done, for programs.
    pub fn json(&self) -> serde_json::Value {
        match &*self.direction {
            Direction::Put { sources, dest, .. } => json!({
                "put": sources.paths().map(|path| path.display().to_string()).collect::<Vec<_>>(),
                "to": String::from_utf8_lossy(dest),
            }),
            Direction::Get { sources, dests } => json!({
                "get": sources.iter().map(|path| String::from_utf8_lossy(path)).collect::<Vec<_>>(),
                "to": dests.first().map(|dest| dest.display().to_string()),
            }),
        }
    }
}

impl Fleet<'_> {
    /// Takes news of a transfer.
    pub(super) fn transfer(&mut self, host: HostId, transfer: Transfer) -> io::Result<()> {
        if self.active(host).is_none() {
            return Ok(());
        }
        match transfer {
            Transfer::Moved(progress) => self.show(&Event::Moved(host, progress)),
            Transfer::Done(Ok(report)) => {
                self.show(&Event::Moved(host, report.progress))?;
                self.end(host, &copied(&report))
            }
            Transfer::Done(Err(FileError::Call(error))) => self.failed(host, error),
            Transfer::Done(Err(error)) => self.end(host, &End::NotCopied(error.to_string())),
        }
    }
}

/// Makes the directories on the way to the destination, and itself if it must be one.
fn make_way(dest: &Path, sources: usize) -> Result<(), FileError> {
    let itself = sources > 1 || dest.as_os_str().as_bytes().ends_with(b"/");
    let way = if itself { Some(dest) } else { dest.parent() };
    match way.filter(|way| !way.as_os_str().is_empty()).map(std::fs::create_dir_all) {
        Some(Err(error)) => Err(FileError::local(dest, &error)),
        _ => Ok(()),
    }
}

/// A transfer that left something out has failed, after all.
fn copied(report: &TransferReport) -> End {
    match report.skipped.as_slice() {
        [] => End::Copied(report.progress),
        [first, more @ ..] => {
            let more = match more.len() {
                0 => String::new(),
                count => format!(", and {count} more"),
            };
            End::NotCopied(format!("left out {}: {}{more}", first.path, first.reason))
        }
    }
}

/// A host's name as that of a directory.
fn directory(label: &str) -> String {
    let name = label.replace('/', "_");
    if name.starts_with('.') { format!("_{name}") } else { name }
}
