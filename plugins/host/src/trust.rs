//! Whether another user could have written a file.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::error::LoadError;

/// Checks a file and every directory on the way to it. Returns the path without symbolic links.
pub(crate) fn check(path: &Path) -> Result<PathBuf, LoadError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LoadError::Examine { path, source }
    };
    let real = fs::canonicalize(path).map_err(failed(path))?;
    for place in real.ancestors() {
        let found = fs::metadata(place).map_err(failed(place))?;
        if let Some(reason) = fault(&found, Uid::effective().as_raw()) {
            return Err(LoadError::Unsafe { path: place.to_owned(), reason });
        }
    }
    Ok(real)
}

/// Who else could write it. In a sticky directory, others cannot replace what is not theirs.
fn fault(found: &Metadata, own: u32) -> Option<String> {
    reason(found.uid(), found.mode(), found.is_dir(), own)
}

fn reason(owner: u32, mode: u32, is_dir: bool, own: u32) -> Option<String> {
    let what = if is_dir { "the directory" } else { "the file" };
    if owner != 0 && owner != own {
        return Some(format!("{what} is owned by uid {owner}, which is neither yours nor root's"));
    }
    if is_dir && mode & 0o1000 != 0 {
        return None;
    }
    match (mode & 0o020 != 0, mode & 0o002 != 0) {
        (false, false) => None,
        (_, true) => Some(format!("{what} is writable by everyone; run: chmod go-w")),
        (true, false) => Some(format!("{what} is writable by its group; run: chmod go-w")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_write_is_refused() {
        let file = |owner, mode| reason(owner, mode, false, 1000);
        let directory = |owner, mode| reason(owner, mode, true, 1000);
        for fine in [
            file(1000, 0o755),
            file(0, 0o644),
            directory(0, 0o755),
            directory(0, 0o1777),
            directory(1000, 0o700),
        ] {
            assert_eq!(fine, None);
        }
        for (found, part) in [
            (file(1001, 0o755), "the file is owned by uid 1001"),
            (file(1000, 0o775), "the file is writable by its group"),
            (file(0, 0o757), "the file is writable by everyone"),
            (file(0, 0o1757), "the file is writable by everyone"),
            (directory(1001, 0o755), "the directory is owned by uid 1001"),
            (directory(1001, 0o1777), "the directory is owned by uid 1001"),
            (directory(0, 0o777), "the directory is writable by everyone"),
            (directory(1000, 0o775), "the directory is writable by its group"),
        ] {
            assert!(found.as_deref().is_some_and(|found| found.starts_with(part)), "{found:?}");
        }
    }
}
