//! The files and directories of a transfer from this host.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::error::FileError;
use super::report::TransferProgress;

/// Files and directories to send, examined once for any number of targets.
#[derive(Clone, Debug)]
pub struct Sources {
    pub(super) entries: Vec<SourceEntry>,
    total: TransferProgress,
}

/// One of the paths that the caller has named.
#[derive(Clone, Debug)]
pub(super) struct SourceEntry {
    pub(super) path: PathBuf,
    /// The name at the target.
    pub(super) name: Bytes,
    pub(super) status: Metadata,
}

impl Sources {
    /// Examines `paths`, and directories recursively, to find out how much there is to send.
    ///
    /// # Errors
    /// One of `paths` does not exist or cannot be examined.
    pub fn scan<P: AsRef<Path>>(paths: &[P]) -> Result<Self, FileError> {
        let mut sources = Self { entries: Vec::new(), total: TransferProgress::default() };
        for path in paths.iter().map(AsRef::as_ref) {
            let status = fs::metadata(path).map_err(|error| FileError::local(path, &error))?;
            measure(path, &status, &mut sources.total);
            sources.entries.push(SourceEntry { path: path.to_owned(), name: name_of(path), status });
        }
        Ok(sources)
    }

    /// The paths that were named.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.entries.iter().map(|entry| entry.path.as_path())
    }

    /// How much there is to send; only the totals are set.
    pub fn total(&self) -> TransferProgress {
        self.total
    }
}

/// The name that a source gets at the target.
fn name_of(path: &Path) -> Bytes {
    let name = match path.file_name() {
        Some(name) => Some(name.to_owned()),
        // `.` and `..` are named as the directories that they refer to.
        None => fs::canonicalize(path).ok().and_then(|path| path.file_name().map(ToOwned::to_owned)),
    };
    name.map_or_else(|| Bytes::from_static(b"root"), |name| Bytes::from(name.into_vec()))
}

fn measure(path: &Path, status: &Metadata, total: &mut TransferProgress) {
    if status.is_file() {
        total.total_files += 1;
        total.total_bytes += status.len();
    } else if status.is_dir() {
        // What cannot be read is reported as skipped when the transfer reaches it.
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if let Ok(status) = entry.path().symlink_metadata() {
                measure(&entry.path(), &status, total);
            }
        }
    }
}
