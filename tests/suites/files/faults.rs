//! Transfers that fail, and what they leave behind.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use mitogen::files::{self, FileError, FileErrorKind, Sources, TransferOptions, TransferProgress};
use mitogen::transports::su;
use mitogen::{CallError, Context};
use mitogen_tests::{TestUser, isolated, procs, run};

use crate::common::{local, up};
use crate::{Scratch, check, get, hollow, names, noise, pair, put};

/// A disk of 3 MiB.
pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    pub(crate) fn new(scratch: &Scratch) -> Self {
        let path = scratch.at("disk");
        fs::create_dir(&path).unwrap();
        run::run(&["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", path.to_str().unwrap()]).unwrap();
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run::run(&["umount", self.0.to_str().unwrap()]).unwrap();
    }
}

#[test]
fn a_full_disk_is_an_error_and_leaves_no_partial_file() {
    isolated(|| {
        let scratch = Scratch::new();
        let (master, child) = pair();
        let big = scratch.file("big", &noise(8_000_000));
        let disk = SmallDisk::new(&scratch);
        let place = disk.0.join("copy");
        check(put(&child, &big, &place), FileErrorKind::NoSpace, &place);
        assert!(names(&disk.0).is_empty());
        check(get(&child, &big, &place), FileErrorKind::NoSpace, &place);
        assert!(names(&disk.0).is_empty());
        let small = scratch.file("small", b"fits");
        put(&child, &small, &place).unwrap();
        assert_eq!(names(&disk.0), ["copy"]);
        drop(disk);
        master.shutdown();
    });
}

#[test]
fn missing_permissions_are_errors() {
    isolated(|| {
        let scratch = Scratch::new();
        let user = TestUser::new().unwrap();
        let (master, root) = pair();
        let become_user = su::Options::new().username(user.name());
        let child = up(&master.connect(&su::Su::new(become_user).unwrap()).unwrap());
        fs::create_dir(scratch.at("closed")).unwrap();
        fs::set_permissions(scratch.at("closed"), Permissions::from_mode(0o755)).unwrap();
        let tmp = std::env::temp_dir();
        for path in [&tmp, &scratch.at("")] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        let source = scratch.file("source", b"x");
        let place = scratch.at("closed/copy");
        check(put(&child, &source, &place), FileErrorKind::PermissionDenied, &place);
        // All readable files of a directory are copied, and the others are reported.
        fs::create_dir(scratch.at("mixed")).unwrap();
        for (name, mode) in [("mixed/open", 0o644), ("mixed/secret", 0o600)] {
            let path = scratch.file(name, name.as_bytes());
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let _socket = UnixListener::bind(scratch.at("mixed/socket")).unwrap();
        let report = get(&child, &scratch.at("mixed"), &scratch.at("got")).unwrap();
        let skipped: Vec<&str> = report.skipped.iter().map(|skipped| skipped.path.as_str()).collect();
        assert_eq!(
            skipped,
            [scratch.at("mixed/secret"), scratch.at("mixed/socket")].map(|p| p.display().to_string())
        );
        assert_eq!(names(&scratch.at("got")), ["open"]);
        let report = put(&root, &scratch.at("mixed"), &scratch.at("put")).unwrap();
        assert_eq!(report.skipped.len(), 1, "{report:?}");
        assert_eq!(names(&scratch.at("put")), ["open", "secret"]);
        master.shutdown();
    });
}

/// Runs a put or get that calls `halfway` once when half of the data has arrived.
fn copy(
    with: &Context,
    puts: bool,
    source: &Path,
    dest: &Path,
    halfway: impl FnOnce(),
) -> Result<files::TransferReport, FileError> {
    let mut halfway = Some(halfway);
    let progress = |progress: &TransferProgress| {
        if progress.bytes * 2 > progress.total_bytes
            && let Some(halfway) = halfway.take()
        {
            halfway();
        }
    };
    let options = TransferOptions::default();
    if puts {
        let sources = Sources::scan(&[source]).unwrap();
        files::put(with, &sources, dest.as_os_str().as_bytes(), &options, progress)
    } else {
        files::get(with, &[source.as_os_str().as_bytes().to_vec()], dest, &options, progress)
    }
}

#[test]
fn a_source_that_changes_during_the_copy_is_an_error() {
    isolated(|| {
        let scratch = Scratch::new();
        let (master, child) = pair();
        for puts in [true, false] {
            let source = scratch.file("source", &noise(30_000_000));
            fs::create_dir(scratch.at("dest")).unwrap();
            let result = copy(&child, puts, &source, &scratch.at("dest/copy"), || {
                fs::OpenOptions::new().append(true).open(&source).unwrap().write_all(b"more").unwrap();
            });
            check(result, FileErrorKind::SourceChanged, &source);
            let result = copy(&child, puts, &source, &scratch.at("dest/copy"), || {
                fs::OpenOptions::new().write(true).open(&source).unwrap().set_len(5).unwrap();
            });
            check(result, FileErrorKind::SourceChanged, &source);
            // The remote side cleans up on its own thread.
            child.call::<u32>("os.getpid", ()).unwrap();
            let gone = mitogen_tests::wait::until(mitogen_tests::wait::TIMEOUT, || {
                names(&scratch.at("dest")).is_empty().then_some(())
            });
            assert!(gone.is_some(), "puts {puts}: {:?}", names(&scratch.at("dest")));
            fs::remove_dir(scratch.at("dest")).unwrap();
        }
        master.shutdown();
    });
}

#[test]
fn a_killed_transfer_resumes() {
    isolated(|| {
        let scratch = Scratch::new();
        let source = scratch.file("source", &noise(40_000_000));
        for puts in [true, false] {
            let (master, child) = pair();
            let dest = scratch.at(&format!("dest-{puts}"));
            fs::create_dir(&dest).unwrap();
            let place = dest.join("copy");
            fs::write(&place, b"old").unwrap();
            let pid: i32 = child.call("os.getpid", ()).unwrap();
            let process = procs::Process::get(pid).unwrap();
            let result = copy(&child, puts, &source, &place, || procs::kill_now(process.id));
            assert!(
                matches!(result, Err(FileError::Call(CallError::Dead { .. } | CallError::Send(_)))),
                "{result:?}"
            );
            assert_eq!(
                fs::read(&place).unwrap(),
                b"old",
                "the old file remains until the new one is complete"
            );
            assert_eq!(names(&dest), [".copy.mitogen-part", "copy"]);
            let child = up(&master.connect(&local()).unwrap());
            let report = copy(&child, puts, &source, &place, || ()).unwrap();
            assert!(report.progress.resumed > 1_000_000, "{report:?}");
            assert_eq!(names(&dest), ["copy"]);
            assert!(fs::read(&place).unwrap() == noise(40_000_000));
            // A partial file with other contents is not resumed. The sticky bit marks partial files.
            fs::remove_file(&place).unwrap();
            fs::write(dest.join(".copy.mitogen-part"), vec![7; 5_000_000]).unwrap();
            fs::set_permissions(dest.join(".copy.mitogen-part"), Permissions::from_mode(0o1600)).unwrap();
            let report = copy(&child, puts, &source, &place, || ()).unwrap();
            assert_eq!(report.progress.resumed, 0);
            assert!(fs::read(&place).unwrap() == noise(40_000_000));
            assert_eq!(names(&dest), ["copy"]);
            // A symbolic link with the name of the partial file is not followed.
            fs::remove_file(&place).unwrap();
            let victim = scratch.file("victim", &noise(2_000_000));
            symlink(&victim, dest.join(".copy.mitogen-part")).unwrap();
            let report = copy(&child, puts, &source, &place, || ()).unwrap();
            assert_eq!((report.progress.resumed, names(&dest).len()), (0, 2));
            assert!(fs::read(&victim).unwrap() == noise(2_000_000));
            master.shutdown();
        }
    });
}

#[test]
fn concurrent_transfers_share_one_child() {
    isolated(|| {
        let scratch = Scratch::new();
        let (master, child) = pair();
        hollow(&scratch.at("source"), 20_000_000);
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (child, scratch) = (&child, &scratch);
                scope.spawn(move || {
                    let (source, place) = (scratch.at("source"), scratch.at(&format!("copy-{number}")));
                    copy(child, number % 2 == 0, &source, &place, || ()).unwrap();
                    assert_eq!(fs::metadata(&place).unwrap().len(), 20_000_000);
                });
            }
            // The child answers calls in the meantime.
            for _ in 0..20 {
                child.call::<u32>("os.getpid", ()).unwrap();
            }
        });
        master.shutdown();
    });
}
