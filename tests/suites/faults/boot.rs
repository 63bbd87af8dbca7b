//! Children that fail or behave unusually before they are up.

use mitogen::Value;
use mitogen::dialogue::{FailureKind, Stage};
use mitogen_tests::{Leaks, isolated};

use crate::common::{TIMEOUT, check, connect_with, down, local, no_process_left, started_by, up};

/// Shell scripts in place of an interpreter, and the errors that they must cause.
#[test]
fn children_that_fail_before_they_are_up_are_errors_with_a_stage() {
    let rows: [(&str, Stage, FailureKind, &str); 7] = [
        ("exit 0", Stage::Interpreter, FailureKind::Eof, "status 0"),
        ("echo MITO000; exit 1", Stage::Bootstrap, FailureKind::Eof, "status 1"),
        (
            "echo MITO000; echo 'ImportError: no zlib' >&2; exit 1",
            Stage::Bootstrap,
            FailureKind::Eof,
            "no zlib",
        ),
        ("echo MITO000; kill -11 $$", Stage::Bootstrap, FailureKind::Eof, "signal 11"),
        ("echo MITO000; echo MITO00; printf MITO002", Stage::Bootstrap, FailureKind::Eof, "status 0"),
        // It ignores the first signal, and runs on without its link.
        (
            "trap '' TERM; exec <&- >&- 2>&-; while :; do sleep 1; done",
            Stage::Interpreter,
            FailureKind::Eof,
            "closed",
        ),
        (
            "echo MITO000; exec <&- >&- 2>&-; trap '' TERM; while :; do sleep 1; done",
            Stage::Bootstrap,
            FailureKind::Eof,
            "closed",
        ),
    ];
    isolated(|| {
        let master = crate::fake::master();
        let here = up(&master.connect(&local()).unwrap());
        for (script, stage, kind, words) in rows {
            for via in [None, Some(&here)] {
                let leaks = Leaks::start();
                let settings = started_by(&["/bin/sh", "-c", script]);
                let connecting = connect_with(&master, via, &local(), &settings);
                // Some connections fail before this can be sent.
                let call = connecting.context().call_async::<Value>("os.getpid", ());
                let error = down(&connecting);
                check(&error, stage, kind);
                assert!(error.report().contains(words), "{script}: {}", error.report());
                assert!(call.and_then(|call| call.get_timeout(TIMEOUT)).is_err());
                no_process_left(&leaks);
            }
        }
        master.shutdown();
    });
}

#[test]
fn noise_before_the_markers_is_not_kept() {
    isolated(|| {
        let master = crate::fake::master();
        let here = up(&master.connect(&local()).unwrap());
        let (argv, _script) = crate::fake::command();
        let argv = argv.join(" ");
        // Megabytes without a newline, directly followed by the child's output.
        let noise =
            format!("head -c 20000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero >&2; exec {argv}");
        let settings = started_by(&["/bin/sh", "-c", &noise]);
        for via in [None, Some(&here)] {
            up(&connect_with(&master, via, &local(), &settings));
        }
        master.shutdown();
    });
}

#[test]
fn markers_and_frames_may_arrive_in_one_read() {
    isolated(|| {
        let master = crate::fake::master();
        let here = up(&master.connect(&local()).unwrap());
        for via in [None, Some(&here)] {
            let receiver = crate::fake::listen(&master);
            // Without the first marker, and with a message directly behind the second.
            let id = via.map_or(2, |_| 3);
            let frame = mitogen::wire::Message {
                src_id: mitogen::ids::ContextId(id),
                auth_id: mitogen::ids::ContextId(id),
                ..mitogen::wire::Message::new(
                    mitogen::ids::ContextId(0),
                    receiver.handle(),
                    mitogen::wire::Encoding::Pickle,
                    crate::fake::payload("hello"),
                )
            };
            let octal: String = frame.to_bytes().iter().map(|byte| format!("\\{byte:03o}")).collect();
            let script = format!("printf 'MITO002\\n{octal}'; exec cat >/dev/null");
            let context = up(&connect_with(&master, via, &local(), &started_by(&["/bin/sh", "-c", &script])));
            assert_eq!(context.id().0, id);
            assert_eq!(receiver.get_timeout(TIMEOUT).expect("the message"), Value::from("hello"));
        }
        master.shutdown();
    });
}
