//! What is sent to a context before a command runs in it.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use mitogen::Client;
use mitogen::command::Command;
use mitogen::files::{Sources, TransferOptions, put};
use mitogen::listen::preload;
use mitogen::wire::WellKnownHandle;
use mitogen_tests::{isolated, pythons};

use crate::Open;
use crate::common::{connect_with, local, run, up};
use crate::frame_log::FrameLog;

#[test]
fn a_command_in_a_preloaded_context_requests_no_module() {
    isolated(|| {
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let (tap, open) = (FrameLog::new(&python.path), Open::new());
            let child = up(&connect_with(&open.master, None, &local(), tap.settings()));
            preload(&child).expect("sent");
            // The reply proves that earlier messages have been processed.
            child.call::<i64>("os.getpid", ()).expect("an answer");
            // Python 2 requests optional modules of its standard library once.
            let asked = open.master.module_stats().asked;
            let to = tempfile::tempdir().unwrap();
            let from = to.path().join("original");
            fs::write(&from, "precious").unwrap();
            let sources = Sources::scan(&[from]).expect("a file");
            let client = Client::connect(open.path()).expect("a client");
            let there = client.context(child.id(), "child");
            for _ in 0..2 {
                let output = run(&there, &Command::new(["cat"]), b"hello");
                assert_eq!(output.stdout, b"hello");
                there.call::<String>("platform.python_version", ()).expect("a version");
                let place = to.path().join("copy");
                put(&there, &sources, place.as_os_str().as_bytes(), &TransferOptions::default(), |_| ())
                    .expect("a fork");
                assert_eq!(fs::read(place).unwrap(), b"precious");
            }
            client.shutdown();
            assert_eq!(open.master.module_stats().asked, asked, "{python:?}");
            open.master.shutdown();
            let links = tap.links();
            let [link] = links.as_slice() else { panic!("{links:?}") };
            assert_eq!(link.asked().len() as u64, asked, "{python:?}: {:?}", link.asked());
            assert!(link.loaded().iter().all(|(_, times)| *times == 1), "{:?}", link.loaded());
            let calls = |handle: WellKnownHandle| {
                let of = move |(at, message): (usize, &mitogen::wire::Message)| {
                    (message.handle == handle.handle()).then_some(at)
                };
                link.down.iter().enumerate().filter_map(of).collect::<Vec<_>>()
            };
            // The first two calls are those made above.
            let (loads, calls) = (calls(WellKnownHandle::LoadModule), calls(WellKnownHandle::CallFunction));
            assert!(loads.last() < calls.get(2), "modules were sent with the call: {loads:?} {calls:?}");
        }
    });
}
