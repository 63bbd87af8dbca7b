//! A zip archive as a file tree.
//!
//! The `zip` crate adds little to `flate2`, which is used anyway, and supports what Python's `zipimport`
//! supports: the 64-bit format, prefixes of executable archives, and names in two encodings.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use zip::ZipArchive;

use super::file_tree::{FileTree, Index, Listing, join};

/// An open archive.
pub(super) struct Archive {
    path: PathBuf,
    index: Index,
    archive: Mutex<ZipArchive<BufReader<File>>>,
}

impl Archive {
    /// Opens an archive and reads its table of contents.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(io::Error::from)?;
        // Members whose names are not text cannot be modules.
        let index = Index::of(archive.file_names().flatten());
        Ok(Self { path: path.to_owned(), index, archive: Mutex::new(archive) })
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileTree for Archive {
    fn list(&self, directory: &str) -> io::Result<Option<Arc<Listing>>> {
        Ok(self.index.list(directory))
    }

    fn read(&self, file: &str) -> io::Result<Bytes> {
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let mut member = archive.by_name(file).map_err(io::Error::from)?;
        let mut content = Vec::new();
        member.read_to_end(&mut content)?;
        Ok(content.into())
    }

    fn display_path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.path.clone() } else { self.path.join(path) }
    }

    fn is_below(&self, directory: &str, path: &str) -> io::Result<bool> {
        Ok(path.starts_with(&join(directory, "")))
    }
}
