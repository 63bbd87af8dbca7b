//! Processes as `/proc` describes them: parent, start time, environment.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Identifies a process; the start time tells it from a later one with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: i32,
    /// When it was started, in clock ticks since boot.
    pub started: u64,
}

/// A running process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its identity.
    pub id: ProcessId,
    /// The pid of its parent.
    pub parent: i32,
    /// The kernel's letter for its state; `Z` is a zombie.
    pub state: char,
    /// Its arguments, or its short name if it has none.
    pub command: String,
}

impl Process {
    /// The process `pid`, or `None` when there is none.
    pub fn get(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may itself contain parentheses.
        let (head, tail) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let argv = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let argv = String::from_utf8_lossy(&argv).replace('\0', " ");
        let name = head.split_once('(').map_or("?", |(_, name)| name);
        Some(Self {
            id: ProcessId { pid, started: fields.get(19)?.parse().ok()? },
            parent: fields.get(1)?.parse().ok()?,
            state: fields.first()?.chars().next()?,
            command: if argv.trim().is_empty() { format!("[{name}]") } else { argv.trim().to_owned() },
        })
    }

    /// Whether it has ended and has not been reaped.
    pub fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }
}

/// All processes of this machine.
pub fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Process::get)
        .collect()
}

/// All descendants of `pid`, including zombies.
pub fn descendants(pid: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in all() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut parents = vec![pid];
    let mut seen = BTreeSet::new();
    while let Some(parent) = parents.pop() {
        if seen.insert(parent) {
            let mine = children.remove(&parent).unwrap_or_default();
            parents.extend(mine.iter().map(|process| process.id.pid));
            found.extend(mine);
        }
    }
    found
}

/// Processes that were started with `NAME=VALUE` in their environment.
pub fn marked(name: &str, value: &str) -> Vec<Process> {
    let wanted = format!("{name}={value}");
    let has = |process: &Process| {
        let environ = std::fs::read(format!("/proc/{}/environ", process.id.pid)).unwrap_or_default();
        environ.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    all().into_iter().filter(has).collect()
}

/// Processes of the user with this uid.
pub fn of_user(uid: u32) -> Vec<Process> {
    let owner =
        |process: &Process| std::fs::metadata(format!("/proc/{}", process.id.pid)).map(|meta| meta.uid());
    all().into_iter().filter(|process| owner(process).is_ok_and(|found| found == uid)).collect()
}

/// Kills one process at once; does nothing if it is gone or its pid is in use by another process.
pub fn kill_now(id: ProcessId) {
    signal(id, Signal::SIGKILL);
}

/// Stops one process; otherwise like [`kill_now`].
pub fn stop(id: ProcessId) {
    signal(id, Signal::SIGSTOP);
}

fn signal(id: ProcessId, signal: Signal) {
    if Process::get(id.pid).is_some_and(|process| process.id == id) {
        // It may have ended since the check; then nothing is left to do.
        let _ = kill(Pid::from_raw(id.pid), signal);
    }
}
