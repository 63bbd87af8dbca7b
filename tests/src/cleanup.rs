//! Cleans up what fixtures create outside of this process, even if the process is killed.
//!
//! A fixture first writes the clean-up steps to a file in [`crate::state::dir`], and holds a lock on that file. The
//! kernel releases the lock when the process ends in any way; the next fixture finds the unlocked file, runs its steps
//! and removes it. A step has no effect if it is repeated, or if the thing was never created.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::error::{Context, FixtureError, Result};
use crate::procs::{self, ProcessId};
use crate::{run, state};

/// One step of cleaning up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Undo {
    /// Kill this process and all its descendants.
    Process(ProcessId),
    /// Remove a file or a whole directory.
    Path(PathBuf),
    /// Remove the lines of a file that contain this word.
    Lines(PathBuf, String),
    /// Kill a user's processes, then remove the account and its home.
    User(String),
    /// Remove a network namespace.
    Netns(String),
    /// Remove a network interface.
    Interface(String),
}

/// Clean-up steps, recorded in a file; run on drop.
#[derive(Debug)]
pub struct Cleanup {
    /// Open and locked as long as the fixture lives.
    file: Option<Flock<File>>,
    path: PathBuf,
    steps: Vec<Undo>,
}

impl Cleanup {
    /// Records these steps, which run in reverse order. Cleans up after runs that were killed before that.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(steps: Vec<Undo>) -> Result<Self> {
        let _guard = state::lock("cleanup")?;
        sweep()?;
        let path = state::dir()?.join(format!("{}.cleanup", state::fresh_name("")));
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&path)
            .context(|| path.display().to_string())?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| FixtureError::new(format!("{}: {errno}", path.display())))?;
        let mut cleanup = Self { file: Some(file), path, steps };
        cleanup.write()?;
        Ok(cleanup)
    }

    /// Adds a step, which will run before the earlier ones.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, step: Undo) -> Result<()> {
        self.steps.push(step);
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        // One line per state, appended: a reader uses the last complete one, so the process may be killed in between.
        let mut line = serde_json::to_vec(&self.steps).context(|| "cleanup")?;
        line.push(b'\n');
        file.write_all(&line).context(|| self.path.display().to_string())
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        undo(&self.steps);
        let _ = std::fs::remove_file(&self.path);
        self.file = None;
    }
}

/// Cleans up after runs that were killed. The caller holds the `cleanup` lock.
fn sweep() -> Result<()> {
    let dir = state::dir()?;
    for entry in std::fs::read_dir(&dir).context(|| dir.display().to_string())?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "cleanup") {
            continue;
        }
        // If the file is gone by now, its owner has removed it.
        let Ok(file) = File::open(&path) else { continue };
        let Ok(mut file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
        let mut text = String::new();
        file.read_to_string(&mut text).context(|| path.display().to_string())?;
        let complete = &text[..text.rfind('\n').unwrap_or(0)];
        let last = complete.lines().last().unwrap_or("[]");
        match serde_json::from_str::<Vec<Undo>>(last) {
            Ok(steps) => undo(&steps),
            // Written by another version of this crate. An error here would make every later run fail too.
            Err(error) => eprintln!("{}: dropped, unreadable: {error}: {last}", path.display()),
        }
        let _ = std::fs::remove_file(&path);
    }
    Ok(())
}

fn undo(steps: &[Undo]) {
    for step in steps.iter().rev() {
        step.apply();
    }
}

impl Undo {
    /// Runs the step. Failures are ignored, because what the step removes may be gone already.
    fn apply(&self) {
        match self {
            Self::Process(id) => kill_tree(*id),
            Self::Path(path) => {
                let _ = std::fs::remove_dir_all(path).or_else(|_| std::fs::remove_file(path));
            }
            Self::Lines(path, word) => {
                let _ = remove_lines(path, word);
            }
            Self::User(name) => remove_user(name),
            Self::Netns(name) => {
                let _ = run::run(&["ip", "netns", "del", name]);
            }
            Self::Interface(name) => {
                let _ = run::run(&["ip", "link", "del", name]);
            }
        }
    }
}

/// Kills a process and all its descendants.
fn kill_tree(root: ProcessId) {
    let Some(process) = procs::Process::get(root.pid).filter(|process| process.id == root) else { return };
    // Stop each process first, so that it cannot start another child before it is killed.
    let mut family = vec![process];
    let mut stopped = 0;
    while stopped < family.len() {
        family[stopped..].iter().for_each(|process| procs::stop(process.id));
        stopped = family.len();
        let known: Vec<ProcessId> = family.iter().map(|process| process.id).collect();
        family
            .extend(procs::descendants(root.pid).into_iter().filter(|process| !known.contains(&process.id)));
    }
    family.iter().for_each(|process| procs::kill_now(process.id));
}

fn remove_user(name: &str) {
    let Ok(Some(user)) = nix::unistd::User::from_name(name) else { return };
    let uid = user.uid.as_raw();
    // `userdel` refuses while the user has processes, and new ones may start in the meantime.
    let _ = crate::wait::until(crate::wait::TIMEOUT, || {
        let left: Vec<_> = procs::of_user(uid).into_iter().filter(|process| !process.is_zombie()).collect();
        left.iter().for_each(|process| procs::kill_now(process.id));
        left.is_empty().then_some(())
    });
    let Ok(_guard) = state::lock("accounts") else { return };
    let _ = run::run(&["userdel", "--force", "--remove", name]);
}

/// Removes every line of a file that contains `word`, or the file itself if no line remains.
fn remove_lines(path: &Path, word: &str) -> Result<()> {
    let _guard = state::lock("accounts")?;
    let text = std::fs::read_to_string(path).context(|| path.display().to_string())?;
    let kept: String = text.split_inclusive('\n').filter(|line| !line.contains(word)).collect();
    if kept.is_empty() {
        std::fs::remove_file(path).context(|| path.display().to_string())
    } else {
        replace_file(path, &kept)
    }
}

/// Replaces a file of root atomically, so that a concurrent reader sees either the old or the new text.
pub(crate) fn replace_file(path: &Path, text: &str) -> Result<()> {
    let place = || path.display().to_string();
    let mode = std::fs::metadata(path).map_or(0o440, |meta| meta.permissions().mode() & 0o7777);
    // sudo ignores files with a dot in their name.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)
        .context(place)?;
    file.write_all(text.as_bytes()).context(place)?;
    file.set_permissions(Permissions::from_mode(mode)).context(place)?;
    std::fs::rename(&beside, path).context(place)
}
