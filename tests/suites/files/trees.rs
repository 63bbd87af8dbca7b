//! Copies of directories are exact: contents, names, types, permissions, times, owners; under every interpreter.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mitogen::files::{self, FileErrorKind, Sources, TransferOptions};
use mitogen::transports::su;
use mitogen_tests::{TestUser, isolated, pythons};

use crate::common::{connect_with, local, master, started_by, up};
use crate::{Scratch, check, get, names, noise, pair, put, put_with};

/// A directory with entries of every type.
fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::create_dir_all(root.join("deep/er")).unwrap();
    fs::write(root.join("none"), b"").unwrap();
    fs::write(root.join("deep/script"), b"#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("deep/script"), Permissions::from_mode(0o751)).unwrap();
    fs::write(root.join("deep/er/big"), noise(3_000_000)).unwrap();
    for odd in [&b"new\nline"[..], b"-n", b" blank ", b"\xff\xfe not utf-8", "\u{1f980}".as_bytes(), b"%s{}"]
    {
        fs::write(root.join(OsStr::from_bytes(odd)), odd).unwrap();
    }
    fs::write(root.join("x".repeat(255)), b"long").unwrap();
    symlink("../nowhere", root.join("dangling")).unwrap();
    symlink("deep", root.join("to-a-directory")).unwrap();
    fs::set_permissions(root.join("deep"), Permissions::from_mode(0o710)).unwrap();
    let past = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    for path in ["deep/script", "deep/er", "deep"] {
        fs::File::open(root.join(path)).unwrap().set_modified(past).unwrap();
    }
}

/// A listing of a directory without owners; times in whole seconds where the interpreter has no finer ones.
fn describe(root: &Path, exact: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let status = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
        let what = if status.is_symlink() {
            lines.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            continue;
        } else if status.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "directory".to_owned()
        } else {
            let contents = fs::read(&path).unwrap();
            let sum = contents.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
            format!("{} bytes, {sum:x}", contents.len())
        };
        let nanoseconds = if exact { status.mtime_nsec() } else { 0 };
        lines.push(format!("{name}: {what}, {:o}, {}.{nanoseconds}", status.mode(), status.mtime()));
    }
    lines.sort();
    lines
}

#[test]
fn directories_are_copied_exactly_under_every_interpreter() {
    isolated(|| {
        let scratch = Scratch::new();
        make_tree(&scratch.at("tree"));
        let master = master();
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let name = python.version_text();
            let child = connect_with(&master, None, &local(), &started_by(&[python.path.to_str().unwrap()]));
            let child = up(&child);
            let there = scratch.at(&format!("there-{name}"));
            let back = scratch.at(&format!("back-{name}"));
            let sent = put(&child, &scratch.at("tree"), &there).unwrap();
            assert_eq!((sent.progress.files, sent.progress.total_files), (10, 10), "{name}");
            assert_eq!(sent.progress.bytes, sent.progress.total_bytes, "{name}");
            let exact = python.version.0 > 2;
            assert_eq!(describe(&there, exact), describe(&scratch.at("tree"), exact), "{name}");
            let got = get(&child, &there, &back).unwrap();
            assert_eq!((got.progress.files, got.skipped.len()), (10, 0), "{name}");
            assert_eq!(describe(&back, false), describe(&scratch.at("tree"), false), "{name}");
            // A second time, over the existing copy.
            put(&child, &scratch.at("tree").join("deep"), &there).unwrap();
            get(&child, &there.join("deep"), &back).unwrap();
            // Existing directories were modified, and keep that modification time.
            let files = |root: &Path| -> Vec<String> {
                describe(root, false).into_iter().filter(|line| !line.contains(": directory")).collect()
            };
            assert_eq!(files(&back), files(&scratch.at("tree")), "{name}");
        }
        master.shutdown();
    });
}

#[test]
fn destinations_are_those_of_cp() {
    isolated(|| {
        let scratch = Scratch::new();
        let (master, child) = pair();
        let (one, two) = (scratch.file("one", b"1"), scratch.file("two", b"2"));
        fs::create_dir(scratch.at("dir")).unwrap();
        put(&child, &one, &scratch.at("new")).unwrap();
        put(&child, &one, &scratch.at("dir")).unwrap();
        put(&child, &two, &scratch.at("dir/")).unwrap();
        assert_eq!(names(&scratch.at("dir")), ["one", "two"]);
        assert_eq!(fs::read(scratch.at("new")).unwrap(), b"1");
        put(&child, &two, &scratch.at("new")).unwrap();
        assert_eq!(fs::read(scratch.at("new")).unwrap(), b"2");
        get(&child, &one, &scratch.at("new")).unwrap();
        assert_eq!(fs::read(scratch.at("new")).unwrap(), b"1");
        let both = Sources::scan(&[&one, &two]).unwrap();
        let put_both = |dest: &Path| {
            files::put(&child, &both, dest.as_os_str().as_bytes(), &TransferOptions::default(), |_| ())
        };
        check(put_both(&scratch.at("new")), FileErrorKind::NotADirectory, &scratch.at("new"));
        check(put_both(&scratch.at("missing")), FileErrorKind::NotFound, &scratch.at("missing"));
        check(put(&child, &one, &scratch.at("missing/x")), FileErrorKind::NotFound, &scratch.at("missing/x"));
        check(put(&child, &one, &scratch.at("new/x")), FileErrorKind::NotADirectory, &scratch.at("new/x"));
        // A directory is not replaced by a file, nor a file by a directory.
        fs::create_dir_all(scratch.at("taken/one")).unwrap();
        check(put(&child, &one, &scratch.at("taken")), FileErrorKind::IsADirectory, &scratch.at("taken/one"));
        check(get(&child, &one, &scratch.at("taken")), FileErrorKind::IsADirectory, &scratch.at("taken/one"));
        check(put(&child, &scratch.at("dir"), &one), FileErrorKind::NotADirectory, &one);
        check(get(&child, &scratch.at("dir"), &one), FileErrorKind::NotADirectory, &one);
        check(get(&child, &scratch.at("no"), &scratch.at("x")), FileErrorKind::NotFound, &scratch.at("no"));
        // A symbolic link is replaced; its target is not changed.
        symlink(&two, scratch.at("link")).unwrap();
        put(&child, &one, &scratch.at("link")).unwrap();
        assert_eq!(fs::read(&two).unwrap(), b"2");
        assert_eq!(fs::read(scratch.at("link")).unwrap(), b"1");
        // A symbolic link to a directory is not followed.
        fs::create_dir(scratch.at("outside")).unwrap();
        fs::create_dir(scratch.at("holder")).unwrap();
        symlink(scratch.at("outside"), scratch.at("holder/dir")).unwrap();
        let place = scratch.at("holder/dir");
        check(put(&child, &scratch.at("dir"), &scratch.at("holder")), FileErrorKind::NotADirectory, &place);
        check(get(&child, &scratch.at("dir"), &scratch.at("holder")), FileErrorKind::NotADirectory, &place);
        assert!(names(&scratch.at("outside")).is_empty());
        master.shutdown();
    });
}

#[test]
fn modes_and_owners_are_set_as_requested() {
    isolated(|| {
        let scratch = Scratch::new();
        let user = TestUser::new().unwrap();
        let (master, child) = pair();
        let source = scratch.file("source", b"x");
        fs::set_permissions(&source, Permissions::from_mode(0o4755)).unwrap();
        let look = |name: &str| {
            let status = fs::metadata(scratch.at(name)).unwrap();
            (status.mode() & 0o7777, status.uid(), status.gid())
        };
        put(&child, &source, &scratch.at("plain")).unwrap();
        assert_eq!(look("plain"), (0o755, 0, 0), "a setuid bit was kept without a request");
        let options = TransferOptions::new().mode(0o640).owner(user.name());
        put_with(&child, &source, &scratch.at("given"), &options.clone().sync(true)).unwrap();
        assert_eq!(look("given"), (0o640, user.uid(), 0));
        let owner = format!("{}:", user.name());
        put_with(&child, &source, &scratch.at("whole"), &options.clone().owner(owner)).unwrap();
        assert_eq!((look("whole").1, look("whole").2 != 0), (user.uid(), true));
        // A file that is replaced keeps its owner.
        put(&child, &source, &scratch.at("given")).unwrap();
        assert_eq!(look("given"), (0o755, user.uid(), 0));
        let wrong = options.clone().owner("no-such-user");
        let error = put_with(&child, &source, &scratch.at("wrong"), &wrong).unwrap_err();
        assert!(error.to_string().contains("no-such-user"), "{error}");
        // Ordinary users cannot change the owner.
        let become_user = su::Options::new().username(user.name());
        let other = up(&master.connect(&su::Su::new(become_user).unwrap()).unwrap());
        let place = user.home().join("gift");
        let result = put_with(&other, &source, &place, &options.owner("root"));
        check(result, FileErrorKind::PermissionDenied, &place);
        assert!(!names(user.home()).iter().any(|name| name.contains("gift")), "nothing is left");
        master.shutdown();
    });
}
