//! Contexts that start contexts.

use mitogen::{CallError, ChildSettings, Python, Value};
use mitogen_tests::{isolated, pythons, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{TIMEOUT, local, master, master_with, transport};

#[test]
fn a_chain_of_contexts_works_under_every_interpreter() {
    isolated(|| {
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let master = master_with(python);
            let one = local(&master);
            let two = master.connect_via(&one, &transport()).expect("a plan").wait().expect("a grandchild");
            let three = master.connect_via(&two, &transport()).expect("a plan").wait().expect("its child");
            let pid: i32 = two.call("os.getpid", ()).expect("an answer");
            let parent: i32 = three.call("os.getppid", ()).expect("an answer");
            assert_eq!(parent, pid, "the intermediate is the parent, under {}", python.version_text());
            assert!(three.name().starts_with(two.name()));
            master.shutdown();
        }
    });
}

#[test]
fn a_whole_chain_is_requested_without_waiting() {
    isolated(|| {
        let master = master();
        let one = master.connect(&transport()).expect("a plan");
        let two = master.connect_via(one.context(), &transport()).expect("a plan");
        let three = master.connect_via(two.context(), &transport()).expect("a plan");
        // No connection has been waited for.
        let joined: String = three.context().call("posixpath.join", ("a", "b")).expect("an answer");
        assert_eq!(joined, "a/b");
        master.shutdown();
    });
}

#[test]
fn a_busy_context_can_start_children() {
    isolated(|| {
        let master = master();
        let one = local(&master);
        let busy = one.call_async::<Value>("time.sleep", (3600,)).expect("sent");
        let two = master.connect_via(&one, &transport()).expect("a plan").wait().expect("a grandchild");
        let _: u32 = two.call("os.getpid", ()).expect("an answer, through the busy one");
        assert!(busy.is_empty(), "it is still busy");
        drop(busy);
        master.shutdown();
    });
}

#[test]
fn a_lost_intermediate_fails_every_call_behind_it() {
    isolated(|| {
        let master = master();
        let one = local(&master);
        let two = master.connect_via(&one, &transport()).expect("a plan").wait().expect("a grandchild");
        let one_pid: i32 = one.call("os.getpid", ()).expect("an answer");
        let two_pid: i32 = two.call("os.getpid", ()).expect("an answer");
        let waiting = two.call_async::<Value>("time.sleep", (3600,)).expect("sent");
        kill(Pid::from_raw(one_pid), Signal::SIGKILL).expect("the process exists");
        let error = waiting.get_timeout(TIMEOUT).expect_err("the link is lost");
        assert!(matches!(&error, CallError::Dead { reason, .. } if reason.contains("local")), "{error:?}");
        let gone = wait::until(TIMEOUT, || kill(Pid::from_raw(two_pid), None).is_err().then_some(()));
        assert!(gone.is_some(), "the grandchild has outlived its parent");
        master.shutdown();
    });
}

#[test]
fn a_lost_grandchild_is_withdrawn_and_its_parent_continues() {
    isolated(|| {
        let master = master();
        let one = local(&master);
        let two = master.connect_via(&one, &transport()).expect("a plan").wait().expect("a grandchild");
        let two_pid: i32 = two.call("os.getpid", ()).expect("an answer");
        let waiting = two.call_async::<Value>("time.sleep", (3600,)).expect("sent");
        kill(Pid::from_raw(two_pid), Signal::SIGKILL).expect("the process exists");
        assert!(matches!(waiting.get_timeout(TIMEOUT), Err(CallError::Dead { .. })));
        let _: u32 = one.call("os.getpid", ()).expect("the context continues");
        master.shutdown();
    });
}

#[test]
fn a_failure_behind_the_first_hop_names_the_failing_hop() {
    isolated(|| {
        let master = master();
        let one = local(&master);
        let settings = ChildSettings::new(Python::with_interpreter(["/nonexistent/python"]));
        let request = mitogen::ConnectRequest {
            transport: &transport(),
            name: None,
            via: Some(&one),
            settings: &settings,
        };
        let connecting = master.connector().connect(&request).expect("a plan");
        let waiting = connecting.context().call_async::<Value>("os.getpid", ()).expect("sent");
        let error = connecting.wait().expect_err("no such interpreter");
        assert!(error.hop.starts_with(one.name()), "{}", error.report());
        assert!(error.report().contains("/nonexistent/python"), "{}", error.report());
        assert!(waiting.get_timeout(TIMEOUT).is_err());
        let _: u32 = one.call("os.getpid", ()).expect("the intermediate continues");
        master.shutdown();
    });
}
