//! Contexts whose links are opened by this process: by an opener, or by connecting a socket.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mitogen::{ChildSettings, ConnectError, Context, Master, Python, RequestError, Transport};
use mitogen_core::connect::{
    ChildCommand, ConnectRequest, Dial, OpenDone, OpenedLink, Opener, OptionsError, Plan, RemoteEnd, Start,
};
use mitogen_core::dialogue::{Failure, FailureKind, Stage};
use mitogen_core::io::{Residual, Side, Touch};
use mitogen_tests::wait::{self, TIMEOUT};
use mitogen_tests::{isolated, pythons};

use super::{local, master, master_with};

/// A transport whose plans start as given. It sends the child's command line to the test, which starts the child.
struct Given {
    start: Start,
    opener: Option<Arc<dyn Opener>>,
    argv: Option<Mutex<Sender<Vec<String>>>>,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Given").field(&self.start).finish()
    }
}

impl Transport for Given {
    fn method(&self) -> &str {
        "given"
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        if let Some(argv) = &self.argv {
            let _ = argv.lock().unwrap().send(child.argv.clone());
        }
        Ok(Plan::new("given", "given", self.start.clone()))
    }

    fn opener(&self) -> Option<Arc<dyn Opener>> {
        self.opener.clone()
    }
}

fn settings(limit: Duration) -> ChildSettings {
    ChildSettings::new(Python::new()).timeout(limit)
}

fn connect(
    master: &Master,
    via: Option<&Context>,
    transport: &Given,
    limit: Duration,
) -> Result<Context, Arc<ConnectError>> {
    let settings = settings(limit);
    let request = ConnectRequest { transport, name: None, via, settings: &settings };
    master.connector().connect(&request).expect("a plan").wait()
}

/// Bytes on their way between the loop and a thread. Nothing but a touch tells the loop of a change.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    bytes: VecDeque<u8>,
    closed: bool,
    touch: Touch,
}

impl Queue {
    const ROOM: usize = 20_000;

    fn change(&self, change: impl FnOnce(&mut QueueState)) {
        let mut state = self.state.lock().unwrap();
        change(&mut state);
        let touch = state.touch.clone();
        drop(state);
        self.changed.notify_all();
        touch.touch();
    }
}

/// A side without a descriptor, over a queue.
#[derive(Debug)]
struct QueueSide {
    queue: Arc<Queue>,
    socket: UnixStream,
}

impl Side for QueueSide {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.queue.state.lock().unwrap();
        if state.bytes.is_empty() {
            return if state.closed { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        // In small pieces, so that something is left most of the time.
        let count = buf.len().min(700).min(state.bytes.len());
        for (to, from) in buf.iter_mut().zip(state.bytes.drain(..count)) {
            *to = from;
        }
        drop(state);
        self.queue.changed.notify_all();
        Ok(count)
    }

    fn residual(&self) -> Residual {
        let state = self.queue.state.lock().unwrap();
        if state.bytes.is_empty() && !state.closed { Residual::Drained } else { Residual::Buffered }
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<Option<usize>> {
        let mut state = self.queue.state.lock().unwrap();
        if state.closed {
            return Ok(None);
        }
        let count = buf.len().min(Queue::ROOM - state.bytes.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.bytes.extend(&buf[..count]);
        drop(state);
        self.queue.changed.notify_all();
        Ok(Some(count))
    }

    fn close(&mut self) {
        self.queue.change(|state| state.closed = true);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn bind(&mut self, touch: &Touch) {
        self.queue.state.lock().unwrap().touch = touch.clone();
    }
}

/// Counts what became of a link.
#[derive(Clone, Debug, Default)]
struct Ends {
    wound_down: Arc<AtomicUsize>,
    terminated: Arc<AtomicUsize>,
}

impl RemoteEnd for Ends {
    fn wind_down(&self) {
        self.wound_down.fetch_add(1, Ordering::Relaxed);
    }

    fn terminate(&self) {
        self.terminated.fetch_add(1, Ordering::Relaxed);
    }
}

/// Starts `argv`, and gives a link to it that goes through two threads and two queues.
fn open_link(argv: &[String], ends: &Ends) -> OpenedLink {
    let (local, remote) = UnixStream::pair().unwrap();
    let remote = OwnedFd::from(remote);
    let mut child = Command::new(&argv[0])
        .args(&argv[1..])
        .stdin(Stdio::from(remote.try_clone().unwrap()))
        .stdout(Stdio::from(remote))
        .spawn()
        .unwrap();
    let (from, to) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
    let (queue, mut socket) = (Arc::clone(&from), local.try_clone().unwrap());
    thread::spawn(move || {
        let mut buf = [0; 4096];
        while let Ok(count @ 1..) = socket.read(&mut buf) {
            queue.change(|state| state.bytes.extend(&buf[..count]));
        }
        queue.change(|state| state.closed = true);
        child.wait().unwrap();
    });
    let (queue, mut socket) = (Arc::clone(&to), local.try_clone().unwrap());
    thread::spawn(move || {
        loop {
            let mut state = queue.state.lock().unwrap();
            while state.bytes.is_empty() && !state.closed {
                state = queue.changed.wait(state).unwrap();
            }
            let bytes: Vec<u8> = state.bytes.drain(..).collect();
            if bytes.is_empty() {
                let _ = socket.shutdown(Shutdown::Write);
                return;
            }
            drop(state);
            if socket.write_all(&bytes).is_err() {
                queue.change(|state| state.closed = true);
            }
            queue.change(|_| ());
        }
    });
    let side = |queue| QueueSide { queue, socket: local.try_clone().unwrap() };
    OpenedLink::new(side(from), side(to), ends.clone())
}

type Open = dyn Fn(&[String], Instant, OpenDone) + Send + Sync;

/// An opener that does what a test says.
struct Scripted(Box<Open>);

impl Opener for Scripted {
    fn open(&self, argv: &[String], deadline: Instant, done: OpenDone) {
        (self.0)(argv, deadline, done);
    }
}

fn opened(open: impl Fn(&[String], Instant, OpenDone) + Send + Sync + 'static) -> Given {
    Given { start: Start::Opened, opener: Some(Arc::new(Scripted(Box::new(open)))), argv: None }
}

fn count(counter: &Arc<AtomicUsize>) -> usize {
    counter.load(Ordering::Relaxed)
}

#[test]
fn a_link_without_descriptors_carries_a_context() {
    isolated(|| {
        let master = master();
        let ends = Ends::default();
        let counted = ends.clone();
        // On another thread, and at once on the broker's.
        for inline in [false, true] {
            let counted = counted.clone();
            let transport = opened(move |argv, _, done| {
                let (argv, ends) = (argv.to_vec(), counted.clone());
                let open = move || done.complete(Ok(open_link(&argv, &ends)));
                if inline {
                    open();
                } else {
                    thread::spawn(open);
                }
            });
            let context = connect(&master, None, &transport, TIMEOUT).expect("a child");
            let big = "x".repeat(1_000_000);
            let upper: String = context.call("string.capwords", (&big,)).expect("an answer");
            assert_eq!(upper.len(), big.len());
            // The child can be an intermediate.
            let below =
                master.connect_via(&context, &super::transport()).expect("a plan").wait().expect("up");
            let _: u32 = below.call("os.getpid", ()).expect("an answer");
        }
        master.shutdown();
        let ended = || (count(&ends.wound_down) == 2).then_some(());
        wait::until(TIMEOUT, ended).expect("both have ended");
        assert_eq!(count(&ends.terminated), 0);
    });
}

#[test]
fn an_opener_that_fails_or_gives_up_fails_the_connection() {
    isolated(|| {
        let master = master();
        let refused = opened(|_, _, done| {
            let failure = Failure::new(Stage::Authenticate, FailureKind::AuthenticationFailed, "no key fits");
            done.complete(Err(failure.with_hint("get a key")));
        });
        let error = connect(&master, None, &refused, TIMEOUT).unwrap_err();
        assert_eq!((error.stage, error.kind), (Stage::Authenticate, FailureKind::AuthenticationFailed));
        assert_eq!(error.hint.as_deref(), Some("get a key"));
        let error = connect(&master, None, &opened(|_, _, done| drop(done)), TIMEOUT).unwrap_err();
        assert_eq!(error.kind, FailureKind::Eof, "{error}");
        master.shutdown();
    });
}

#[test]
fn a_link_that_is_opened_too_late_is_closed() {
    isolated(|| {
        let master = master();
        let ends = Ends::default();
        let late = ends.clone();
        let transport = opened(move |argv, deadline, done| {
            let (argv, ends) = (argv.to_vec(), late.clone());
            done.set_stage(Stage::HostKey);
            thread::spawn(move || {
                thread::sleep(deadline.saturating_duration_since(Instant::now()));
                wait::until(TIMEOUT, || done.is_cancelled().then_some(())).expect("the open is cancelled");
                done.complete(Ok(open_link(&argv, &ends)));
            });
        });
        let error = connect(&master, None, &transport, Duration::from_millis(200)).unwrap_err();
        assert_eq!((error.stage, error.kind), (Stage::HostKey, FailureKind::Timeout), "{error}");
        let closed = || (count(&ends.terminated) == 1).then_some(());
        wait::until(TIMEOUT, closed).expect("the late link was closed");
        master.shutdown();
    });
}

#[test]
fn a_shutdown_cancels_what_is_being_opened() {
    isolated(|| {
        let master = master();
        let (sender, kept) = channel();
        let (told, cancelled) = channel();
        let (sender, told) = (Mutex::new(sender), Mutex::new(told));
        let transport = opened(move |_, _, done| {
            let told = told.lock().unwrap().clone();
            done.on_cancel(move || told.send(()).unwrap());
            sender.lock().unwrap().send(done).unwrap();
        });
        let settings = settings(TIMEOUT);
        let request = ConnectRequest { transport: &transport, name: None, via: None, settings: &settings };
        let connecting = master.connector().connect(&request).unwrap();
        let done = kept.recv_timeout(TIMEOUT).unwrap();
        master.shutdown();
        let error = connecting.wait().unwrap_err();
        assert_eq!(error.kind, FailureKind::Cancelled, "{error}");
        cancelled.recv_timeout(TIMEOUT).expect("the opener is notified");
        assert!(done.is_cancelled());
    });
}

#[test]
fn opened_plans_are_not_sent_and_need_an_opener() {
    isolated(|| {
        let master = master();
        let settings = settings(TIMEOUT);
        let via = local(&master);
        let transport = opened(|_, _, _| panic!("nothing is opened"));
        let request =
            ConnectRequest { transport: &transport, name: None, via: Some(&via), settings: &settings };
        let error = master.connector().connect(&request).unwrap_err();
        assert!(matches!(error, RequestError::OpenedByThisProcess { .. }), "{error}");
        let transport = Given { start: Start::Opened, opener: None, argv: None };
        let request = ConnectRequest { transport: &transport, name: None, via: None, settings: &settings };
        let error = master.connector().connect(&request).unwrap_err();
        assert!(matches!(error, RequestError::NoOpener { .. }), "{error}");
        master.shutdown();
    });
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn accept(&self) -> OwnedFd {
        match self {
            Self::Tcp(listener) => listener.accept().unwrap().0.into(),
            Self::Unix(listener) => listener.accept().unwrap().0.into(),
        }
    }
}

fn tcp() -> (Listener, Dial) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (Listener::Tcp(listener), Dial::Tcp { host: "127.0.0.1".into(), port })
}

fn socket_path() -> std::path::PathBuf {
    std::env::temp_dir().join("listener")
}

fn unix() -> (Listener, Dial) {
    let path = socket_path();
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    (Listener::Unix(listener), Dial::Unix { path: path.to_string_lossy().into_owned() })
}

/// Accepts one connection and starts the child's command line on it.
fn serve(listener: Listener, dial: Dial) -> Given {
    let (argv, commands) = channel::<Vec<String>>();
    thread::spawn(move || {
        let connection = listener.accept();
        drop(listener);
        let argv = commands.recv().unwrap();
        let mut child = Command::new(&argv[0])
            .args(&argv[1..])
            .stdin(Stdio::from(connection.try_clone().unwrap()))
            .stdout(Stdio::from(connection))
            .spawn()
            .unwrap();
        child.wait().unwrap();
    });
    Given { start: dial.into(), opener: None, argv: Some(Mutex::new(argv)) }
}

/// Accepts one connection, writes to it, and holds it until the other end closes it.
fn speak(listener: Listener, dial: Dial, words: &'static [u8], hold: bool) -> Given {
    thread::spawn(move || {
        let mut connection = std::fs::File::from(listener.accept());
        connection.write_all(words).unwrap();
        if hold {
            let _ = io::copy(&mut connection, &mut io::sink());
        }
    });
    Given { start: dial.into(), opener: None, argv: None }
}

fn works(master: &Master, via: Option<&Context>) {
    for (listener, dial) in [tcp(), unix()] {
        let transport = serve(listener, dial);
        let context = connect(master, via, &transport, TIMEOUT).expect("a child");
        let joined: String = context.call("posixpath.join", ("a", "b")).expect("an answer");
        assert_eq!(joined, "a/b");
    }
    std::fs::remove_file(socket_path()).unwrap();
}

fn fails(master: &Master, via: Option<&Context>) {
    let limit = Duration::from_millis(1500);
    let check = |transport: Given, stage: Stage, kind: FailureKind, words: &str| {
        let start = Instant::now();
        let error = connect(master, via, &transport, limit).unwrap_err();
        let report = error.report();
        assert_eq!((error.stage, error.kind), (stage, kind), "{report}");
        assert!(report.contains(words), "{words}: {report}");
        assert!(start.elapsed() < limit + Duration::from_secs(5), "{report}");
    };
    let to = |dial: Dial| Given { start: dial.into(), opener: None, argv: None };
    let (listener, dial) = tcp();
    drop(listener);
    check(to(dial), Stage::Connect, FailureKind::ConnectionRefused, "connection refused");
    let (listener, dial) = unix();
    drop(listener);
    check(to(dial), Stage::Connect, FailureKind::ConnectionRefused, "connection refused");
    let gone = Dial::Unix { path: "/no/such/socket".into() };
    check(to(gone), Stage::Connect, FailureKind::ConnectionRefused, "no such socket");
    let nowhere = Dial::Tcp { host: "host.invalid".into(), port: 7 };
    check(to(nowhere), Stage::Resolve, FailureKind::NameNotResolved, "host.invalid");
    for pair in [tcp, unix] {
        let (listener, dial) = pair();
        check(speak(listener, dial, b"", true), Stage::Shell, FailureKind::Timeout, "timed out");
        let (listener, dial) = pair();
        let rubbish = speak(listener, dial, b"HTTP/1.1 400 Bad Request\r\n\r\n", true);
        check(rubbish, Stage::Shell, FailureKind::Timeout, "400 Bad Request");
        let (listener, dial) = pair();
        check(speak(listener, dial, b"bye\n", false), Stage::Shell, FailureKind::Eof, "bye");
    }
    std::fs::remove_file(socket_path()).unwrap();
}

#[test]
fn a_socket_that_is_connected_carries_a_context() {
    isolated(|| {
        let master = master();
        works(&master, None);
        master.shutdown();
    });
}

#[test]
fn an_intermediate_connects_sockets() {
    isolated(|| {
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let master = master_with(python);
            works(&master, Some(&local(&master)));
            master.shutdown();
        }
        let master = master();
        fails(&master, Some(&local(&master)));
        master.shutdown();
    });
}

#[test]
fn a_host_name_is_resolved_and_all_its_addresses_are_tried() {
    isolated(|| {
        // On a machine whose `localhost` is ::1 first, nothing listens on that address.
        let (listener, dial) = tcp();
        let Dial::Tcp { port, .. } = dial else { unreachable!() };
        let master = master();
        let transport = serve(listener, Dial::Tcp { host: "localhost".into(), port });
        let context = connect(&master, None, &transport, TIMEOUT).expect("a child");
        let _: u32 = context.call("os.getpid", ()).expect("an answer");
        master.shutdown();
    });
}

#[test]
fn peers_that_refuse_or_are_silent_or_close_fail_the_connection() {
    isolated(|| {
        let master = master();
        fails(&master, None);
        master.shutdown();
    });
}
