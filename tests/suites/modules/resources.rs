//! Data files of packages of the master, read under every interpreter.

use std::path::Path;

use mitogen_tests::{isolated, pythons};

use crate::{call, chain, master, started_by};

#[test]
fn data_files_are_read_and_listed_through_two_contexts() {
    isolated(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let package = dir.path().join("fixture_data");
        std::fs::create_dir_all(package.join("sub")).expect("directories");
        std::fs::write(package.join("__init__.py"), "").expect("a file");
        std::fs::write(package.join("greeting.txt"), "hello \u{1f980}\n").expect("a file");
        std::fs::write(package.join("sub/blob.bin"), vec![0xA5_u8; 300_000]).expect("a file");
        let drivers = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/drivers");
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let master = master(&[&drivers, dir.path()]);
            let contexts = chain(&master, &started_by(&[&python.path.to_string_lossy()]), 2);
            let version = python.version_text();
            for context in contexts.iter().rev() {
                let read: (String, usize, String) = call(context, "use_resources.read", ());
                assert_eq!(
                    read,
                    ("hello \u{1f980}\n".to_owned(), 300_000, "IOError".to_owned()),
                    "{version}"
                );
                let (names, inner): (Vec<String>, Vec<String>) = call(context, "use_resources.list_all", ());
                assert_eq!(names, ["__init__.py", "greeting.txt", "sub"], "under {version}");
                assert_eq!(inner, ["blob.bin"], "under {version}");
            }
            // The intermediate context has everything by then.
            let stats = master.module_stats();
            assert!(
                stats.resource_bytes < 700_000,
                "a file crossed the link twice under {version}: {stats:?}"
            );
            master.shutdown();
        }
    });
}
