//! Detects what a test leaks: descriptors, threads, processes, temporary files.
//!
//! Tests of one binary share a process, so a leak could not be told from the work of a concurrent test. [`isolated`]
//! therefore runs the test again in its own process and temporary directory, with a marker variable in its environment.
//! Every process that the test starts inherits the variable, also through our sshd, `sudo` and `doas`, so that orphans
//! are found as well.

use std::collections::BTreeMap;
use std::fs::{DirEntry, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cleanup::{Cleanup, Undo};
use crate::error::{Context, FixtureError, Result};
use crate::procs::{self, Process, ProcessId};
use crate::{state, wait};

/// The environment variable that marks an isolated test and all processes that it starts.
pub const MARK: &str = "MITOGEN_TESTS_MARK";

/// The value of the marker in this process, if it is an isolated test.
pub fn mark() -> Option<String> {
    std::env::var(MARK).ok()
}

/// Runs `body`, a whole test, in its own process, and fails if it leaks anything.
///
/// It must be the only statement of a `#[test]` function, whose name is derived from the type of `body`.
///
/// # Panics
/// The body panics or leaks something, or the test cannot be run again.
pub fn isolated<F: FnOnce()>(body: F) {
    if mark().is_some() {
        let leaks = Leaks::start();
        body();
        leaks.assert_none();
        // Proves to the outer process that the test ran: a filter that matches nothing succeeds as well.
        std::fs::write(proof(), "").expect("the temporary directory was made for this process");
        return;
    }
    if let Err(error) = rerun(&test_name::<F>()) {
        panic!("{error}");
    }
}

/// A snapshot of this process, its descendants and its temporary directory, to compare with later.
#[derive(Debug)]
pub struct Leaks {
    before: Look,
}

#[derive(Clone, Debug, Default)]
struct Look {
    descriptors: BTreeMap<i32, String>,
    processes: BTreeMap<ProcessId, String>,
    threads: BTreeMap<i32, String>,
    files: Vec<PathBuf>,
}

impl Leaks {
    /// Takes the snapshot.
    ///
    /// # Panics
    /// Called outside of [`isolated`], where concurrent tests would be reported as leaks.
    pub fn start() -> Self {
        assert!(mark().is_some(), "leaks can be detected only inside `isolated`");
        Self { before: Look::take() }
    }

    /// What exists now and did not at the start, one line each.
    pub fn found(&self) -> Vec<String> {
        let now = Look::take();
        let old = &self.before;
        let descriptors = now.descriptors.iter().filter(|(fd, to)| old.descriptors.get(fd) != Some(to));
        let threads = now.threads.iter().filter(|(id, _)| !old.threads.contains_key(id));
        let processes = now.processes.iter().filter(|(id, _)| !old.processes.contains_key(id));
        let files = now.files.iter().filter(|file| !old.files.contains(file));
        descriptors
            .map(|(fd, to)| format!("descriptor {fd}: {to}"))
            .chain(threads.map(|(id, name)| format!("thread {id}: {name}")))
            .chain(processes.map(|(id, command)| format!("process {}: {command}", id.pid)))
            .chain(files.map(|file| format!("file {}", file.display())))
            .collect()
    }

    /// Waits until there are no leaks.
    ///
    /// # Panics
    /// There still are some after a few seconds; the message lists them.
    pub fn assert_none(&self) {
        self.assert_none_within(Duration::from_secs(10));
    }

    /// Like [`Leaks::assert_none`], with a timeout of the caller's choice.
    ///
    /// # Panics
    /// Something is left at the timeout.
    pub fn assert_none_within(&self, patience: Duration) {
        if wait::until(patience, || self.found().is_empty().then_some(())).is_none() {
            panic!("left behind:\n  {}", self.found().join("\n  "));
        }
    }
}

impl Look {
    fn take() -> Self {
        let mut processes = procs::descendants(i32::try_from(std::process::id()).unwrap_or(0));
        processes.extend(mark().map(|mark| procs::marked(MARK, &mark)).unwrap_or_default());
        let own = std::process::id();
        let processes = processes
            .into_iter()
            .filter(|process| u32::try_from(process.id.pid) != Ok(own))
            .map(|process| (process.id, describe(&process)))
            .collect();
        Self { descriptors: descriptors(), threads: threads(), processes, files: temporary_files() }
    }
}

fn describe(process: &Process) -> String {
    let zombie = if process.is_zombie() { " (ended, not waited for)" } else { "" };
    format!("{}{zombie}", process.command)
}

/// The open descriptors of this process and their targets.
fn descriptors() -> BTreeMap<i32, String> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let fd = entry.file_name().to_str()?.parse().ok()?;
            // The descriptor of this listing is closed by now, or leads to the listing.
            let to = std::fs::read_link(entry.path()).ok()?.display().to_string();
            (!to.starts_with("/proc/")).then_some((fd, to))
        })
        .collect()
}

/// The threads of this process and their names.
fn threads() -> BTreeMap<i32, String> {
    let Ok(entries) = std::fs::read_dir("/proc/self/task") else { return BTreeMap::new() };
    let name = |entry: &DirEntry| std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, name(&entry).trim().to_owned())))
        .collect()
}

fn temporary_files() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

/// The time after which an isolated test counts as hung.
const LONGEST: Duration = Duration::from_secs(300);

fn proof() -> PathBuf {
    std::env::temp_dir().join("isolated-test-has-run")
}

/// The name of the test function in which `F`, a closure, was defined.
fn test_name<F>() -> String {
    let full = std::any::type_name::<F>();
    let without_closure = full.trim_end_matches("::{{closure}}");
    without_closure.split_once("::").map_or(without_closure, |(_, name)| name).to_owned()
}

fn rerun(name: &str) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("isolated-").tempdir().context(|| "temporary directory")?;
    let _cleanup = Cleanup::new(vec![Undo::Path(dir.path().to_owned())])?;
    // Other accounts must be able to traverse it: sshd reads its files as the user who logs in.
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).context(|| "temporary directory")?;
    let mark = state::fresh_name("mark-");
    let exe = std::env::current_exe().context(|| "own path")?;
    // A file instead of a pipe: an orphan would keep a pipe open, and reading it would not end.
    let log = tempfile::NamedTempFile::new().context(|| "temporary file")?;
    let out = File::create(log.path()).context(|| "temporary file")?;
    let err = out.try_clone().context(|| "temporary file")?;
    let mut child = Command::new(exe)
        .args([name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(MARK, &mark)
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .context(|| "the test's own process")?;
    let status = wait::until(LONGEST, || child.try_wait().ok().flatten());
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
        procs::marked(MARK, &mark).iter().for_each(|process| procs::kill_now(process.id));
    }
    let said = std::fs::read(log.path()).map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.context(|| "temporary file")?;
    let Some(status) = status else {
        return Err(FixtureError::new(format!("in its own process, {name} did not end:\n{said}")));
    };
    if !status.success() {
        return Err(FixtureError::new(format!("in its own process, {name} failed: {status}\n{said}")));
    }
    if !dir.path().join("isolated-test-has-run").is_file() {
        return Err(FixtureError::new(format!("{name} did not run in its own process:\n{said}")));
    }
    // The process has ended, so every process that still has its marker is an orphan.
    let orphans = || procs::marked(MARK, &mark);
    if wait::until(Duration::from_secs(10), || orphans().is_empty().then_some(())).is_none() {
        let left = orphans();
        left.iter().for_each(|process| procs::kill_now(process.id));
        let list: Vec<String> = left.iter().map(|process| process.command.clone()).collect();
        return Err(FixtureError::new(format!("{name} left processes behind:\n  {}", list.join("\n  "))));
    }
    Ok(())
}
