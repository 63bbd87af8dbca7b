//! The send queue of a stream, and sides.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mitogen_core::io::{Disconnected, FdSide, Side, Transmit, WriteError, Writer};
use support::{socket, soon, wait_until};

/// A side that accepts as much as the test allows.
#[derive(Clone, Debug, Default)]
struct Valve(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    bytes: Vec<u8>,
    /// How many bytes each of the next calls accepts; `None` is a disconnect. When empty, calls would block.
    allowed: std::collections::VecDeque<Option<usize>>,
    calls: usize,
    closed: bool,
}

impl Valve {
    fn allow(&self, calls: impl IntoIterator<Item = Option<usize>>) {
        self.0.lock().unwrap().allowed.extend(calls);
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().bytes.clone()).unwrap()
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }
}

impl Side for Valve {
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
        let mut taken = self.0.lock().unwrap();
        taken.calls += 1;
        match taken.allowed.pop_front() {
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(None) => Ok(None),
            Some(Some(room)) => {
                let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).take(room).collect();
                taken.bytes.extend_from_slice(&all);
                Ok(Some(all.len()))
            }
        }
    }

    fn close(&mut self) {
        self.0.lock().unwrap().closed = true;
    }
}

fn writer(high_water: usize) -> (Writer, Valve, Arc<AtomicUsize>) {
    let valve = Valve::default();
    let writer = Writer::new(valve.clone(), high_water);
    let armed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&armed);
    writer.bind(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    (writer, valve, armed)
}

fn pieces(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

#[test]
fn an_empty_queue_writes_directly_in_one_call() {
    let (writer, valve, armed) = writer(100);
    valve.allow([Some(100)]);
    writer.send(&pieces(&["head", "", "body"])).unwrap();
    assert_eq!((valve.text().as_str(), valve.calls()), ("headbody", 1));
    assert_eq!((writer.pending_bytes(), armed.load(Ordering::SeqCst)), (0, 0));
}

#[test]
fn unsent_data_is_queued_in_order_and_requests_transmission_once() {
    let (writer, valve, armed) = writer(100);
    valve.allow([Some(6)]);
    writer.send(&pieces(&["head", "body"])).unwrap();
    writer.send(&pieces(&["next"])).unwrap();
    writer.send(&pieces(&["last"])).unwrap();
    // After a short write there is no second call, and none for the sends that follow.
    assert_eq!((valve.calls(), writer.pending_bytes()), (1, 10));
    assert_eq!(armed.load(Ordering::SeqCst), 1);

    valve.allow([Some(3)]);
    assert_eq!(writer.on_transmit(), Transmit::More);
    assert_eq!((valve.text().as_str(), writer.pending_bytes()), ("headbodyn", 7));
    assert_eq!(writer.on_transmit(), Transmit::More);
    valve.allow([Some(100)]);
    assert_eq!(writer.on_transmit(), Transmit::Drained);
    assert_eq!((valve.text().as_str(), writer.pending_bytes()), ("headbodynextlast", 0));

    // When the queue is empty, the next send is direct again, and the next unsent data requests transmission again.
    valve.allow([Some(100)]);
    writer.send(&pieces(&["!"])).unwrap();
    assert_eq!((valve.text().ends_with('!'), armed.load(Ordering::SeqCst)), (true, 1));
    writer.send(&pieces(&["?"])).unwrap();
    assert_eq!(armed.load(Ordering::SeqCst), 2);
}

#[test]
fn more_pieces_than_fit_in_one_call_are_all_sent() {
    let (writer, valve, _) = writer(100_000);
    let many: Vec<Bytes> = (0..1_000).map(|n| Bytes::from(format!("{n},"))).collect();
    let all: String = (0..1_000).map(|n| format!("{n},")).collect();
    valve.allow((0..1_000).map(|_| Some(100_000)));
    writer.send(&many).unwrap();
    assert_eq!(valve.text(), all);
    // The same from the queue: the kernel accepts nothing at first.
    valve.0.lock().unwrap().allowed.clear();
    writer.send(&many).unwrap();
    assert_eq!(writer.pending_bytes(), all.len());
    valve.allow((0..1_000).map(|_| Some(100_000)));
    assert_eq!(writer.on_transmit(), Transmit::Drained);
    assert_eq!(valve.text(), all.repeat(2));
}

#[test]
fn binding_with_queued_data_requests_transmission() {
    let valve = Valve::default();
    let writer = Writer::new(valve, 100);
    writer.send(&pieces(&["x"])).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    writer.bind(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_disconnected_peer_is_detected_and_requests_transmission() {
    let (writer, valve, armed) = writer(100);
    valve.allow([None]);
    assert_eq!(writer.send(&pieces(&["x"])), Err(Disconnected));
    assert_eq!(writer.send(&pieces(&["x"])), Err(Disconnected));
    assert_eq!((valve.calls(), armed.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(writer.on_transmit(), Transmit::Disconnected);
    assert!(!valve.0.lock().unwrap().closed, "the loop must deregister before the descriptor is closed");
    writer.close();
    assert!(valve.0.lock().unwrap().closed);
}

#[test]
fn blocking_sends_wait_until_below_the_high_water_mark() {
    let (writer, valve, _) = writer(8);
    writer.send_blocking(&pieces(&["12345678"]), None).unwrap();
    assert!(writer.over_high_water());
    let before = Instant::now();
    let late = before + Duration::from_millis(10);
    assert_eq!(writer.send_blocking(&pieces(&["x"]), Some(late)), Err(WriteError::TimedOut));
    assert!(Instant::now() >= late);
    // `send` does not wait.
    writer.send(&pieces(&["c"])).unwrap();
    assert_eq!(writer.pending_bytes(), 9);

    let blocked = writer.clone();
    let thread = std::thread::spawn(move || blocked.send_blocking(&pieces(&["user"]), Some(soon())));
    valve.allow([Some(1)]);
    assert_eq!(writer.on_transmit(), Transmit::More);
    assert!(!thread.is_finished());
    valve.allow([Some(2)]);
    assert_eq!(writer.on_transmit(), Transmit::More);
    thread.join().unwrap().unwrap();
    valve.allow([Some(100)]);
    assert_eq!(writer.on_transmit(), Transmit::Drained);
    assert_eq!(valve.text(), "12345678cuser");
}

#[test]
fn a_disconnect_ends_blocked_sends() {
    for close in [true, false] {
        let (writer, valve, _) = writer(1);
        writer.send(&pieces(&["xx"])).unwrap();
        let blocked = writer.clone();
        let thread = std::thread::spawn(move || blocked.send_blocking(&pieces(&["y"]), Some(soon())));
        if close {
            writer.close();
        } else {
            valve.allow([None]);
            assert_eq!(writer.on_transmit(), Transmit::Disconnected);
        }
        assert_eq!(thread.join().unwrap(), Err(WriteError::Disconnected));
        assert_eq!(writer.pending_bytes(), 0);
    }
}

#[test]
fn low_water_callbacks_run_once() {
    let (writer, valve, _) = writer(8);
    let told = Arc::new(AtomicUsize::new(0));
    let tell = |writer: &Writer| {
        let count = Arc::clone(&told);
        let inner = writer.clone();
        writer.on_low_water(Box::new(move || {
            // No lock is held here.
            inner.pending_bytes();
            count.fetch_add(1, Ordering::SeqCst);
        }));
    };
    tell(&writer);
    assert_eq!(told.load(Ordering::SeqCst), 1, "it is low already");
    writer.send(&pieces(&["0123456789"])).unwrap();
    tell(&writer);
    tell(&writer);
    valve.allow([Some(5)]);
    writer.on_transmit();
    assert_eq!(told.load(Ordering::SeqCst), 1, "five bytes are above the low-water mark of four");
    valve.allow([Some(1)]);
    writer.on_transmit();
    assert_eq!(told.load(Ordering::SeqCst), 3);
    tell(&writer);
    writer.send(&pieces(&["0123456789"])).unwrap();
    tell(&writer);
    writer.close();
    assert_eq!(told.load(Ordering::SeqCst), 5);
}

/// Many threads through a real socket with a real loop's help: nothing is lost, torn or reordered.
#[test]
fn frames_of_several_threads_are_not_mixed_and_keep_each_threads_order() {
    const THREADS: u8 = 4;
    const FRAMES: u32 = 3_000;
    let broker = support::broker();
    let (ours, mut theirs) = socket();
    let (receive, transmit) = FdSide::pair(ours).unwrap();
    let writer = Writer::new(transmit, 20_000);
    let stream = WriterStream { side: receive, writer: writer.clone() };
    let token =
        broker.handle().defer_sync(move |reactor| reactor.register(Box::new(stream))).unwrap().unwrap();
    broker.handle().bind(&writer, token);

    let senders: Vec<_> = (0..THREADS)
        .map(|id| {
            let writer = writer.clone();
            std::thread::spawn(move || {
                for n in 0..FRAMES {
                    let body = vec![id; (n % 700) as usize];
                    let mut head = vec![id];
                    head.extend((body.len() as u32).to_be_bytes());
                    head.extend(n.to_be_bytes());
                    writer.send_blocking(&[head.into(), body.into()], Some(soon())).unwrap();
                }
            })
        })
        .collect();
    let mut expected = [0; THREADS as usize];
    for _ in 0..u32::from(THREADS) * FRAMES {
        let mut head = [0; 9];
        theirs.read_exact(&mut head).unwrap();
        let [id, a, b, c, d, number @ ..] = head;
        let mut body = vec![0; u32::from_be_bytes([a, b, c, d]) as usize];
        theirs.read_exact(&mut body).unwrap();
        assert!(body.iter().all(|&byte| byte == id));
        assert_eq!(u32::from_be_bytes(number), expected[id as usize]);
        expected[id as usize] += 1;
    }
    for sender in senders {
        sender.join().unwrap();
    }

    // The other side goes away while a thread sends: it fails, and the loop notices.
    drop(theirs);
    let deadline = soon();
    while writer.send_blocking(&[Bytes::from(vec![0; 50_000])], Some(deadline)).is_ok() {
        assert!(Instant::now() < deadline);
    }
    wait_until("the stream is disconnected", || {
        !broker.handle().defer_sync(move |reactor| reactor.is_registered(token)).unwrap()
    });
}

/// A stream that only sends.
struct WriterStream {
    side: FdSide,
    writer: Writer,
}

impl mitogen_core::io::Stream for WriterStream {
    fn name(&self) -> &str {
        "writer"
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        self.side.fd()
    }

    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        self.side.fd()
    }

    fn on_receive(&mut self, reactor: &mut dyn mitogen_core::io::Reactor, token: mitogen_core::io::Token) {
        if self.side.read(&mut [0; 16]).is_ok_and(|got| got == 0) {
            reactor.disconnect(token);
        }
    }

    fn on_transmit(&mut self, reactor: &mut dyn mitogen_core::io::Reactor, token: mitogen_core::io::Token) {
        match self.writer.on_transmit() {
            Transmit::Drained => reactor.stop_transmit(token),
            Transmit::More => {}
            Transmit::Disconnected => reactor.disconnect(token),
        }
    }

    fn transmit_residual(&self) -> mitogen_core::io::Residual {
        mitogen_core::io::Residual::Drained
    }

    fn on_disconnect(&mut self, _: &mut dyn mitogen_core::io::Reactor, _: mitogen_core::io::Token) {
        self.writer.close();
    }
}

#[test]
fn a_side_reports_the_residual_state_of_a_read() {
    use mitogen_core::io::Residual;
    let (reader, mut pipe) = io::pipe().unwrap();
    let (ours, mut socket) = UnixStream::pair().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let (master, slave) = mitogen_core::sys::open_pty().unwrap();
    let ends: [(&mut dyn Write, FdSide, Residual); 3] = [
        (&mut pipe, FdSide::new(reader).unwrap(), Residual::Drained),
        (&mut socket, FdSide::new(ours).unwrap(), Residual::Drained),
        // A terminal may have more behind a short read.
        (&mut std::fs::File::from(slave), FdSide::new(master).unwrap(), Residual::Unknown),
    ];
    for (writer, mut side, after_short) in ends {
        assert_eq!(side.residual(), Residual::Unknown);
        assert_eq!(side.read(&mut [0; 2]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(side.residual(), Residual::Drained);
        writer.write_all(b"abc").unwrap();
        assert_eq!(side.read(&mut [0; 2]).unwrap(), 2);
        assert_eq!(side.residual(), Residual::Ready);
        assert_eq!(side.share().residual(), Residual::Unknown);
        assert_eq!(side.read_buf(&mut bytes::BytesMut::new()).unwrap(), 1);
        assert_eq!(side.residual(), after_short);
    }
    file.write_all(b"x").unwrap();
    let mut side = FdSide::new(file).unwrap();
    assert_eq!(side.read(&mut [0; 2]).unwrap(), 0);
    assert_eq!(side.residual(), Residual::Unknown, "it may grow");
}

#[test]
fn a_side_reads_until_end_of_file() {
    use bytes::BytesMut;
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut side, mut other) = FdSide::pair(ours).unwrap();
    let mut buf = BytesMut::from(&b"old "[..]);
    assert_eq!(side.read_buf(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    (&theirs).write_all(b"new").unwrap();
    assert_eq!(side.read_buf(&mut buf).unwrap(), 3);
    assert_eq!(&buf[..], b"old new");

    // Big reads grow the buffer, up to a chunk.
    let feeder = std::thread::spawn({
        let theirs = theirs.try_clone().unwrap();
        move || (&theirs).write_all(&vec![b'x'; 2_000_000])
    });
    let (mut total, mut largest) = (0, 0);
    let deadline = soon();
    while total < 2_000_000 {
        assert!(Instant::now() < deadline);
        buf.clear();
        match side.read_buf(&mut buf) {
            Ok(got) => {
                total += got;
                largest = largest.max(got);
            }
            Err(err) => assert_eq!(err.kind(), io::ErrorKind::WouldBlock),
        }
    }
    feeder.join().unwrap().unwrap();
    assert!(largest <= mitogen_core::io::CHUNK_SIZE);

    // Closing one side of a socket leaves the other open; a reset is an end.
    other.close();
    assert_eq!(other.write(b"x").unwrap(), None);
    (&theirs).write_all(b"unread").unwrap();
    drop(theirs);
    assert_eq!(side.write(b"x").unwrap(), None);
    let ends = std::iter::from_fn(|| side.read(&mut [0; 100]).ok()).take(2).last();
    assert_eq!(ends, Some(0));
}
