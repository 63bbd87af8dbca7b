//! Clients of every upstream release at our listener; the handshake does not contain their version.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use mitogen::{Context, Listener, Master, Value};
use mitogen_core::ids::{ContextId, Handle};
use mitogen_tests::{isolated, run};
use tempfile::TempDir;

use crate::common::{connect_with, local, up};
use crate::releases::{Release, each, master, newest, of, oldest};

/// A master with a child, a grandchild and a socket.
pub(crate) struct Open {
    // Fields are dropped in this order: the socket before its directory.
    listener: Listener,
    pub(crate) master: Master,
    pub(crate) child: Context,
    pub(crate) deep: Context,
    _directory: TempDir,
}

impl Open {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let master = master();
        let listener = master.listen(Some(&directory.path().join("t.sock"))).expect("a socket");
        let child = up(&connect_with(&master, None, &local(), master.settings()));
        let deep = up(&connect_with(&master, Some(&child), &local(), master.settings()));
        Self { listener, master, child, deep, _directory: directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.listener.path()
    }

    /// Runs `program` with `release`; its arguments are the socket, the ids of both contexts, and `more`.
    pub(crate) fn client(&self, release: &Release, program: &str) -> Command {
        let mut command = Command::new(&release.interpreter()[0]);
        command.args(["-c", program]).arg(self.path()).stdin(Stdio::null());
        command.args([&self.child, &self.deep].map(|context| context.id().to_string()));
        command
    }
}

/// A client that calls functions in the contexts given as arguments.
const CALLS: &str = r#"
from __future__ import print_function
import os, sys
import mitogen.core, mitogen.master, mitogen.parent, mitogen.unix
import mitogen.utils

router = None
try:
    result = mitogen.unix.connect(sys.argv[1])
    router, listener = result[0], result[1]
    assert mitogen.context_id not in (0, None), mitogen.context_id
    assert listener.context_id == 0, listener
    for text in sys.argv[2:]:
        context = mitogen.parent.Context(router, int(text))
        print(context.call(os.getpid), context.call(os.path.join, 'a', 'b'))
        try:
            context.call(os.listdir, '/nowhere')
            print('no error')
        except mitogen.core.CallError as e:
            print('OSError' in str(e) or 'FileNotFoundError' in str(e))
finally:
    if router:
        router.broker.shutdown()
        router.broker.join()
"#;

/// A client that prints its id, a handle and what arrives at the handle, until it is asked to end.
const LISTENS: &str = r#"
from __future__ import print_function
import os, sys
import mitogen.core, mitogen.unix

router = mitogen.unix.connect(sys.argv[1])[0]
try:
    ear = mitogen.core.Receiver(router)
    print(mitogen.context_id, ear.handle)
    sys.stdout.flush()
    for message in ear:
        text = message.unpickle()
        print(text)
        sys.stdout.flush()
        if text == u'leave':
            break
finally:
    router.broker.shutdown()
    router.broker.join()
"#;

#[test]
fn clients_of_every_release_call_functions_in_contexts() {
    isolated(|| {
        each(|release| {
            let open = Open::new();
            let mut expected = String::new();
            for context in [&open.child, &open.deep] {
                let pid: i32 = context.call("os.getpid", ()).expect("an answer");
                expected += &format!("{pid} a/b\nTrue\n");
            }
            let output = open.client(release, CALLS).output().expect("it starts");
            assert_eq!(
                run::succeeded("the upstream client", &output).expect("the client succeeds"),
                expected
            );
            // It has disconnected without errors.
            assert_eq!(open.child.call::<i64>("operator.add", (1, 1)).expect("the context continues"), 2);
            open.master.shutdown();
        });
    });
}

/// A client that prints the messages sent to it.
struct Ear {
    process: Child,
    said: BufReader<ChildStdout>,
    id: ContextId,
    handle: Handle,
}

impl Ear {
    fn new(open: &Open, release: &Release) -> Self {
        let mut process = open.client(release, LISTENS).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut said = BufReader::new(process.stdout.take().expect("it is a pipe"));
        let words = line(&mut said);
        let mut numbers = words.split(' ').map(|word| word.parse::<u32>().expect("a number"));
        let mut next = || numbers.next().expect("two of them");
        Self { process, said, id: ContextId(next()), handle: Handle(next()) }
    }

    /// Makes `from` send a pickled text to it.
    fn send(&self, from: &Context, text: &str) {
        let sender = Value::Sender { context: self.id, handle: self.handle };
        from.call::<Value>("mitogen.core:Sender.send", (sender, text.to_owned())).expect("sent");
    }
}

fn line(from: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("it can be read");
    line.trim_end().to_owned()
}

/// Releases before 0.3.39 treat every other encoding as a corrupt stream, and disconnect.
#[test]
fn old_and_new_clients_of_one_listener_get_encodings_they_can_read() {
    isolated(|| {
        let open = Open::new();
        let mut ears = [oldest(), of("0.3.35"), newest()].map(|release| Ear::new(&open, &release));
        for ear in &mut ears {
            // None of them has sent anything yet, so their versions are unknown.
            for (from, text) in [(&open.child, "one"), (&open.deep, "two"), (&open.child, "leave")] {
                ear.send(from, text);
                assert_eq!(line(&mut ear.said), text);
            }
        }
        for ear in &mut ears {
            assert!(ear.process.wait().expect("a child of this process").success());
        }
        open.master.shutdown();
    });
}
