//! A local directory as a file tree.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::file_tree::{FileKind, FileTree, Listing};

/// A directory. Listings are cached, so files that are added or removed later are not noticed; the content
/// of files is not cached here.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    listings: Mutex<HashMap<String, Option<Arc<Listing>>>>,
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, listings: Mutex::default() }
    }
}

impl FileTree for Directory {
    fn list(&self, directory: &str) -> io::Result<Option<Arc<Listing>>> {
        // The lock is not held during the system call; two threads may read the same directory.
        let known = self.listings.lock().unwrap_or_else(PoisonError::into_inner).get(directory).cloned();
        if let Some(listing) = known {
            return Ok(listing);
        }
        let listing = read_names(&self.display_path(directory))?.map(Arc::new);
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(listings.entry(directory.to_owned()).or_insert(listing).clone())
    }

    fn read(&self, file: &str) -> io::Result<Bytes> {
        let path = self.display_path(file);
        // The file may have been replaced by a fifo since it was listed, and opening that could block.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        fs::read(path).map(Bytes::from)
    }

    fn display_path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    fn is_below(&self, directory: &str, path: &str) -> io::Result<bool> {
        let directory = self.display_path(directory).canonicalize()?;
        Ok(self.display_path(path).canonicalize()?.starts_with(directory))
    }
}

/// `None` if the directory does not exist.
fn read_names(directory: &Path) -> io::Result<Option<Listing>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut names = Listing::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let mut kind = entry.file_type()?;
        if kind.is_symlink() {
            // A broken link is ignored.
            match fs::metadata(entry.path()) {
                Ok(target) => kind = target.file_type(),
                Err(_) => continue,
            }
        }
        if kind.is_file() {
            names.insert(name, FileKind::File);
        } else if kind.is_dir() {
            names.insert(name, FileKind::Directory);
        }
    }
    Ok(Some(names))
}
