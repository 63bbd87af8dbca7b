//! File transfers with real disks, servers, interpreters and interruptions.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../common.rs"]
mod common;

mod command;
mod faults;
#[path = "../frame_log.rs"]
mod frame_log;
mod hostile;
mod large;
mod services;
mod shared;
mod trees;

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mitogen::files::{self, FileError, FileErrorKind, Sources, TransferOptions, TransferReport};
use mitogen::{Context, Master};

use common::{local, master, started_by, up};

/// A temporary directory.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Creates a file with these contents.
    pub(crate) fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, contents).unwrap();
        path
    }
}

/// Bytes without a short period.
pub(crate) fn noise(count: usize) -> Vec<u8> {
    (0..count as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A master with one child on this machine.
pub(crate) fn pair() -> (Master, Context) {
    let master = master();
    let child = up(&master.connect(&local()).unwrap());
    (master, child)
}

/// Puts one source.
pub(crate) fn put(to: &Context, source: &Path, dest: &Path) -> Result<TransferReport, FileError> {
    put_with(to, source, dest, &TransferOptions::default())
}

pub(crate) fn put_with(
    to: &Context,
    source: &Path,
    dest: &Path,
    options: &TransferOptions,
) -> Result<TransferReport, FileError> {
    files::put(to, &Sources::scan(&[source])?, dest.as_os_str().as_bytes(), options, |_| ())
}

/// Gets one source.
pub(crate) fn get(from: &Context, source: &Path, dest: &Path) -> Result<TransferReport, FileError> {
    files::get(from, &[source.as_os_str().as_bytes().to_vec()], dest, &TransferOptions::default(), |_| ())
}

/// Checks that an error is of this kind and names this path.
pub(crate) fn check<T: std::fmt::Debug>(result: Result<T, FileError>, kind: FileErrorKind, names: &Path) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Some(kind), "{error}");
    assert!(error.to_string().contains(&*names.to_string_lossy()), "{error}");
}

/// The names in a directory, sorted, including partial files.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Creates a sparse file of this size, with data only at its end.
pub(crate) fn hollow(path: &Path, size: u64) {
    let mut file = fs::File::create(path).unwrap();
    file.set_len(size - 4).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    file.write_all(b"last").unwrap();
}
