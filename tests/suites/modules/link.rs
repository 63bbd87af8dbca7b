//! Modules that a call imports are sent ahead of it, once, without round trips.

use std::fmt::Write as _;
use std::path::Path;

use mitogen_tests::{isolated, pythons};

use crate::frame_log::FrameLog;
use crate::{call, chain, master};

/// The number of modules in the package of these tests, without the package itself.
const MODULES: usize = 50;

/// A package of [`MODULES`] modules, each importing the next one, one of them within a function.
fn make_package(dir: &Path) {
    let package = dir.join("fifty");
    std::fs::create_dir(&package).expect("a directory");
    std::fs::write(package.join("__init__.py"), "'''Fifty modules.'''\n").expect("a file");
    for at in 0..MODULES {
        let mut text = String::new();
        match at {
            // Not imported by a module, but needed by the call.
            10 => writeln!(text, "def value():\n    from fifty import m11\n    return m11.value() + 1"),
            _ if at + 1 == MODULES => writeln!(text, "def value():\n    return 1"),
            _ if at % 3 == 0 => {
                writeln!(text, "from . import m{0}\n\ndef value():\n    return m{0}.value() + 1", at + 1)
            }
            _ if at % 3 == 1 => {
                writeln!(text, "import fifty.m{0}\n\ndef value():\n    return fifty.m{0}.value() + 1", at + 1)
            }
            _ => writeln!(
                text,
                "from fifty.m{} import value as following\n\ndef value():\n    return following() + 1",
                at + 1
            ),
        }
        .expect("text");
        std::fs::write(package.join(format!("m{at}.py")), text).expect("a file");
    }
}

/// Whether the call needs this module only through the function in module 10.
fn is_deferred(name: &str) -> bool {
    name.strip_prefix("fifty.m").and_then(|at| at.parse().ok()).is_some_and(|at: usize| at > 10)
}

#[test]
fn no_module_is_requested_or_sent_twice() {
    isolated(|| {
        let dir = tempfile::tempdir().expect("a directory");
        make_package(dir.path());
        for python in pythons().iter().filter(|python| python.is_supported()) {
            for length in 1..=3 {
                let tap = FrameLog::new(&python.path);
                let master = master(&[dir.path()]);
                let contexts = chain(&master, tap.settings(), length);
                let last = contexts.last().expect("one at least");
                let value: usize = call(last, "fifty.m0.value", ());
                assert_eq!(value, MODULES);
                let again: usize = call(last, "fifty.m0.value", ());
                assert_eq!(again, MODULES);
                master.shutdown();
                for (at, link) in tap.links().iter().enumerate() {
                    let loaded = link.loaded();
                    let ours: Vec<_> = loaded.iter().filter(|(name, _)| name.starts_with("fifty")).collect();
                    assert_eq!(ours.len(), MODULES + 1, "over link {at} of {length}");
                    assert!(loaded.values().all(|count| *count == 1), "over link {at}: {loaded:?}");
                    // Modules that only functions import are sent after the call, so a quick call may request one
                    // before it has arrived; the request is then answered by that module, which is not sent again.
                    let asked = link.asked();
                    let early: Vec<_> = asked.iter().filter(|name| !is_deferred(name)).collect();
                    assert!(early.is_empty(), "over link {at} under {}: {early:?}", python.version_text());
                }
            }
        }
    });
}

#[test]
fn siblings_share_the_modules_that_their_parent_has() {
    isolated(|| {
        let dir = tempfile::tempdir().expect("a directory");
        make_package(dir.path());
        let python = pythons().into_iter().rev().find(mitogen_tests::Python::is_supported).expect("a Python");
        let tap = FrameLog::new(&python.path);
        let master = master(&[dir.path()]);
        let parent = chain(&master, tap.settings(), 1).remove(0);
        let children: Vec<_> = (0..3)
            .map(|_| {
                let transport = mitogen::transports::local::Local::default();
                let request = mitogen::ConnectRequest {
                    transport: &transport,
                    name: None,
                    via: Some(&parent),
                    settings: tap.settings(),
                };
                master.connector().connect(&request).expect("a plan").context().clone()
            })
            .collect();
        for child in &children {
            assert_eq!(call::<usize>(child, "fifty.m0.value", ()), MODULES);
        }
        master.shutdown();
        let links = tap.links();
        assert_eq!(links.len(), 4);
        for link in &links {
            let loaded = link.loaded();
            assert!(loaded.values().all(|count| *count == 1), "{loaded:?}");
            assert_eq!(loaded.keys().filter(|name| name.starts_with("fifty")).count(), MODULES + 1);
        }
    });
}
