//! What reaches a link: the same bytes, in order, and written outside of the table's lock.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::broker::Broker;
use crate::io::{Side, default_poller};
use crate::wire::FrameDecoder;

const LONG: Duration = Duration::from_secs(20);

type OnWrite = Box<dyn FnMut(&[u8]) + Send>;

/// A side that takes everything and shows it to a closure.
struct Shown(OnWrite);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

impl Side for Shown {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<Option<usize>> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        bufs.iter().for_each(|buf| (self.0)(buf));
        Ok(Some(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn close(&mut self) {}
}

fn writer(on_write: impl FnMut(&[u8]) + Send + 'static) -> Writer {
    Writer::new(Shown(Box::new(on_write)), 1 << 20)
}

fn start() -> (Broker, Router) {
    let broker = Broker::start("test", default_poller().unwrap()).unwrap();
    let router = Router::new(Identity::master(), broker.handle(), RouterOptions::default());
    (broker, router)
}

/// A link to a new context, not up.
fn begin(router: &Router, name: &str) -> (ContextId, LinkId) {
    let id = router.ids().allocate();
    (id, router.links().begin(id, name))
}

#[test]
fn a_relayed_frame_is_neither_copied_nor_taken_apart() {
    let (broker, router) = start();
    let seen: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let (from, ingress) = begin(&router, "from");
    let (to, egress) = begin(&router, "to");
    let noted = Arc::clone(&seen);
    let to_memory = writer(move |buf| noted.lock().unwrap().push((buf.as_ptr() as usize, buf.len())));
    router.links().attach(egress, Bytes::new(), to_memory);
    router.links().up(egress);
    seen.lock().unwrap().clear();
    for size in [0, 10, JOIN_LIMIT + 1, 1 << 20] {
        let message = Message {
            src_id: from,
            auth_id: from,
            ..Message::new(to, Handle(1), Encoding::Raw, vec![7; size])
        };
        let mut decoder = FrameDecoder::new(1 << 24);
        decoder.feed(&message.to_bytes());
        let frame = decoder.next_frame().unwrap().unwrap();
        let came = (frame.bytes.as_ptr() as usize, frame.bytes.len());
        let kept = frame.bytes.clone();
        assert!(matches!(router.route_frame(frame, ingress), Routed::Done));
        assert_eq!(seen.lock().unwrap().split_off(0), [came], "{size} bytes of payload");
        drop(kept);
    }
    broker.shutdown();
}

thread_local! {
    /// Whether the router waits, in this thread, between a verdict and what is written.
    static PAUSES: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Called by the router when it has released the table and is about to write: gives other threads
/// the chance to come between, which they hardly ever have otherwise.
pub(super) fn pause() {
    if let Some(seed) = PAUSES.get() {
        let next = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        PAUSES.set(Some(next));
        if next >> 62 == 0 {
            thread::sleep(Duration::from_micros(next >> 33 & 0xff));
        }
    }
}

/// Two threads send while the link is attached, lost, attached again and comes up: each attempt gets a
/// beginning of what each thread has sent, in its order, and the last one gets everything.
#[test]
fn frames_stay_in_order_and_none_is_lost_while_a_link_comes_up() {
    const EACH: u32 = 200;
    const HANDLES: [Handle; 2] = [Handle(1), Handle(2)];
    let (broker, router) = start();
    PAUSES.set(Some(1));
    for round in 0..60u32 {
        let (id, link) = begin(&router, "to");
        let attempts: [Arc<Mutex<Vec<u8>>>; 2] = Default::default();
        let [first, last] = [0, 1].map(|at| {
            let taken = Arc::clone(&attempts[at]);
            writer(move |buf| taken.lock().unwrap().extend_from_slice(buf))
        });
        thread::scope(|scope| {
            for handle in HANDLES {
                let router = &router;
                scope.spawn(move || {
                    PAUSES.set(Some(u64::from(round ^ handle.0 << 16)));
                    for number in 0..EACH {
                        let data = number.to_be_bytes().to_vec();
                        router.send(Message::new(id, handle, Encoding::Raw, data)).unwrap();
                    }
                });
            }
            // Each round at other moments of what the threads do.
            let pause = || thread::sleep(Duration::from_micros(u64::from(round * 20)));
            pause();
            router.links().attach(link, Bytes::from_static(b"first"), first);
            pause();
            router.links().detach(link);
            pause();
            router.links().attach(link, Bytes::from_static(b"again"), last);
            pause();
            router.links().up(link);
        });
        for (attempt, preamble, is_last) in [(&attempts[0], "first", false), (&attempts[1], "again", true)] {
            let bytes = attempt.lock().unwrap();
            let (head, frames) = bytes.split_at(preamble.len());
            assert_eq!(head, preamble.as_bytes());
            let mut decoder = FrameDecoder::new(1 << 24);
            decoder.feed(frames);
            let mut next = [0u32; 2];
            while let Some(frame) = decoder.next_frame().unwrap() {
                let message = frame.into_message();
                let thread = HANDLES.iter().position(|handle| *handle == message.handle).unwrap();
                assert_eq!(message.data, next[thread].to_be_bytes()[..], "thread {thread}, {preamble}");
                next[thread] += 1;
            }
            assert!(!is_last || next == [EACH; 2], "the link that came up has got {next:?}");
        }
        router.links().lost(link, "the round is over");
    }
    broker.shutdown();
}

/// A writer that stops in the middle of a write until it is let go.
fn stuck() -> (Writer, Receiver<()>, Sender<()>) {
    let (entered, has_entered) = mpsc::channel();
    let (let_go, is_let_go) = mpsc::channel();
    let writer = writer(move |_| {
        let _ = entered.send(());
        let _ = is_let_go.recv_timeout(LONG);
    });
    (writer, has_entered, let_go)
}

#[test]
fn a_writer_that_blocks_does_not_hold_the_table() {
    let (broker, router) = start();
    let (slow, link) = begin(&router, "slow");
    let (other, _) = begin(&router, "other");
    let (writer, has_entered, let_go) = stuck();
    thread::scope(|scope| {
        scope.spawn(|| router.links().attach(link, Bytes::from_static(b"preamble"), writer));
        has_entered.recv_timeout(LONG).expect("the preamble is being written");
        let (done, is_done) = mpsc::channel();
        let sender = router.clone();
        scope.spawn(move || {
            assert_eq!(sender.next_hop(slow), Some(slow));
            for id in [other, slow] {
                sender.send(Message::new(id, Handle(1), Encoding::Raw, &b"x"[..])).unwrap();
            }
            sender.links().up(link);
            let _ = done.send(());
        });
        // The threads end in any case, so that a failure is one.
        let outcome = is_done.recv_timeout(LONG / 2);
        drop(let_go);
        outcome.expect("nothing else waits for the writer");
    });
    broker.shutdown();
}

#[test]
fn a_writer_may_use_the_router() {
    let (broker, router) = start();
    let (via, link) = begin(&router, "via");
    let (other, _) = begin(&router, "other");
    let writes = Arc::new(Mutex::new(0));
    let (weak, count) = (router.downgrade(), Arc::clone(&writes));
    let reenters = writer(move |_| {
        let router = weak.upgrade().unwrap();
        assert_eq!(router.next_hop(via), Some(via));
        router.send(Message::new(other, Handle(1), Encoding::Raw, &b"x"[..])).unwrap();
        *count.lock().unwrap() += 1;
    });
    let (done, is_done) = mpsc::channel();
    let worker = router.clone();
    thread::spawn(move || {
        let send = || worker.send(Message::new(via, Handle(1), Encoding::Raw, &b"y"[..])).unwrap();
        send();
        worker.links().attach(link, Bytes::from_static(b"preamble"), reenters);
        send();
        worker.links().up(link);
        send();
        let _ = done.send(());
    });
    is_done.recv_timeout(LONG).expect("no lock is held while a writer writes");
    assert_eq!(*writes.lock().unwrap(), 4, "the preamble and three frames");
    broker.shutdown();
}

#[test]
fn a_context_that_withdraws_its_own_route_ends_its_link() {
    let (broker, router) = start();
    let (child, link) = begin(&router, "child");
    let grandchild = router.ids().allocate();
    router.links().begin_route(grandchild, child, "grandchild").unwrap();
    let lost: Arc<OnceLock<String>> = Arc::default();
    let reason = Arc::clone(&lost);
    router.on_disconnect(child, move |why| drop(reason.set(why.to_owned())));
    let del_route = |gone: ContextId| {
        let data = gone.to_string().into_bytes();
        let message = Message::new(ContextId(0), WellKnownHandle::DelRoute, Encoding::Legacy, data);
        let mut decoder = FrameDecoder::new(1 << 24);
        decoder.feed(&Message { src_id: child, auth_id: child, ..message }.to_bytes());
        router.route_frame(decoder.next_frame().unwrap().unwrap(), link)
    };
    assert!(matches!(del_route(grandchild), Routed::Done));
    assert_eq!(lost.get(), None);
    assert!(matches!(del_route(child), Routed::LinkEnded));
    assert!(lost.get().is_some());
    broker.shutdown();
}
