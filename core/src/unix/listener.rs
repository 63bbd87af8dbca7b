//! The listening end: accepts clients, checks their user, gives each an id and a link.
//!
//! A client's link has a stamp: what it sends carries the listener's authority in place of its own, so
//! that it may do what the listener may.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::handshake::{ClientHello, ServerHello};
use super::peer;
use super::socket::{BindError, Socket};
use crate::broker::BrokerHandle;
use crate::io::{FdSide, Reactor, Side, Stream, Token, Writer};
use crate::router::{LINK_HIGH_WATER, MitogenStream, Router};

/// How long a client may take to send its part of the handshake.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long nothing is accepted after the process has run out of descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A socket by which other processes of this user become clients of a router. Dropping it removes the
/// socket; clients that have joined keep their links. When the broker ends, the socket is removed and all
/// clients are disconnected.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    broker: BrokerHandle,
    token: Token,
}

impl Listener {
    /// Listens at `path`, or in a new directory that only this user may enter.
    ///
    /// # Errors
    /// See [`BindError`].
    ///
    /// # Panics
    /// On the broker's thread, see [`BrokerHandle::defer_sync`].
    pub fn bind(router: &Router, path: Option<&Path>) -> Result<Self, BindError> {
        let socket = match path {
            Some(path) => Socket::bind(path)?,
            None => Socket::bind_temporary()?,
        };
        let path = socket.path.clone();
        let broker = router.broker().clone();
        let stream = Accepting { router: router.clone(), socket };
        let registered = broker
            .defer_sync(move |reactor| reactor.register(Box::new(stream)))
            .map_err(io::Error::other)
            .and_then(|registered| registered);
        match registered {
            Ok(token) => Ok(Self { path, broker, token }),
            Err(source) => Err(BindError::System { path, source }),
        }
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let token = self.token;
        if self.broker.is_broker_thread() {
            let _ = self.broker.defer(move |reactor| reactor.disconnect(token));
        } else {
            // Waits, so that the socket has been removed when this returns. A broker that has stopped has
            // removed it already.
            let _ = self.broker.defer_sync(move |reactor| reactor.disconnect(token));
            let _ = self.broker.defer_sync(|_| ());
        }
    }
}

/// The listening socket. It is removed when this is dropped.
struct Accepting {
    router: Router,
    socket: Socket,
}

impl Stream for Accepting {
    fn name(&self) -> &str {
        "unix_listener"
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.listener.as_fd())
    }

    fn keep_alive(&self) -> bool {
        false
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        match self.socket.listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = begin_handshake(&self.router, stream, reactor) {
                    tracing::warn!(%error, "a client could not join");
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // The client has closed it before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Most likely the process has no descriptors left. The client stays in the kernel's queue.
                tracing::warn!(%error, "cannot accept clients");
                reactor.stop_receive(token);
                let again = reactor.now() + ACCEPT_RETRY_DELAY;
                reactor.schedule(again, Box::new(move |reactor| reactor.start_receive(token)));
            }
        }
    }
}

/// Begins the handshake with a client, if it is of a permitted user.
fn begin_handshake(router: &Router, stream: UnixStream, reactor: &mut dyn Reactor) -> io::Result<()> {
    let uid = peer::uid(&stream)?;
    if !peer::is_permitted(uid) {
        tracing::warn!(uid = uid.as_raw(), "refused a client of another user");
        return Ok(());
    }
    let ends = FdSide::pair(stream)?;
    let joined = Arc::new(AtomicBool::new(false));
    let handshake = Handshake {
        router: router.clone(),
        ends: Some(ends),
        received: Vec::new(),
        joined: Arc::clone(&joined),
    };
    let token = reactor.register(Box::new(handshake))?;
    let deadline = reactor.now() + TIMEOUT;
    reactor.schedule(
        deadline,
        Box::new(move |reactor| {
            // The token of a client that has joined belongs to its link by now.
            if !joined.load(Ordering::Relaxed) && reactor.is_registered(token) {
                tracing::warn!("a client did not complete the handshake in time and was disconnected");
                reactor.disconnect(token);
            }
        }),
    );
    Ok(())
}

/// A connection whose client has not sent its part of the handshake.
struct Handshake {
    router: Router,
    /// Taken out when the client has joined.
    ends: Option<(FdSide, FdSide)>,
    received: Vec<u8>,
    joined: Arc<AtomicBool>,
}

impl Handshake {
    /// Gives the client an id and turns the connection into its link.
    fn join(&mut self, hello: ClientHello, rest: &[u8], reactor: &mut dyn Reactor, token: Token) {
        let Some((side, transmit)) = self.ends.take() else { return };
        self.joined.store(true, Ordering::Relaxed);
        let router = &self.router;
        let (me, client) = (router.identity().id, router.ids().allocate());
        let name = format!("unix_client.{}", hello.pid);
        let writer = Writer::new(transmit, LINK_HIGH_WATER);
        writer.bind_to(reactor.handle(), token);
        let server = ServerHello { client, listener: me, pid: std::process::id() };
        // In one write, and before there is a link that others could send by. If the client is gone
        // already, the next read shows it.
        let _ = writer.send(&[Bytes::from([&server.encode()[..], &server.first_frame()].concat())]);
        let link = router.links().adopt(client, &name, Some(me), writer.clone());
        tracing::debug!(id = client.0, name, "a client has joined");
        let mut stream =
            MitogenStream::new(router.clone(), link, name, Box::new(side), writer, rest).detach_on_shutdown();
        let sound = stream.drain(reactor, token);
        reactor.replace(token, Box::new(stream));
        if !sound {
            reactor.disconnect(token);
        }
    }
}

impl Stream for Handshake {
    fn name(&self) -> &str {
        "unix_client"
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        self.ends.as_ref().and_then(|(side, _)| side.fd())
    }

    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        self.ends.as_ref().and_then(|(_, transmit)| transmit.fd())
    }

    fn keep_alive(&self) -> bool {
        false
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        let Some((side, _)) = &mut self.ends else { return };
        let mut buffer = [0; 4096];
        match side.read(&mut buffer) {
            Ok(0) => {
                if let Err(truncated) = ClientHello::decode(&self.received) {
                    tracing::debug!(%truncated, "a client left");
                }
                reactor.disconnect(token);
            }
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                let received = std::mem::take(&mut self.received);
                match ClientHello::decode(&received) {
                    Ok((hello, rest)) => self.join(hello, rest, reactor, token),
                    Err(_) => self.received = received,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::debug!(%error, "a client was lost");
                reactor.disconnect(token);
            }
        }
    }
}
