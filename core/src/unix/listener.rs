//! The listening end: accepts, checks who it is, gives each client an id and a link.
//!
//! A client's link is stamped: what it sends carries our authority, not the client's, so that it
//! may do below us what we may.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::handshake::{Hello, Welcome};
use super::socket::{BindError, Socket};
use super::{HIGH_WATER, peer};
use crate::broker::BrokerHandle;
use crate::io::{FdSide, Reactor, Side, Stream, Token, Writer};
use crate::router::{MitogenStream, Router};

/// How long a client may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing is accepted when the process has no descriptors left.
const BREATH: Duration = Duration::from_millis(100);

/// A socket at which clients join `router`'s tree. Dropping it ends the listening and removes the
/// socket; those who have joined stay. So does the end of the broker, which takes them along.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    broker: BrokerHandle,
    token: Token,
}

impl Listener {
    /// Listens at `path`, or in a new directory that only we may enter.
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

    /// Where clients find it.
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
            // Waits: when this returns, the socket is gone. (A broker that has stopped has dropped it.)
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
                if let Err(error) = greet(&self.router, stream, reactor) {
                    tracing::warn!(%error, "a client could not join");
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // It was gone before we came to it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Most likely there are no descriptors left. The client waits in the queue meanwhile.
                tracing::warn!(%error, "cannot accept clients");
                reactor.stop_receive(token);
                let again = reactor.now() + BREATH;
                reactor.schedule(again, Box::new(move |reactor| reactor.start_receive(token)));
            }
        }
    }
}

/// Lets somebody say who it is, if the kernel says that it may.
fn greet(router: &Router, stream: UnixStream, reactor: &mut dyn Reactor) -> io::Result<()> {
    let uid = peer::uid(&stream)?;
    if !peer::is_one_of_us(uid) {
        tracing::warn!(uid = uid.as_raw(), "refused a client of another user");
        return Ok(());
    }
    let ends = FdSide::pair(stream)?;
    let joined = Arc::new(AtomicBool::new(false));
    let greeting =
        Greeting { router: router.clone(), ends: Some(ends), said: Vec::new(), joined: Arc::clone(&joined) };
    let token = reactor.register(Box::new(greeting))?;
    let deadline = reactor.now() + PATIENCE;
    reactor.schedule(
        deadline,
        Box::new(move |reactor| {
            // The token of one that has joined is its link's by now.
            if !joined.load(Ordering::Relaxed) && reactor.is_registered(token) {
                tracing::warn!("a client said nothing in time, and was dropped");
                reactor.disconnect(token);
            }
        }),
    );
    Ok(())
}

/// A connection before its client has said who it is.
struct Greeting {
    router: Router,
    /// Handed over when it has.
    ends: Option<(FdSide, FdSide)>,
    said: Vec<u8>,
    joined: Arc<AtomicBool>,
}

impl Greeting {
    /// Gives the client an id and turns the connection into its link.
    fn join(&mut self, hello: Hello, rest: &[u8], reactor: &mut dyn Reactor, token: Token) {
        let Some((side, transmit)) = self.ends.take() else { return };
        self.joined.store(true, Ordering::Relaxed);
        let router = &self.router;
        let (me, client) = (router.identity().id, router.ids().allocate());
        let name = format!("unix_client.{}", hello.pid);
        let writer = Writer::new(transmit.share(), HIGH_WATER);
        writer.bind_to(reactor.handle(), token);
        let welcome = Welcome { client, listener: me, pid: std::process::id() };
        // In one write, and before there is a link that others could send by. A client that is gone
        // already shows when it is read from.
        let _ = writer.send(&[Bytes::from([&welcome.encode()[..], &welcome.first_word()].concat())]);
        let link = router.adopt_link(client, &name, Some(me), writer.clone());
        tracing::debug!(id = client.0, name, "a client has joined");
        let ends = (side, transmit);
        let mut stream = MitogenStream::new(router.clone(), link, name, ends, writer, rest).leaving();
        let sound = stream.drain(reactor, token);
        reactor.replace(token, Box::new(stream));
        if !sound {
            reactor.disconnect(token);
        }
    }
}

impl Stream for Greeting {
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
                if let Err(torn) = Hello::decode(&self.said) {
                    tracing::debug!(%torn, "a client left");
                }
                reactor.disconnect(token);
            }
            Ok(count) => {
                self.said.extend_from_slice(&buffer[..count]);
                let said = std::mem::take(&mut self.said);
                match Hello::decode(&said) {
                    Ok((hello, rest)) => self.join(hello, rest, reactor, token),
                    Err(_) => self.said = said,
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
