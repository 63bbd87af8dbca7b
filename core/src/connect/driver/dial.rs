//! Connects a socket that becomes the link.
//!
//! A host name is resolved on a thread of its own, because `getaddrinfo` blocks. The addresses are tried
//! in their order; each gets an equal share of the time that is left, so that one that does not answer
//! does not use it up.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, SockaddrLike,
    SockaddrStorage, UnixAddr, sockopt,
};

use super::opener::{OpenDone, OpenedLink};
use super::remote_end::Peer;
use crate::connect::start::Dial;
use crate::dialogue::{Failure, FailureKind, Stage};
use crate::io::{FdSide, Reactor, Stream, Token};
use crate::sys;

/// The pause before another try when a unix listener's queue is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(20);

/// Connects as `dial` says, and delivers the connection to `done`. The connection's own deadline ends it.
pub(super) fn connect(dial: &Dial, deadline: Instant, reactor: &mut dyn Reactor, done: OpenDone) {
    match dial {
        Dial::Unix { path } => match UnixAddr::new(path.as_str()) {
            Ok(address) => {
                let addresses = VecDeque::from([Address::Unix(path.clone(), address)]);
                Dialling { addresses, deadline, done, last: None }.advance(reactor);
            }
            Err(error) => done.complete(Err(failure(error, &format!("the unix socket {path}"), true))),
        },
        Dial::Tcp { host, port } => match host.parse::<IpAddr>() {
            Ok(ip) => {
                let addresses = VecDeque::from([Address::Tcp(SocketAddr::new(ip, *port))]);
                Dialling { addresses, deadline, done, last: None }.advance(reactor);
            }
            Err(_) => resolve(host.clone(), *port, deadline, reactor, done),
        },
    }
}

/// Resolves `host` on a thread, which ends when the system's resolver does, and connects.
fn resolve(host: String, port: u16, deadline: Instant, reactor: &mut dyn Reactor, done: OpenDone) {
    done.set_stage(Stage::Resolve);
    let broker = reactor.handle();
    // Shared with the thread, so that the connection can be failed if the thread is not started.
    let shared = Arc::new(Mutex::new(Some(done)));
    let slot = Arc::clone(&shared);
    let resolver = move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let Some(done) = take(&slot) else { return };
        // A stopped broker drops the task, and with it the connection.
        let _ = broker.defer(Box::new(move |reactor| {
            if done.is_cancelled() {
                return;
            }
            let unknown = |reason: String| {
                let message = format!("cannot resolve the host name {host}: {reason}");
                Failure::new(Stage::Resolve, FailureKind::NameNotResolved, message)
                    .with_hint("check the name, and the name service of the host that connects")
            };
            match found {
                Ok(found) if found.is_empty() => done.complete(Err(unknown("it has no address".to_owned()))),
                Ok(found) => {
                    done.set_stage(Stage::Connect);
                    let addresses = found.into_iter().map(Address::Tcp).collect();
                    Dialling { addresses, deadline, done, last: None }.advance(reactor);
                }
                Err(error) => done.complete(Err(unknown(error.to_string()))),
            }
        }));
    };
    if let Err(error) = thread::Builder::new().name("resolver".to_owned()).spawn(resolver)
        && let Some(done) = take(&shared)
    {
        let message = format!("cannot start a thread to resolve the host name: {error}");
        done.complete(Err(Failure::new(Stage::Resolve, FailureKind::SpawnFailed, message)));
    }
}

enum Address {
    Tcp(SocketAddr),
    Unix(String, UnixAddr),
}

impl Address {
    fn shown(&self) -> String {
        match self {
            Self::Tcp(address) => format!("{} port {}", address.ip(), address.port()),
            Self::Unix(path, _) => format!("the unix socket {path}"),
        }
    }

    fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(..))
    }

    /// Begins to connect a new socket, without blocking. Returns whether it is connected already.
    fn begin(&self) -> Result<(OwnedFd, bool), Errno> {
        match self {
            Self::Tcp(address) => {
                let (family, address): (_, Box<dyn SockaddrLike>) = match *address {
                    SocketAddr::V4(address) => (AddressFamily::Inet, Box::new(SockaddrIn::from(address))),
                    SocketAddr::V6(address) => (AddressFamily::Inet6, Box::new(SockaddrIn6::from(address))),
                };
                let fd = new_socket(family, Some(SockProtocol::Tcp))?;
                socket::setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
                start_connect(fd, &*address)
            }
            Self::Unix(_, address) => start_connect(new_socket(AddressFamily::Unix, None)?, address),
        }
    }
}

fn new_socket(family: AddressFamily, protocol: Option<SockProtocol>) -> Result<OwnedFd, Errno> {
    let fd = socket::socket(family, SockType::Stream, SockFlag::empty(), protocol)?;
    let set = sys::set_cloexec(&fd, true).and_then(|()| sys::set_nonblock(&fd));
    set.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    Ok(fd)
}

fn start_connect(fd: OwnedFd, address: &dyn SockaddrLike) -> Result<(OwnedFd, bool), Errno> {
    match socket::connect(fd.as_raw_fd(), address) {
        Ok(()) => Ok((fd, true)),
        Err(Errno::EINPROGRESS | Errno::EINTR) => Ok((fd, false)),
        Err(error) => Err(error),
    }
}

/// A connection on its way through the addresses of its host.
struct Dialling {
    addresses: VecDeque<Address>,
    deadline: Instant,
    done: OpenDone,
    /// Why the last address failed.
    last: Option<Failure>,
}

impl Dialling {
    /// Tries the next address.
    fn advance(mut self, reactor: &mut dyn Reactor) {
        while let Some(address) = self.addresses.pop_front() {
            if self.done.is_cancelled() {
                return;
            }
            match address.begin() {
                Ok((fd, true)) => return self.deliver(fd),
                Ok((fd, false)) => return self.wait(fd, address, reactor),
                Err(Errno::EAGAIN) if address.is_unix() => {
                    self.addresses.push_front(address);
                    let when = reactor.now() + QUEUE_FULL_PAUSE;
                    reactor.schedule(when, Box::new(move |reactor| self.advance(reactor)));
                    return;
                }
                Err(error) => self.last = Some(failure(error, &address.shown(), address.is_unix())),
            }
        }
        // Without an address there was no try; the resolver does not let that happen.
        let none = || Failure::new(Stage::Connect, FailureKind::HostUnreachable, "there is no address");
        let failure = self.last.take().unwrap_or_else(none);
        self.done.complete(Err(failure));
    }

    fn deliver(self, fd: OwnedFd) {
        self.done.complete(match FdSide::pair(fd) {
            Ok((receive, transmit)) => Ok(OpenedLink::new(receive, transmit, Peer)),
            Err(error) => {
                let message = format!("cannot use the socket: {error}");
                Err(Failure::new(Stage::Connect, FailureKind::SpawnFailed, message))
            }
        });
    }

    /// Waits for the answer of `address`.
    fn wait(self, fd: OwnedFd, address: Address, reactor: &mut dyn Reactor) {
        let left = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        let deadline = self.deadline;
        let state = Arc::new(Mutex::new(Some(self)));
        let stream =
            ConnectStream { name: address.shown(), fd: Some(fd), state: Arc::clone(&state), address };
        let registered = reactor.register(Box::new(stream));
        let token = match (registered, take(&state)) {
            (Ok(token), Some(dialling)) => {
                dialling.cancel_by(&state, reactor, token);
                put(&state, dialling);
                token
            }
            // The loop is stopping, or has no descriptor left: `done` is dropped with the state.
            _ => return,
        };
        reactor.start_transmit(token);
        if left > 0 {
            let share = deadline.saturating_duration_since(Instant::now()) / left.saturating_add(1);
            let when = Instant::now() + share;
            reactor.schedule(
                when,
                Box::new(move |reactor| {
                    if let Some(mut dialling) = take(&state) {
                        reactor.disconnect(token);
                        dialling.last = None;
                        dialling.advance(reactor);
                    }
                }),
            );
        }
    }

    /// Closes the socket when the result is not wanted any more.
    fn cancel_by(&self, state: &Shared, reactor: &mut dyn Reactor, token: Token) {
        let (state, broker) = (Arc::clone(state), reactor.handle());
        self.done.on_cancel(move || {
            drop(take(&state));
            let _ = broker.defer(Box::new(move |reactor| reactor.disconnect(token)));
        });
    }
}

/// The state of a connection, which is taken by what happens first: an answer, the end of the address's
/// time, or the end of the connection.
type Shared = Arc<Mutex<Option<Dialling>>>;

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn put(state: &Shared, dialling: Dialling) {
    *state.lock().unwrap_or_else(PoisonError::into_inner) = Some(dialling);
}

/// A socket that is being connected.
struct ConnectStream {
    name: String,
    fd: Option<OwnedFd>,
    state: Shared,
    address: Address,
}

impl Stream for ConnectStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(|fd| fd.as_fd())
    }

    fn on_receive(&mut self, _reactor: &mut dyn Reactor, _token: Token) {}

    fn on_transmit(&mut self, reactor: &mut dyn Reactor, token: Token) {
        let Some(fd) = &self.fd else { return };
        let error = socket::getsockopt(fd, sockopt::SocketError).map_or_else(|error| error, Errno::from_raw);
        let connected = socket::getpeername::<SockaddrStorage>(fd.as_raw_fd()).is_ok();
        if error == Errno::from_raw(0) && !connected {
            // The event was spurious.
            return;
        }
        reactor.disconnect(token);
        let (Some(mut dialling), Some(fd)) = (take(&self.state), self.fd.take()) else { return };
        if error == Errno::from_raw(0) {
            dialling.deliver(fd);
        } else {
            dialling.last = Some(failure(error, &self.address.shown(), self.address.is_unix()));
            dialling.advance(reactor);
        }
    }

    fn on_disconnect(&mut self, _reactor: &mut dyn Reactor, _token: Token) {
        drop(take(&self.state));
    }
}

/// What it means that connecting to `address` has failed with `error`.
fn failure(error: Errno, address: &str, unix: bool) -> Failure {
    let (kind, hint) = match error {
        Errno::ENOENT if unix => {
            (FailureKind::ConnectionRefused, "no such socket: check the path, and that the program listens")
        }
        Errno::ECONNREFUSED => {
            (FailureKind::ConnectionRefused, "check that a program listens on the address")
        }
        Errno::ECONNRESET => (FailureKind::ConnectionClosed, "the program closed the connection at once"),
        Errno::EACCES | Errno::EPERM => (FailureKind::NotPermitted, "check the permissions and firewalls"),
        _ => (FailureKind::HostUnreachable, "check the address, and the route to the host"),
    };
    let reason = io::Error::from(error);
    let message = format!("cannot connect to {address}: {}", reason.to_string().to_lowercase());
    Failure::new(Stage::Connect, kind, message).with_hint(hint)
}
