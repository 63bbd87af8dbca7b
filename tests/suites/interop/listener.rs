//! Our client at the listener of every upstream release.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use bytes::Bytes;
use mitogen::pickle::{Binary, Blob};
use mitogen::wire::{Encoding, Message, WellKnownHandle};
use mitogen::{CallError, Client, Context, Receiver, Value, with_causes};
use mitogen_core::ids::ContextId;
use mitogen_core::router::{HandlerOptions, Policy};
use mitogen_tests::{isolated, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::common::TIMEOUT;
use crate::releases::{Release, each, newest, oldest};

/// Listens at a path, with a child, a grandchild and a service; prints their ids, and ends at end of file on stdin.
const PROGRAM: &str = r#"
from __future__ import print_function
import sys
import mitogen.core, mitogen.master, mitogen.service, mitogen.unix

class Adder(mitogen.service.Service):
    @mitogen.service.expose(policy=mitogen.service.AllowParents())
    @mitogen.service.arg_spec({'a': int, 'b': int})
    def add(self, a, b):
        return a + b

    @mitogen.service.expose(policy=mitogen.service.AllowParents())
    @mitogen.service.arg_spec({'number': int})
    def knows(self, number):
        return self.router.stream_by_id(number) is not None

broker = mitogen.master.Broker()
router = mitogen.master.Router(broker)
try:
    pool = mitogen.service.Pool(router, [Adder(router)], size=1)
    mitogen.unix.Listener.build_stream(router, path=sys.argv[1])
    child = router.local(python_path=sys.argv[2])
    deep = router.local(python_path=sys.argv[2], via=child)
    print(child.context_id, deep.context_id)
    sys.stdout.flush()
    sys.stdin.read()
finally:
    broker.shutdown()
    broker.join()
"#;

/// An upstream program, and its socket.
struct UpstreamListener {
    process: Child,
    said: BufReader<ChildStdout>,
    directory: TempDir,
    /// The ids of its child and grandchild.
    contexts: [ContextId; 2],
}

impl UpstreamListener {
    fn new(release: &Release) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("listener.py");
        std::fs::write(&file, PROGRAM).expect("written");
        let interpreter = release.interpreter().remove(0);
        let mut process = Command::new(&interpreter)
            .args([file.as_path(), &directory.path().join("s.sock"), interpreter.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = BufReader::new(process.stdout.take().expect("it is a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it can be read");
        let mut numbers = line.split_whitespace().map(|word| ContextId(word.parse().expect("a number")));
        let mut next = || numbers.next().expect("two of them");
        Self { process, said, directory, contexts: [next(), next()] }
    }

    fn client(&self) -> Client {
        Client::connect(&self.directory.path().join("s.sock")).expect("it lets us in")
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        let mut rest = String::new();
        while self.said.read_line(&mut rest).expect("it can be read") > 0 {}
        assert!(self.process.wait().expect("a child of this process").success(), "{rest}");
    }
}

#[test]
fn a_client_calls_functions_in_the_contexts_of_every_release() {
    isolated(|| {
        each(|release| {
            let server = UpstreamListener::new(release);
            let client = server.client();
            let [child, deep] = server.contexts.map(|id| client.context(id, &format!("context {id}")));
            for context in [&child, &deep] {
                calls_are_answered(context);
            }
            // The contexts are upstream ones and get modules from their own master.
            let cast: String = deep.call("mitogen.utils.cast", ("word",)).expect("it is served");
            assert_eq!(cast, "word");
            the_listener_has_services_and_no_functions(&client);
            losses_are_announced(&child, &deep);
            client.shutdown();
            // A second client, after the first has disconnected.
            let client = server.client();
            let again = client.context(server.contexts[0], "child");
            let _: u32 = again.call("os.getpid", ()).expect("an answer");
            client.shutdown();
            server.end();
        });
    });
}

fn calls_are_answered(context: &Context) {
    assert_eq!(context.call::<i64>("operator.add", (40, 2)).expect("an answer"), 42);
    let error = context.call::<Value>("os.listdir", ("/nowhere",)).expect_err("no such directory");
    assert!(matches!(error, CallError::Remote(_)), "{error:?}");
    let error = context.call::<Value>("no_such_module.f", ()).expect_err("no such module");
    assert!(error.to_string().contains("no_such_module"), "{error}");
    let data: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
    let back: Binary = context.call("copy.copy", (Blob(data.clone().into()),)).expect("an echo");
    assert!(back.0 == data, "the bytes differ");
}

fn the_listener_has_services_and_no_functions(client: &Client) {
    let listener = client.listener();
    let kwargs = [("a", Value::Int(40)), ("b", Value::Int(2))];
    let sum: i64 = listener.call_service("__main__.Adder", "add", &kwargs).expect("an answer");
    assert_eq!(sum, 42);
    let error = listener.call::<Value>("os.getpid", ()).expect_err("a master runs no calls");
    assert!(error.to_string().contains("invalid handle"), "{error}");
    let error = client.contexts().expect_err("upstream does not have this request");
    let error = with_causes(&error).to_string();
    assert!(error.contains("invalid handle"), "{error}");
}

fn losses_are_announced(child: &Context, deep: &Context) {
    let pid: i32 = deep.call("os.getpid", ()).expect("an answer");
    let waiting = deep.call_async::<Value>("time.sleep", (3600,)).expect("sent");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process exists");
    let error = waiting.get_timeout(TIMEOUT).expect_err("the context is gone");
    assert!(matches!(error, CallError::Dead { .. }), "{error:?}");
    let _: u32 = child.call("os.getpid", ()).expect("the parent continues");
}

#[test]
fn pending_calls_fail_when_the_upstream_listener_ends() {
    isolated(|| {
        let mut server = UpstreamListener::new(&newest());
        let client = server.client();
        let child = client.context(server.contexts[0], "child");
        let pid: i32 = child.call("os.getpid", ()).expect("an answer");
        let waiting = child.call_async::<Value>("time.sleep", (3600,)).expect("sent");
        server.process.kill().expect("the process exists");
        let error = waiting.get_timeout(TIMEOUT).expect_err("the context is gone");
        assert!(matches!(error, CallError::Dead { .. }), "{error:?}");
        server.process.wait().expect("a child of this process");
        client.shutdown();
        let gone = wait::until(TIMEOUT, || kill(Pid::from_raw(pid), None).is_err().then_some(()));
        assert!(gone.is_some(), "its child has outlived it");
    });
}

/// The reason why our client cannot start contexts for an upstream master. If this fails, it could.
#[test]
fn the_upstream_listener_ignores_routes_from_clients() {
    isolated(|| {
        for release in [oldest(), newest()] {
            let server = UpstreamListener::new(&release);
            let client = server.client();
            let listener = client.listener();
            let options = HandlerOptions { policy: Policy::Any, respondent: Some(listener.id()) };
            let answer = Receiver::<(u32, u32)>::new(client.router(), options);
            let ask =
                Message::new(listener.id(), WellKnownHandle::AllocateId, Encoding::Legacy, Bytes::new());
            client.router().send(Message { reply_to: answer.handle(), ..ask }).expect("sent");
            let (id, _) = answer.get_timeout(TIMEOUT).expect("a block of ids");
            let route = Message::new(
                listener.id(),
                WellKnownHandle::AddRoute,
                Encoding::Legacy,
                format!("{id}:mine"),
            );
            client.router().send(route).expect("sent");
            let knows = |id: u32| {
                let kwargs = [("number", Value::Int(id.into()))];
                listener.call_service::<bool>("__main__.Adder", "knows", &kwargs).expect("an answer")
            };
            assert!(!knows(id), "the listener would know a route to the context");
            assert!(knows(client.id().0) && knows(server.contexts[0].0));
            client.shutdown();
            server.end();
        }
    });
}
