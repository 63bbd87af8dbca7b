//! Transfers to or from each host. Each has a thread of its own, because local reads and writes may block.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use mitogen::Context;
use mitogen::files::{
    self, Distribution, FileError, Member, Sources, TransferOptions, TransferProgress, TransferReport,
};
use serde_json::json;

use super::event::{FleetEvent, TransferEvent};
use crate::output::HostId;

/// The least time between two progress events of a transfer.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// The stack size of a transfer's thread, in bytes: its buffers are on the heap.
const STACK: usize = 512 << 10;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transfer with all hosts of the run. Clones share its state.
#[derive(Clone, Debug)]
pub struct Copy {
    direction: Arc<Direction>,
    prepared: Arc<Mutex<Vec<HostTransfer>>>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// The transfer with one host.
#[derive(Debug)]
struct HostTransfer {
    context: Context,
    host: HostId,
    events: Sender<FleetEvent>,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Put { member: Member, dest: Vec<u8> },
    Get { sources: Vec<Vec<u8>>, dest: PathBuf, options: TransferOptions },
}

/// What is copied, from where and to where.
#[derive(Clone, Debug)]
pub enum Direction {
    /// To the hosts.
    Put {
        /// The local sources.
        sources: Sources,
        /// How they are sent: hosts behind the same intermediate share the transfer.
        distribution: Distribution,
        /// The remote destination.
        dest: Vec<u8>,
    },
    /// From the hosts.
    Get {
        /// The remote sources.
        sources: Vec<Vec<u8>>,
        /// The local destination of each host, or one for all before the hosts are known.
        dests: Vec<PathBuf>,
        /// How files are written.
        options: TransferOptions,
    },
}

impl Copy {
    /// A transfer that has not started.
    pub fn new(direction: Direction) -> Self {
        Self { direction: direction.into(), prepared: Arc::default(), threads: Arc::default() }
    }

    /// The transfer for these hosts: if there are several to get from, each gets a directory of its name
    /// in the destination.
    pub fn with_hosts(self, hosts: &[String]) -> Self {
        let Direction::Get { sources, dests, options } = &*self.direction else { return self };
        let [dest] = dests.as_slice() else { return self };
        if hosts.len() < 2 {
            return self;
        }
        let dests = hosts.iter().map(|host| dest.join(directory(host)).join("")).collect();
        let direction = Direction::Get { sources: sources.clone(), dests, options: options.clone() };
        Self { direction: direction.into(), ..self }
    }

    /// Prepares the transfer with one host. [`Copy::start_prepared`] starts it.
    pub(super) fn prepare(&self, context: &Context, host: HostId, events: &Sender<FleetEvent>) {
        let work = match &*self.direction {
            Direction::Put { distribution, dest, .. } => {
                Work::Put { member: distribution.add(context), dest: dest.clone() }
            }
            Direction::Get { sources, dests, options } => {
                let dest = dests.get(host.0).or(dests.first()).cloned().unwrap_or_default();
                Work::Get { sources: sources.clone(), dest, options: options.clone() }
            }
        };
        let transfer = HostTransfer { context: context.clone(), host, events: events.clone(), work };
        lock(&self.prepared).push(transfer);
    }

    /// Starts the prepared transfers, each on a thread.
    pub(super) fn start_prepared(&self) {
        let prepared = std::mem::take(&mut *lock(&self.prepared));
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        for transfer in prepared {
            let (host, events) = (transfer.host, transfer.events.clone());
            let work = move || {
                let (host, events) = (transfer.host, transfer.events.clone());
                let done = transfer.perform();
                let _ = events.send(FleetEvent::Transfer(host, TransferEvent::Done(done)));
            };
            match Builder::new().name("mitogen.copy".to_owned()).stack_size(STACK).spawn(work) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    let _ = events.send(FleetEvent::Transfer(host, TransferEvent::NotStarted(error)));
                }
            }
        }
    }

    /// Waits for all threads. Called after the connections are closed, so none of them can wait for a host.
    pub fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// What would be done, for people.
    pub fn summary(&self) -> String {
        let list = |names: Vec<String>| names.join(" ");
        match &*self.direction {
            Direction::Put { sources, dest, .. } => {
                let names = sources.paths().map(|path| path.display().to_string()).collect();
                format!("put {} to {}", list(names), String::from_utf8_lossy(dest))
            }
            Direction::Get { sources, dests, .. } => {
                let names = sources.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
                let dest = dests.first().map(|dest| dest.display().to_string()).unwrap_or_default();
                format!("get {} to {dest}", list(names))
            }
        }
    }

    /// What would be done, for programs.
    pub fn to_json(&self) -> serde_json::Value {
        match &*self.direction {
            Direction::Put { sources, dest, .. } => json!({
                "put": sources.paths().map(|path| path.display().to_string()).collect::<Vec<_>>(),
                "to": String::from_utf8_lossy(dest),
            }),
            Direction::Get { sources, dests, .. } => json!({
                "get": sources.iter().map(|path| String::from_utf8_lossy(path)).collect::<Vec<_>>(),
                "to": dests.first().map(|dest| dest.display().to_string()),
            }),
        }
    }
}

impl HostTransfer {
    fn perform(self) -> Result<TransferReport, FileError> {
        let Self { context, host, events, work } = self;
        let mut last: Option<Instant> = None;
        let report_progress = |progress: &TransferProgress| {
            if last.is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL) {
                last = Some(Instant::now());
                let _ = events.send(FleetEvent::Transfer(host, TransferEvent::Progress(*progress)));
            }
        };
        match work {
            Work::Put { member, dest } => member.put(&dest, report_progress),
            Work::Get { sources, dest, options } => {
                create_parents(&dest, sources.len())?;
                files::get(&context, &sources, &dest, &options, report_progress)
            }
        }
    }
}

/// Creates the missing parent directories of the destination, and the destination itself if it must be a
/// directory.
fn create_parents(dest: &Path, sources: usize) -> Result<(), FileError> {
    let itself = sources > 1 || dest.as_os_str().as_bytes().ends_with(b"/");
    let parent = if itself { Some(dest) } else { dest.parent() };
    match parent.filter(|parent| !parent.as_os_str().is_empty()).map(std::fs::create_dir_all) {
        Some(Err(error)) => Err(FileError::local(dest, &error)),
        _ => Ok(()),
    }
}

/// A host's name as the name of a directory: one component, and not hidden.
fn directory(label: &str) -> String {
    let name = label.replace('/', "_");
    if name.starts_with('.') { format!("_{name}") } else { name }
}
