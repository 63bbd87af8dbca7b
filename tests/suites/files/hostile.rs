//! Sources that lie, copies that meet, and files that are named like the target's own.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use mitogen::Context;
use mitogen::files::{self, FileError, Sources, TransferOptions};
use mitogen_core::pickle::Value;
use mitogen_tests::isolated;

use crate::{Scratch, get, hollow, names, noise, pair, put};

/// Makes the child's end of later `get`s send these messages, a Python list of tuples of operations and of bytes.
fn lie(child: &Context, messages: &str) {
    let code = format!(
        "import mitogen.core as core, mitogen.files as files\n\
         def run(self, paths):\n    \
             for each in {messages}:\n        \
                 if isinstance(each, tuple):\n            \
                     self.send_op(*each)\n        \
                 else:\n            \
                     core.send(self.caller, self.handle, each, core.BIN)\n    \
             while self.next().unpickle()[0] != u'finished':\n        \
                 pass\n\
         files.Source.run = run\n"
    );
    let _: Value = child.call("builtins.exec", (code, Value::Dict(Vec::new()))).unwrap();
}

#[test]
fn sources_that_send_what_was_not_requested_are_refused() {
    isolated(|| {
        let scratch = Scratch::new();
        let (master, child) = pair();
        // Loads the module in the child.
        let real = scratch.file("syslog", b"x");
        get(&child, &real, &scratch.at("real")).unwrap();
        let file = |name: &str| format!("('file', b'{name}', 0, 0o644, 0, False), ('end', b'{EMPTY}')");
        let outside = scratch.at("outside");
        fs::create_dir(&outside).unwrap();
        for (messages, left) in [
            (file(".bashrc"), vec![]),
            (file("mitogen.toml"), vec![]),
            (format!("{}, {}", file("syslog"), file("syslog")), vec!["syslog"]),
            (format!("{}, {}", file("syslog"), file("other")), vec!["syslog"]),
            ("('dir', b'.ssh', 0o700, 0)".to_owned(), vec![]),
            (format!("('link', b'syslog', b'{}')", outside.display()), vec![]),
            (file("../syslog"), vec![]),
            ("('dir', b'syslog', 0o755, 0), ('up',), ('up',)".to_owned(), vec!["syslog"]),
        ] {
            let dest = scratch.at("dest");
            fs::create_dir(&dest).unwrap();
            lie(&child, &format!("[{messages}, ('finish',)]"));
            let error = get(&child, &real, &dest).unwrap_err();
            assert!(matches!(error, FileError::Protocol(_)), "{messages}: {error}");
            assert_eq!(names(&dest), left, "{messages}");
            fs::remove_dir_all(&dest).unwrap();
        }
        // A link that an earlier transfer made is not followed.
        let dest = scratch.at("dest");
        fs::create_dir(&dest).unwrap();
        let inner = format!("('link', b'x', b'{}')", outside.display());
        for (inner, is_copied) in
            [(inner, true), (format!("('dir', b'x', 0o755, 0), {}, ('up',)", file("y")), false)]
        {
            lie(&child, &format!("[('dir', b'syslog', 0o755, 0), {inner}, ('up',), ('finish',)]"));
            assert_eq!(get(&child, &real, &dest).is_ok(), is_copied);
        }
        assert!(names(&outside).is_empty());
        // More than was announced.
        let place = scratch.at("endless");
        lie(&child, "[('file', b'syslog', 10, 0o644, 0, False)] + [b'1' * 11] * 3");
        let error = get(&child, &real, &place).unwrap_err();
        assert!(error.to_string().contains("more than the announced size"), "{error}");
        assert!(!names(&scratch.at("")).iter().any(|name| name.contains("endless")));
        master.shutdown();
    });
}

/// The digest of no contents.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn copies_to_the_same_name_do_not_mix() {
    isolated(|| {
        let scratch = Scratch::new();
        let (master, child) = pair();
        for puts in [true, false] {
            let contents = [1, 2].map(|number| vec![number; 20_000_000]);
            let sources = [0, 1].map(|at| scratch.file(&format!("source-{at}"), &contents[at]));
            let dest = scratch.at(&format!("dest-{puts}"));
            fs::create_dir(&dest).unwrap();
            let place = dest.join("copy");
            std::thread::scope(|scope| {
                for source in &sources {
                    let (child, place) = (&child, &place);
                    scope.spawn(move || {
                        let report = if puts { put(child, source, place) } else { get(child, source, place) };
                        assert_eq!(report.unwrap().progress.files, 1);
                    });
                }
            });
            assert_eq!(names(&dest), ["copy"]);
            assert!(contents.contains(&fs::read(&place).unwrap()), "puts {puts}: a mixture");
        }
        // Several targets that are the same place.
        let source = scratch.file("source", &noise(5_000_000));
        let place = scratch.at("dest-true/copy");
        let sources = Sources::scan(&[&source]).unwrap();
        let contexts = [child.clone(), child.clone(), child.clone()];
        let dest = place.as_os_str().as_bytes();
        for report in files::put_all(&contexts, &sources, dest, &TransferOptions::new(), |_, _| ()) {
            report.unwrap();
        }
        assert!(fs::read(&place).unwrap() == noise(5_000_000));
        assert_eq!(names(&scratch.at("dest-true")), ["copy"]);
        master.shutdown();
    });
}

#[test]
fn files_that_are_named_like_partial_files_arrive() {
    isolated(|| {
        let scratch = Scratch::new();
        let (master, child) = pair();
        let tree = scratch.at("tree");
        fs::create_dir(&tree).unwrap();
        for (name, size) in
            [("a", 2_000_000), (".a.mitogen-part", 3_000_000), ("b", 10), (".b.mitogen-part", 20)]
        {
            fs::write(tree.join(name), noise(size)).unwrap();
            fs::set_permissions(tree.join(name), Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(tree.join("c"), b"c").unwrap();
        symlink("nowhere", tree.join(".c.mitogen-part")).unwrap();
        let check = |copy: &Path| {
            assert_eq!(names(copy), names(&tree));
            for name in names(&tree).iter().filter(|name| *name != ".c.mitogen-part") {
                assert!(fs::read(copy.join(name)).unwrap() == fs::read(tree.join(name)).unwrap(), "{name}");
            }
            assert!(copy.join(".c.mitogen-part").is_symlink());
        };
        for _ in 0..2 {
            put(&child, &tree, &scratch.at("there")).unwrap();
            fs::rename(scratch.at("there"), scratch.at("tree-there")).unwrap();
            check(&scratch.at("tree-there"));
            get(&child, &tree, &scratch.at("back")).unwrap();
            fs::rename(scratch.at("back"), scratch.at("tree-back")).unwrap();
            check(&scratch.at("tree-back"));
            // Single files beside their namesakes.
            put(&child, &tree.join("a"), &scratch.at("tree-there")).unwrap();
            get(&child, &tree.join("c"), &scratch.at("tree-back")).unwrap();
            check(&scratch.at("tree-there"));
            check(&scratch.at("tree-back"));
            fs::rename(scratch.at("tree-there"), scratch.at("there")).unwrap();
            fs::rename(scratch.at("tree-back"), scratch.at("back")).unwrap();
            for name in ["there", "back"] {
                fs::remove_dir_all(scratch.at(name)).unwrap();
            }
        }
        master.shutdown();
    });
}

#[test]
fn holes_and_equal_files_are_kept_and_directory_bits_arrive() {
    isolated(|| {
        let scratch = Scratch::new();
        let (master, child) = pair();
        let tree = scratch.at("tree");
        for (name, mode) in [("tmp", 0o1777), ("shared", 0o2775)] {
            fs::create_dir_all(tree.join(name)).unwrap();
            fs::set_permissions(tree.join(name), Permissions::from_mode(mode)).unwrap();
        }
        hollow(&tree.join("sparse"), 20_000_000);
        fs::write(tree.join("big"), noise(3_000_000)).unwrap();
        for puts in [true, false] {
            let copy = scratch.at(&format!("copy-{puts}"));
            let transfer = |from: &Path, to: &Path| {
                if puts { put(&child, from, to) } else { get(&child, from, to) }.unwrap().progress
            };
            assert_eq!(transfer(&tree, &copy).unchanged, 0);
            assert!(fs::metadata(copy.join("sparse")).unwrap().blocks() < 100, "puts {puts}");
            assert!(fs::read(copy.join("sparse")).unwrap() == fs::read(tree.join("sparse")).unwrap());
            let mode = |name| fs::metadata(copy.join(name)).unwrap().mode() & 0o7777;
            assert_eq!((mode("tmp"), mode("shared")), (0o1777, 0o2775), "puts {puts}");
            // Again, with one of two files changed but of the same size.
            let mut changed = noise(3_000_000);
            changed[2_999_999] ^= 1;
            fs::write(copy.join("big"), changed).unwrap();
            for name in ["big", "sparse"] {
                transfer(&tree.join(name), &copy);
            }
            assert!(fs::read(copy.join("big")).unwrap() == noise(3_000_000));
            let again = transfer(&tree.join("big"), &copy);
            assert_eq!((again.files, again.unchanged, again.resumed), (1, 1, 3_000_000), "puts {puts}");
            assert_eq!(names(&copy), ["big", "shared", "sparse", "tmp"]);
        }
        master.shutdown();
    });
}
