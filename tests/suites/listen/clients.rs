//! Our own clients: calls, disconnects on either side, and messages between clients.

use std::time::Duration;

use mitogen::command::{Command, CommandEvent};
use mitogen::ids::{ContextId, Handle};
use mitogen::wire::{Encoding, Message};
use mitogen::{CallError, Client, Receiver, Value, pickle};
use mitogen_core::router::{HandlerOptions, Policy};
use mitogen_tests::procs::Process;
use mitogen_tests::{isolated, wait};

use crate::Open;
use crate::common::{TIMEOUT, run, start};

#[test]
fn a_client_calls_and_runs_commands_in_contexts_of_the_session() {
    isolated(|| {
        let open = Open::new();
        let child = open.child();
        let deep = open.master.connect_via(&child, &crate::common::local()).unwrap().wait().unwrap();
        let client = Client::connect(open.path()).expect("a client");
        let told = client.contexts().expect("a list");
        let seen: Vec<_> = told.iter().map(|told| (told.id, told.via, told.method.as_str())).collect();
        assert_eq!(seen, [(child.id().0, 0, "local"), (deep.id().0, child.id().0, "local")]);
        assert!(told.iter().all(|told| told.age().as_secs() < 3600), "{told:?}");
        for context in [&child, &deep] {
            let there = client.context(context.id(), context.name());
            assert_eq!(there.call::<i64>("operator.add", (40, 2)).expect("an answer"), 42);
            let error = there.call::<Value>("os.listdir", ("/nowhere",)).expect_err("no such directory");
            assert!(matches!(error, CallError::Remote(_)), "{error:?}");
            // The first one needs a module that only the session's master has.
            let output = run(&there, &Command::new(["cat"]), b"hello");
            assert_eq!(output.stdout, b"hello");
        }
        client.shutdown();
        assert_eq!(child.call::<i64>("operator.add", (1, 1)).expect("the context continues"), 2);
        open.master.shutdown();
    });
}

#[test]
fn contexts_may_not_use_the_session_protocol() {
    isolated(|| {
        let open = Open::new();
        let child = open.child();
        let deep = open.master.connect_via(&child, &crate::common::local()).unwrap().wait().unwrap();
        // The request of a client, with the sender's own id and with the listener's.
        let code = "import builtins, mitogen.core as core\n\
                    builtins.heard = []\n\
                    for auth in (core.context_id, 0):\n\
                    \x20   port = core.router.add_handler(lambda msg: heard.append(msg.data.decode()))\n\
                    \x20   core.router.route(core.Message(\n\
                    \x20       0, 121, b''.join(core.dumps({u'ask': u'contexts'})), port, core.PKL, None, auth))";
        for context in [&child, &deep] {
            let _: Value = context.call("builtins.exec", (code, Value::Dict(Vec::new()))).expect("it runs");
            let answer = wait::until(TIMEOUT, || {
                let heard: Vec<String> = context.call("builtins.eval", ("heard",)).expect("a list");
                (!heard.is_empty()).then_some(heard)
            });
            // A message that forges the listener's authority gets no reply.
            assert_eq!(answer.expect("an answer"), ["refused by policy"]);
            let heard: Vec<String> = context.call("builtins.eval", ("heard",)).expect("a list");
            assert_eq!(heard.len(), 1, "{heard:?}");
        }
        open.master.shutdown();
    });
}

#[test]
fn a_command_ends_when_its_client_disconnects() {
    isolated(|| {
        let open = Open::new();
        let child = open.child();
        let client = Client::connect(open.path()).expect("a client");
        let there = client.context(child.id(), "child");
        let line = Command::shell("trap 'exit 0' HUP; echo ready; while :; do sleep 0.05; done");
        let (_running, events) = start(&there, &line);
        let mut pid = 0;
        loop {
            match events.recv_timeout(TIMEOUT).expect("something happens") {
                CommandEvent::Started { pid: number } => pid = number as i32,
                CommandEvent::Stdout(_) => break,
                _ => {}
            }
        }
        // Also during a call.
        let call = there.call_async::<Value>("time.sleep", (0.2,)).expect("sent");
        client.shutdown();
        assert!(call.get_timeout(TIMEOUT).is_err());
        let gone = wait::until(TIMEOUT, || Process::get(pid).is_none().then_some(()));
        assert!(gone.is_some(), "the command has outlived its client");
        assert_eq!(child.call::<i64>("operator.add", (1, 1)).expect("the tree is well"), 2);
        open.master.shutdown();
    });
}

#[test]
fn a_command_ends_if_its_client_disconnects_before_it_starts() {
    isolated(|| {
        let open = Open::new();
        let child = open.child();
        // The context is busy while the client connects, sends the request, and disconnects.
        let busy = child.call_async::<Value>("time.sleep", (1.0,)).expect("sent");
        let client = Client::connect(open.path()).expect("a client");
        let there = client.context(child.id(), "child");
        let mark = format!("sleep {}.25", 10_000 + std::process::id());
        let _ = start(&there, &Command::shell(&format!("echo x; exec {mark}")));
        // The reply proves that earlier messages on the same link have been processed.
        client.contexts().expect("a list");
        client.shutdown();
        busy.get_timeout(TIMEOUT).expect("an answer");
        child.call::<Value>("os.getpid", ()).expect("the context continues");
        let runs = || mitogen_tests::procs::all().into_iter().find(|process| process.command == mark);
        assert!(wait::until(TIMEOUT, || runs().is_none().then_some(())).is_some(), "{:?}", runs());
        open.master.shutdown();
    });
}

#[test]
fn pending_calls_of_a_client_fail_when_the_context_or_listener_ends() {
    isolated(|| {
        let open = Open::new();
        let (child, other) = (open.child(), open.child());
        let client = Client::connect(open.path()).expect("a client");
        let waiting = |context: &mitogen::Context| {
            let there = client.context(context.id(), context.name());
            there.call_async::<Value>("time.sleep", (3600,)).expect("sent")
        };
        let (first, second) = (waiting(&child), waiting(&other));
        client.contexts().expect("the list of contexts");
        child.call_no_reply("os._exit", (3,)).expect("sent");
        // It sleeps, so it must be interrupted.
        child.shutdown().expect("sent");
        let error = first.get_timeout(TIMEOUT).expect_err("the context is gone");
        assert!(matches!(&error, CallError::Dead { .. }), "{error:?}");
        assert!(matches!(second.try_get(), Ok(None)), "the other one still works");
        open.master.shutdown();
        let error = second.get_timeout(TIMEOUT).expect_err("the listener is gone");
        assert!(matches!(&error, CallError::Dead { .. }), "{error:?}");
        client.shutdown();
    });
}

#[test]
fn clients_can_send_messages_to_each_other() {
    isolated(|| {
        let open = Open::new();
        let (one, two) = (Client::connect(open.path()).unwrap(), Client::connect(open.path()).unwrap());
        assert_ne!(one.id(), two.id());
        let ask = |client: &Client| {
            let options = HandlerOptions { policy: Policy::Any, respondent: None };
            Receiver::<Message>::new(client.router(), options)
        };
        let (ear, back) = (ask(&two), ask(&one));
        let data = pickle::to_bytes(&"hello").unwrap();
        let message = Message::new(two.id(), ear.handle(), Encoding::Pickle, data.clone());
        one.router().send(Message { reply_to: back.handle(), ..message }).expect("sent");
        let heard = ear.get_timeout(TIMEOUT).expect("a message");
        // With the listener's authority instead of the client's own.
        assert_eq!((heard.src_id, heard.auth_id), (one.id(), ContextId(0)));
        two.router().send(Message::new(heard.src_id, heard.reply_to, Encoding::Pickle, data)).expect("sent");
        assert_eq!(back.get_timeout(TIMEOUT).expect("a reply").src_id, two.id());
        let gone = two.id();
        two.shutdown();
        let sent = wait::until(TIMEOUT, || {
            let message = Message::new(gone, Handle(1000), Encoding::Pickle, pickle::to_bytes(&1).unwrap());
            one.router().send(Message { reply_to: back.handle(), ..message }).expect("sent");
            matches!(back.get_timeout(Duration::from_secs(5)), Err(CallError::Dead { .. })).then_some(())
        });
        assert!(sent.is_some(), "no disconnect was reported");
        one.shutdown();
        open.master.shutdown();
    });
}

#[test]
fn a_client_cannot_announce_contexts_or_forge_senders() {
    isolated(|| {
        let open = Open::new();
        let child = open.child();
        let client = Client::connect(open.path()).expect("a client");
        let unused = open.master.router().ids().allocate();
        let route = Message::new(ContextId(0), Handle(103), Encoding::Legacy, format!("{unused}:mine"));
        client.router().send(route).expect("sent");
        client.contexts().expect("the listener still answers");
        assert!(!open.master.router().contexts().iter().any(|(id, _)| *id == unused));
        assert_eq!(child.call::<i64>("operator.add", (1, 1)).expect("the context continues"), 2);
        // A context has no authority to use the session protocol.
        let asked = child.call::<Value>("mitogen.core.send", ());
        assert!(asked.is_err());
        client.shutdown();
        open.master.shutdown();
    });
}
