//! Shutdown of contexts that resist it, and log records, which are filtered at their source.

use mitogen::{ConnectRequest, Context, Master, Value};
use mitogen_core::router::HandlerOptions;
use mitogen_core::wire::WellKnownHandle;
use mitogen_tests::{isolated, wait};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::{TIMEOUT, local, master, transport};

fn pid(context: &Context) -> i32 {
    context.call("os.getpid", ()).expect("an answer")
}

fn exec(context: &Context, code: &str) {
    let _: Value = context.call("builtins.exec", (code, Value::Dict(Vec::new()))).expect("it runs");
}

fn wait_gone(pid: i32) {
    let gone = wait::until(TIMEOUT, || kill(Pid::from_raw(pid), None).is_err().then_some(()));
    assert!(gone.is_some(), "process {pid} has outlived its master");
}

fn grandchild(master: &Master, via: &Context) -> Context {
    master.connect_via(via, &transport()).expect("a plan").wait().expect("a grandchild")
}

/// Ways to resist a shutdown: a name, and code that a context runs.
const RESISTANCE: [(&str, &str); 4] = [
    (
        "ignores SHUTDOWN",
        "import mitogen.core as core; core.stop = core.lazy; core.router.handlers[106] = (lambda m: None, True, None, None)",
    ),
    ("ignores signals", "import signal\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)"),
    (
        "hangs when it ends",
        "import time, mitogen.core as core\ncore.Exit.hooks.append(lambda: time.sleep(3600))",
    ),
    ("is stopped", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"),
];

/// Shuts down a chain of three of which the context at `place` resists.
fn end(code: &str, stops: bool, place: usize) {
    let master = master();
    let mut chain = vec![local(&master)];
    while chain.len() < 3 {
        let next = grandchild(&master, &chain[chain.len() - 1]);
        chain.push(next);
    }
    let pids: Vec<i32> = chain.iter().map(pid).collect();
    if stops {
        let args = (code, Value::Dict(Vec::new()));
        chain[place].call_no_reply("builtins.exec", args).expect("sent");
        let stopped = wait::until(TIMEOUT, || {
            let process = mitogen_tests::procs::Process::get(pids[place])?;
            (process.state == 'T').then_some(())
        });
        assert!(stopped.is_some());
    } else {
        exec(&chain[place], code);
    }
    master.shutdown();
    for pid in pids {
        wait_gone(pid);
    }
}

#[test]
fn contexts_that_ignore_shutdown_or_signals_are_killed() {
    isolated(|| {
        for (words, code) in RESISTANCE {
            std::thread::scope(|scope| {
                for place in 0..3 {
                    scope.spawn(move || end(code, words == "is stopped", place));
                }
            });
        }
    });
}

#[test]
fn an_idle_chain_ends_without_signals() {
    isolated(|| {
        let dir = tempfile::tempdir().expect("a directory");
        for asked in [None, Some(0), Some(1)] {
            let master = master();
            let mut chain = vec![local(&master)];
            while chain.len() < 3 {
                let next = grandchild(&master, &chain[chain.len() - 1]);
                chain.push(next);
            }
            let pids: Vec<i32> = chain.iter().map(pid).collect();
            for context in &chain {
                let code = format!(
                    "import os, signal\nsignal.signal(15, lambda *_: os.mkdir({:?} + str(os.getpid())))",
                    dir.path().join("signalled.").display().to_string()
                );
                exec(context, &code);
            }
            if let Some(asked) = asked {
                chain[asked].shutdown().expect("sent");
                pids[asked..].iter().copied().for_each(wait_gone);
            }
            master.shutdown();
            pids.iter().copied().for_each(wait_gone);
            let signalled: Vec<_> = std::fs::read_dir(dir.path()).expect("it exists").flatten().collect();
            assert!(signalled.is_empty(), "{signalled:?}");
        }
    });
}

/// A child with these log levels of its root, `mitogen` and `mitogen.io` loggers.
fn with_levels(master: &Master, via: Option<&Context>, log_levels: [i64; 3]) -> Context {
    let settings = master.settings().clone().log_levels(log_levels);
    let request = ConnectRequest { transport: &transport(), name: None, via, settings: &settings };
    master.connector().connect(&request).expect("a plan").wait().expect("a child")
}

#[test]
fn filtered_log_records_are_not_sent() {
    isolated(|| {
        let master = master();
        // Replaces the master's own handler, to receive every record whatever its level.
        let (sender, records) = std::sync::mpsc::channel();
        let sender = std::sync::Mutex::new(sender);
        let handle = Some(WellKnownHandle::ForwardLog.handle());
        master.router().add_handler(handle, HandlerOptions::default(), move |delivery| {
            let text = String::from_utf8_lossy(&delivery.message.data).replace('\0', " ");
            drop(sender.lock().expect("no panic").send((delivery.message.src_id, text)));
        });
        let parent = local(&master);
        for via in [None, Some(&parent)] {
            for (level, expected) in [(10, 5), (20, 4), (30, 3), (40, 2), (50, 1)] {
                let child = with_levels(&master, via, [level; 3]);
                exec(
                    &child,
                    "import logging\n\
                     for level in (10, 20, 30, 40, 50): logging.getLogger('some').log(level, 'at %d', level)",
                );
                // A link preserves order: records that were sent before the reply have arrived.
                let of_child: Vec<_> = records
                    .try_iter()
                    .filter(|(src, text)| *src == child.id() && text.starts_with("some "))
                    .collect();
                assert_eq!(of_child.len(), expected, "at level {level}: {of_child:?}");
            }
        }
        master.shutdown();
    });
}

#[test]
fn printed_output_is_forwarded_by_line_including_an_unfinished_one() {
    isolated(|| {
        let master = master();
        let (sender, records) = std::sync::mpsc::channel();
        let sender = std::sync::Mutex::new(sender);
        let handle = Some(WellKnownHandle::ForwardLog.handle());
        master.router().add_handler(handle, HandlerOptions::default(), move |delivery| {
            let text = String::from_utf8_lossy(&delivery.message.data).replace('\0', " ");
            drop(sender.lock().expect("no panic").send((delivery.message.src_id, text)));
        });
        let parent = local(&master);
        let child = grandchild(&master, &parent);
        for context in [&child, &parent] {
            exec(
                context,
                "import os, sys\nprint('one')\nos.system('printf two; printf \"\\\\nbad\\\\n\" >&2')\n\
                 sys.stdout.write('\\nlast, without an end')",
            );
            context.shutdown().expect("sent");
            let mut got = Vec::new();
            while !got.iter().any(|text: &String| text.contains("last")) {
                let (src, text) = records.recv_timeout(TIMEOUT).expect("what was printed");
                if src == context.id() {
                    got.push(text);
                }
            }
            got.sort();
            let expected = [
                "stderr 20 ",
                "stderr 20 bad",
                "stdout 20 last, without an end",
                "stdout 20 one",
                "stdout 20 two",
            ];
            assert_eq!(got, expected);
        }
        master.shutdown();
    });
}
