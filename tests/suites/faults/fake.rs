//! A fake child, which connects and then sends and does what a test orders.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use mitogen::ids::{ContextId, Handle};
use mitogen::wire::{Encoding, Message};
use mitogen::{ChildSettings, Context, Master, MasterOptions, Receiver, Value, pickle};
use mitogen_core::router::HandlerOptions;
use mitogen_tests::{Python, run};
use tempfile::TempDir;

use crate::common::{TIMEOUT, connect_with, local, started_by, up};

/// Marks an order among the other bytes that a child receives.
const MARK: &[u8] = b"<order for the fake child>";

/// The child's program. It reads orders from its input: the mark, a letter, a length, and the data.
const SCRIPT: &str = r#"
import os, signal, struct, sys, time
MARK = b'<order for the ' + b'fake child>'
def say(data):
    while data:
        data = data[os.write(1, data):]
say(b'MITO000\nMITO002\n')
loads = 0
seen = b''
while 1:
    at = seen.find(MARK)
    head = seen[at + len(MARK):at + len(MARK) + 5]
    size = struct.unpack('>L', head[1:])[0] if at >= 0 and len(head) == 5 else None
    if size is not None and len(seen) >= at + len(MARK) + 5 + size:
        start = at + len(MARK) + 5
        data, seen = seen[start:start + size], seen[start + size:]
        order = head[:1]
        if order == b'w':    # write
            say(data)
        elif order == b't':  # write in small pieces
            for i in range(0, len(data), 3):
                say(data[i:i + 3])
                time.sleep(0.0005)
        elif order == b'r':  # write a million times over, as fast as it is taken
            many = data * max(1, 100000 // len(data))
            for i in range(1000):
                say(many)
        elif order == b'e':  # talk on the side
            os.write(2, data)
        elif order == b'c':  # close the link (one socket for both directions), and shrug off what follows
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.close(0)
            os.close(1)
            time.sleep(3600)
        elif order == b's':  # read no more
            time.sleep(3600)
        elif order == b'n':  # tell how often a module of ours has come, as a pickle
            pickle = b'\x80\x02K' + struct.pack('B', loads) + b'.'
            say(data + struct.pack('>L', len(pickle)) + pickle)
        elif order == b'x':
            os._exit(0)
        continue
    more = os.read(0, 1 << 16)
    if not more:
        break
    if b'mitogen/parent' + b'.py' in more:
        loads += 1
    seen = (seen[-(len(MARK) - 1):] if at < 0 else seen) + more
"#;

/// The fake child.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) context: Context,
    _script: TempDir,
}

/// A master with a short shutdown timeout: a fake child does not end when it is shut down.
pub(crate) fn master() -> Master {
    let options = MasterOptions::default().grace(Duration::from_millis(300));
    Master::start(options).expect("a master starts")
}

/// The command line that starts a fake child; the first stage's arguments are appended.
pub(crate) fn command() -> ([String; 2], TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("fake.py");
    std::fs::write(&script, SCRIPT).unwrap();
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    // The interpreter itself, not a wrapper that searches for it each time.
    let python =
        PYTHON.get_or_init(|| Python::at(&run::find("python3").unwrap()).expect("an interpreter").path);
    ([python.display().to_string(), script.display().to_string()], dir)
}

/// How a fake child is started.
pub(crate) fn settings() -> (ChildSettings, TempDir) {
    let ([python, script], dir) = command();
    (started_by(&[&python, &script]), dir)
}

impl Fake {
    /// Starts one as a child of the master or of `via`.
    pub(crate) fn start(master: &Master, via: Option<&Context>) -> Self {
        let (settings, script) = settings();
        let context = up(&connect_with(master, via, &local(), &settings));
        Self { context, _script: script }
    }

    /// Its id.
    pub(crate) fn id(&self) -> ContextId {
        self.context.id()
    }

    /// Sends an order to it.
    pub(crate) fn order(&self, order: u8, data: &[u8]) {
        let mut text = BytesMut::from(MARK);
        text.put_u8(order);
        text.put_u32(u32::try_from(data.len()).unwrap());
        text.put_slice(data);
        let message = Message::new(self.id(), Handle(5000), Encoding::Raw, text);
        self.context.router().send(message).expect("sent");
    }

    /// Makes it send exactly this message.
    pub(crate) fn sends(&self, message: &Message) {
        self.order(b'w', &message.to_bytes());
    }

    /// A message with the fake child as its sender.
    pub(crate) fn message(
        &self,
        dst: ContextId,
        handle: impl Into<Handle>,
        data: impl Into<Bytes>,
    ) -> Message {
        let (src_id, auth_id) = (self.id(), self.id());
        Message { src_id, auth_id, ..Message::new(dst, handle, Encoding::Pickle, data) }
    }
}

/// A receiver of messages from any context.
pub(crate) fn listen(master: &Master) -> Receiver<Value> {
    Receiver::new(master.router(), HandlerOptions::default())
}

/// A pickle of `text`.
pub(crate) fn payload(text: &str) -> Bytes {
    pickle::to_bytes(&Value::from(text)).unwrap()
}

/// Waits until everything that the fake child was ordered to send has arrived.
///
/// A link preserves order: when a valid message arrives, the ones sent before it have been processed.
pub(crate) fn fence(master: &Master, fake: &Fake) {
    let receiver = listen(master);
    fake.sends(&fake.message(ContextId(0), receiver.handle(), payload("fence")));
    assert_eq!(receiver.get_timeout(TIMEOUT).expect("the fence"), Value::from("fence"));
}

/// Checks after a fence that no message has arrived.
pub(crate) fn assert_nothing(receiver: &Receiver<Value>) {
    if let Ok(value) = receiver.get_timeout(Duration::ZERO) {
        panic!("{value:?} got through");
    }
}
