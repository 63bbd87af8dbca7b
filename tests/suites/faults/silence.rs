//! Links that become silent without closing, and links that are silent for good reasons.

use std::time::Duration;

use bytes::Bytes;
use mitogen::ids::Handle;
use mitogen::wire::{Encoding, Message};
use mitogen::{CallError, ChildSettings, Context, Keepalive, Master, Python, Value};
use mitogen_tests::procs::Process;
use mitogen_tests::{Leaks, isolated, procs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{TIMEOUT, connect_with, local, no_process_left, up};
use crate::fake;

fn watched(interval: u64, count: u32) -> ChildSettings {
    let keepalive = Keepalive { interval: Duration::from_millis(interval), count };
    ChildSettings::new(Python::new()).keepalive(keepalive)
}

fn start(master: &Master, via: Option<&Context>, settings: &ChildSettings) -> Context {
    up(&connect_with(master, via, &local(), settings))
}

fn process(context: &Context) -> Process {
    Process::get(context.call("os.getpid", ()).expect("an answer")).expect("the context continues")
}

fn lost(call: &mitogen::Receiver<Value>, words: &str) {
    let error = call.get_timeout(TIMEOUT).expect_err("it cannot answer");
    assert!(matches!(&error, CallError::Dead { reason, .. } if reason.contains(words)), "{error:?}");
}

#[test]
fn a_stopped_child_is_lost_with_all_contexts_behind_it() {
    isolated(|| {
        let master = fake::master();
        let leaks = Leaks::start();
        let settings = watched(200, 3);
        let one = start(&master, None, &settings);
        let two = start(&master, Some(&one), &settings);
        let calls = [&one, &two].map(|context| context.call_async("time.sleep", (3600,)).expect("sent"));
        procs::stop(process_beside(&one));
        for call in &calls {
            lost(call, "no traffic");
        }
        no_process_left(&leaks);
        master.shutdown();
    });
}

/// The process of a busy context, found as the parent of the process that it started.
fn process_beside(context: &Context) -> procs::ProcessId {
    let ours = i32::try_from(std::process::id()).expect("a number");
    let found: Vec<_> =
        procs::descendants(ours).into_iter().filter(|process| process.parent == ours).collect();
    assert_eq!(found.len(), 1, "{context:?}: {found:#?}");
    found[0].id
}

#[test]
fn a_context_detects_its_own_stopped_child() {
    isolated(|| {
        let master = fake::master();
        let leaks = Leaks::start();
        let one = start(&master, None, &ChildSettings::new(Python::new()));
        let beside = start(&master, Some(&one), &ChildSettings::new(Python::new()));
        let two = start(&master, Some(&one), &watched(200, 3));
        let behind = start(&master, Some(&two), &ChildSettings::new(Python::new()));
        let stopped = process(&two);
        let calls = [&two, &behind].map(|context| context.call_async("time.sleep", (3600,)).expect("sent"));
        procs::stop(stopped.id);
        for call in &calls {
            lost(call, two.name());
        }
        for context in [&one, &beside] {
            let _: u32 = context.call("os.getpid", ()).expect("the context continues");
        }
        one.shutdown().expect("sent");
        no_process_left(&leaks);
        master.shutdown();
    });
}

#[test]
fn a_child_that_never_answers_probes_is_lost() {
    isolated(|| {
        let master = fake::master();
        for via in [None, Some(start(&master, None, &ChildSettings::new(Python::new())))] {
            let (mut settings, _script) = fake::settings();
            settings.keepalive = watched(100, 2).keepalive;
            let silent = start(&master, via.as_ref(), &settings);
            let call = silent.call_async("os.getpid", ()).expect("sent");
            lost(&call, if via.is_some() { "has gone" } else { "no traffic" });
        }
        master.shutdown();
    });
}

#[test]
fn a_busy_or_idle_child_is_kept() {
    isolated(|| {
        let master = fake::master();
        // The limit is 3.5 s without traffic.
        let settings = watched(500, 5);
        let one = start(&master, None, &settings);
        let two = start(&master, Some(&one), &settings);
        let spin = "import time\nend = time.time() + 5\nwhile time.time() < end: pass";
        let calls = [&one, &two].map(|context| {
            let request = context.request("timeit.timeit".parse().expect("a name"));
            request.args((spin,)).kwarg("number", 1).call_async::<Value>().expect("sent")
        });
        for call in calls {
            call.get_timeout(TIMEOUT).expect("it was busy, not dead");
        }
        // Then idle for the same time.
        std::thread::sleep(Duration::from_secs(5));
        for context in [&one, &two] {
            let _: u32 = context.call("os.getpid", ()).expect("the context continues");
        }
        master.shutdown();
    });
}

#[test]
fn a_context_that_pauses_reading_for_flow_control_is_kept() {
    isolated(|| {
        let master = fake::master();
        // The limit is 5 s without traffic.
        let one = start(&master, None, &watched(1000, 3));
        let two = start(&master, Some(&one), &watched(0, 0));
        let stopped = process(&two);
        procs::stop(stopped.id);
        // More than it queues for its child, but less than what makes our sending threads wait.
        for _ in 0..8 {
            let message = Message::new(two.id(), Handle(5000), Encoding::Raw, Bytes::from(vec![0; 1 << 20]));
            master.router().send(message).expect("queued");
        }
        let stuck = one.call_async::<u32>("os.getpid", ()).expect("sent");
        let waited = stuck.get_timeout(Duration::from_secs(8));
        assert!(matches!(waited, Err(CallError::TimedOut)), "{waited:?}");
        kill(Pid::from_raw(stopped.id.pid), Signal::SIGCONT).expect("the process exists");
        assert_eq!(one.call::<i32>("os.getpid", ()).expect("the context continues"), stopped.parent);
        let _: u32 = two.call("os.getpid", ()).expect("the context continues");
        master.shutdown();
    });
}
