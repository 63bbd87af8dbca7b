//! The directory in which concurrent test processes keep cleanup files and locks.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

use crate::error::{Context, FixtureError, Result};
use crate::run::is_root;

/// An exclusive lock; released on drop, and by the kernel when the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

/// The directory, created if missing: `/run/mitogen-tests` for root, otherwise in the temporary directory.
///
/// # Errors
/// It cannot be created, or belongs to another user.
pub fn dir() -> Result<PathBuf> {
    let uid = nix::unistd::geteuid();
    let dir = if is_root() {
        PathBuf::from("/run/mitogen-tests")
    } else {
        // Not `temp_dir()`: an isolated test has its own, and this directory is shared.
        PathBuf::from(format!("/tmp/mitogen-tests-{uid}"))
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).context(|| dir.display().to_string())?;
    let meta = std::fs::symlink_metadata(&dir).context(|| dir.display().to_string())?;
    if !meta.is_dir() || meta.uid() != uid.as_raw() {
        return Err(FixtureError::new(format!("{} is not a directory of this user", dir.display())));
    }
    Ok(dir)
}

/// Acquires the lock `name`; waits while another process holds it.
///
/// # Errors
/// The lock file cannot be opened.
pub fn lock(name: &str) -> Result<Lock> {
    lock_file(&dir()?.join(format!("{name}.lock")))
}

/// Like [`lock`], with any path as the lock file.
///
/// # Errors
/// The file cannot be opened.
pub fn lock_file(path: &std::path::Path) -> Result<Lock> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .context(|| path.display().to_string())?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map(Lock)
        .map_err(|(_, errno)| FixtureError::new(format!("{}: {errno}", path.display())))
}

/// A short name that is unique on this machine: `prefix` and eight hexadecimal digits.
pub fn fresh_name(prefix: &str) -> String {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's hasher is randomly seeded, differently for each instance.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{prefix}{:08x}", hasher.finish() >> 32)
}
