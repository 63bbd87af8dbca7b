//! Lost contexts, and the notifications about them.

use std::time::{Duration, Instant};

use mitogen::wire::{Encoding, Message};
use mitogen::{CallError, ChildSettings, Master, MasterOptions, Python, Value};
use mitogen_core::ids::{ContextId, Handle};
use mitogen_core::router::SendError;
use mitogen_tests::{isolated, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{TIMEOUT, local, master, transport};

#[test]
fn a_killed_child_fails_pending_calls() {
    isolated(|| {
        let master = master();
        let child = local(&master);
        let pid: i32 = child.call("os.getpid", ()).expect("an answer");
        let waiting = child.call_async::<Value>("time.sleep", (3600,)).expect("sent");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process exists");
        let error = waiting.get_timeout(TIMEOUT).expect_err("the child is gone");
        assert!(matches!(&error, CallError::Dead { reason, .. } if reason.contains("lost")), "{error:?}");
        let error = child.call::<Value>("os.getpid", ()).expect_err("no route");
        assert!(matches!(error, CallError::Send(SendError::LinkLost(_))), "{error:?}");
        master.shutdown();
    });
}

#[test]
fn a_disconnect_callback_added_before_the_context_is_up_runs_once() {
    isolated(|| {
        let master = master();
        let parent = local(&master);
        for via in [None, Some(&parent)] {
            let connecting = match via {
                None => master.connect(&transport()),
                Some(via) => master.connect_via(via, &transport()),
            };
            let connecting = connecting.expect("a plan");
            let (sender, told) = std::sync::mpsc::channel();
            connecting.context().on_disconnect(move |reason| drop(sender.send(reason.to_owned())));
            let child = connecting.wait().expect("a child");
            // The router knows it by now, under the name of the request.
            assert_eq!(child.name(), connecting.context().name());
            assert_eq!(master.router().directory().name_of(child.id()).as_deref(), Some(child.name()));
            let pid: i32 = child.call("os.getpid", ()).expect("an answer");
            assert!(told.try_recv().is_err());
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process exists");
            let reason = told.recv_timeout(TIMEOUT).expect("a disconnect");
            assert!(reason.contains("local"), "{reason}");
            // The callback was dropped with its sender, so it cannot run again.
            assert!(matches!(
                told.recv_timeout(TIMEOUT),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
            ));
        }
        master.shutdown();
    });
}

#[test]
fn shutdown_ends_children_that_are_busy_or_stuck() {
    isolated(|| {
        let master = master();
        let children: Vec<_> = (0..3).map(|_| local(&master)).collect();
        let pids: Vec<i32> =
            children.iter().map(|child| child.call("os.getpid", ()).expect("an answer")).collect();
        let stuck = children[0].call_async::<Value>("time.sleep", (3600,)).expect("sent");
        let endless =
            children[1].call_async::<Value>("timeit.timeit", ("pass", "while True: pass")).expect("sent");
        master.shutdown();
        for pid in pids {
            let gone = wait::until(TIMEOUT, || kill(Pid::from_raw(pid), None).is_err().then_some(()));
            assert!(gone.is_some(), "process {pid} has outlived its master");
        }
        assert!(stuck.get_timeout(TIMEOUT).is_err());
        assert!(endless.get_timeout(TIMEOUT).is_err());
    });
}

#[test]
fn a_child_that_is_shut_down_is_reaped_while_the_master_runs() {
    isolated(|| {
        let master = master();
        let child = local(&master);
        let pid: i32 = child.call("os.getpid", ()).expect("an answer");
        child.shutdown().expect("sent");
        // Reaped, not only dead: a zombie still accepts signals.
        let gone = wait::until(TIMEOUT, || kill(Pid::from_raw(pid), None).is_err().then_some(()));
        assert!(gone.is_some(), "process {pid} still exists");
        master.shutdown();
    });
}

#[test]
fn a_program_that_is_not_an_interpreter_is_an_error_with_its_output() {
    isolated(|| {
        let master = master();
        let cases = [
            (vec!["/nonexistent/python"], "/nonexistent/python"),
            (vec!["/bin/sh", "-c", "echo what a day >&2; exit 3"], "status 3"),
            (vec!["/bin/sh", "-c", "kill -9 $$"], "signal 9"),
        ];
        for (argv, words) in cases {
            let settings = ChildSettings::new(Python::with_interpreter(argv));
            let request = mitogen::ConnectRequest {
                transport: &transport(),
                name: None,
                via: None,
                settings: &settings,
            };
            let connecting = master.connector().connect(&request).expect("a plan");
            let waiting = connecting.context().call_async::<Value>("os.getpid", ());
            let error = connecting.wait().expect_err("it cannot start");
            assert!(error.report().contains(words), "{}", error.report());
            // Unless the connection failed before the call could be sent.
            if let Ok(waiting) = waiting {
                let call = waiting.get_timeout(TIMEOUT).expect_err("the call fails too");
                assert!(call.to_string().contains(&error.message), "{call}");
            }
        }
        master.shutdown();
    });
}

#[test]
fn a_silent_program_times_out() {
    isolated(|| {
        let master = master();
        let argv = ["/bin/sh", "-c", "trap '' TERM; sleep 3600"];
        let settings = ChildSettings::new(Python::with_interpreter(argv));
        let options = mitogen::transports::local::Options::new().connect_timeout(Duration::from_millis(200));
        let transport = mitogen::transports::local::Local::new(options).unwrap();
        let request =
            mitogen::ConnectRequest { transport: &transport, name: None, via: None, settings: &settings };
        let error = master.connector().connect(&request).expect("a plan").wait().expect_err("a timeout");
        assert_eq!(error.kind, mitogen::dialogue::FailureKind::Timeout, "{}", error.report());
        master.shutdown();
    });
}

#[test]
fn an_oversized_message_is_refused_and_the_link_continues() {
    isolated(|| {
        let options = MasterOptions::default().max_message_size(1 << 20);
        let master = Master::start(options).expect("a master");
        let child = local(&master);
        let big = Value::Bytes(vec![0; 2 << 20].into());
        let error = child.call::<Value>("copy.copy", (big,)).expect_err("too large");
        assert!(matches!(error, CallError::Send(SendError::TooLarge { .. })), "{error:?}");
        // A reply that is too large fails the call, but does not end the child.
        let error = child.call::<Value>("operator.mul", (vec![0; 1000], 2000)).expect_err("too large");
        assert!(error.to_string().contains("too large"), "{error}");
        let _: u32 = child.call("os.getpid", ()).expect("the context continues");
        master.shutdown();
    });
}

#[test]
fn messages_to_unknown_contexts_and_handles_are_errors() {
    isolated(|| {
        let master = master();
        let child = local(&master);
        let receiver =
            mitogen::Receiver::<Value>::new(master.router(), mitogen_core::router::HandlerOptions::default());
        let to_nobody = Message {
            reply_to: receiver.handle(),
            ..Message::new(child.id(), Handle(77), Encoding::Pickle, &b"\x80\x02N."[..])
        };
        master.router().send(to_nobody).expect("sent");
        let error = receiver.get_timeout(TIMEOUT).expect_err("no such handle");
        assert_eq!(error.to_string(), "invalid handle");
        let error = master
            .router()
            .send(Message::new(ContextId(4711), Handle(101), Encoding::Pickle, &b"\x80\x02N."[..]))
            .expect_err("no such context");
        assert_eq!(error.to_string(), "no route to 4711, my ID is 0");
        master.shutdown();
    });
}

#[test]
fn dropping_a_master_while_it_connects_leaves_nothing_behind() {
    isolated(|| {
        let master = master();
        let connecting: Vec<_> = (0..5).map(|_| master.connect(&transport()).expect("a plan")).collect();
        let start = Instant::now();
        drop(master);
        assert!(start.elapsed() < TIMEOUT);
        for connecting in connecting {
            // The connection either succeeded in time or was cancelled; no caller waits forever.
            let outcome = connecting.wait_deadline(Instant::now() + Duration::from_secs(10));
            assert!(outcome.is_some(), "a connection did not end");
        }
    });
}
