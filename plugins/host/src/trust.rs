//! Whether another user could have written a file.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::error::LoadError;

/// The most symbolic links on the way to a file, as in the kernel.
const MAX_LINKS: usize = 40;

/// Checks a file and every directory on the way to it, also those that hold or lead to a symbolic link. Returns the path
/// without symbolic links.
pub(crate) fn check(path: &Path) -> Result<PathBuf, LoadError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LoadError::Examine { path, source }
    };
    let absolute = std::path::absolute(path).map_err(failed(path))?;
    // The components that are left, the next one last.
    let mut left: Vec<OsString> = components(&absolute);
    let mut real = PathBuf::new();
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            real.pop();
            continue;
        }
        let place = real.join(name);
        let found = fs::symlink_metadata(&place).map_err(failed(&place))?;
        if let Some(reason) = fault(&found, Uid::effective().as_raw()) {
            return Err(LoadError::Unsafe { path: place, reason });
        }
        if !found.is_symlink() {
            real = place;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(failed(path)(io::Error::from_raw_os_error(Errno::ELOOP as i32)));
        }
        let target = fs::read_link(&place).map_err(failed(&place))?;
        if target.is_absolute() {
            real = PathBuf::new();
        }
        left.extend(components(&target));
    }
    Ok(real)
}

/// The components of a path, the first one last.
fn components(path: &Path) -> Vec<OsString> {
    let all = path.components().filter(|part| *part != Component::CurDir);
    all.rev().map(|part| part.as_os_str().to_owned()).collect()
}

/// Who else could write it. In a sticky directory, others cannot replace what is not theirs.
fn fault(found: &Metadata, own: u32) -> Option<String> {
    // The mode of a link means nothing; its directory says who can replace it.
    let mode = if found.is_symlink() { 0 } else { found.mode() };
    reason(found.uid(), mode, found.is_dir(), own)
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
    fn directories_of_links_are_checked_like_those_of_files() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let mode =
            |name: &str, mode| fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        for name in ["good", "open"] {
            fs::create_dir(at(name)).unwrap();
            mode(name, 0o755);
        }
        fs::write(at("good/a.so"), "").unwrap();
        mode("good/a.so", 0o644);
        symlink("../good/a.so", at("open/b.so")).unwrap();
        symlink(at("open/b.so"), at("good/c.so")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let real = fs::canonicalize(at("good/a.so")).unwrap();
        for name in ["good/a.so", "open/b.so", "good/c.so", "open/../good/a.so"] {
            assert_eq!(check(&at(name)).unwrap(), real, "{name}");
        }
        mode("open", 0o777);
        for name in ["open/b.so", "good/c.so", "open"] {
            let error = check(&at(name)).unwrap_err();
            assert!(
                matches!(&error, LoadError::Unsafe { path, .. } if path.ends_with("open")),
                "{name}: {error}"
            );
        }
        assert!(matches!(check(&at("loop")), Err(LoadError::Examine { .. })));
        assert!(matches!(check(&at("none")), Err(LoadError::Examine { .. })));
    }

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
