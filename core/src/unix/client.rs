//! The client's end: connects to a listener, is given an id, and gets a link to it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::handshake::{ClientHello, ServerHello, TruncatedHandshake};
use super::peer;
use crate::broker::DeferError;
use crate::ids::{ContextId, Identity};
use crate::io::{FdSide, Writer};
use crate::router::{LINK_HIGH_WATER, MitogenStream, Router};

/// How long a listener may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a session could not be joined.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// There is no socket at the path.
    #[error("{}: no session is listening", path.display())]
    NoSocket {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The listener ended without removing its socket.
    #[error("{}: stale socket: no process is listening", path.display())]
    Stale {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The listener's user is neither this process's nor root.
    #[error("{}: the listener runs as another user ({uid}), which is not trusted", path.display())]
    OtherUser {
        /// The path of the socket.
        path: PathBuf,
        /// The listener's user.
        uid: u32,
    },
    /// The listener closed the connection: this user may not join, or it is ending.
    #[error("{}: connection rejected during handshake", path.display())]
    Rejected {
        /// The path of the socket.
        path: PathBuf,
        /// How far the handshake got.
        #[source]
        truncated: TruncatedHandshake,
    },
    /// The listener did not answer in time.
    #[error("{}: the listener did not answer within {} s", path.display(), TIMEOUT.as_secs())]
    TimedOut {
        /// The path of the socket.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("{}: cannot join the session", path.display())]
    System {
        /// The path of the socket.
        path: PathBuf,
        /// What the system reports.
        source: io::Error,
    },
}

/// A connection to a listener, before there is a router to use it.
#[derive(Debug)]
pub struct Joined {
    identity: Identity,
    listener_pid: u32,
    stream: UnixStream,
    /// Whether the listener has said that it reads every encoding.
    reads_all_encodings: bool,
    /// What else was received behind the listener's answer: the beginning of a frame.
    rest: Vec<u8>,
}

impl Joined {
    /// The identity that the router must be made with.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The listener's id.
    pub fn listener(&self) -> ContextId {
        // `join` has set a parent.
        self.identity.parent().unwrap_or_default()
    }
}

/// Connects to the listener at `path` and completes the handshake. Blocks, for some seconds at most.
///
/// # Errors
/// See [`JoinError`].
pub fn join(path: &Path) -> Result<Joined, JoinError> {
    let system = |source| JoinError::System { path: path.to_owned(), source };
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(JoinError::NoSocket { path: path.to_owned() });
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(JoinError::Stale { path: path.to_owned() });
        }
        Err(error) => return Err(system(error)),
    };
    let uid = peer::uid(&stream).map_err(system)?;
    if !peer::is_permitted(uid) {
        return Err(JoinError::OtherUser { path: path.to_owned(), uid: uid.as_raw() });
    }
    stream.set_read_timeout(Some(TIMEOUT)).map_err(system)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(system)?;
    // Reads the answer and the first frame behind it, which this program's listeners send in one write,
    // and no more: the frames that follow are for the router to read.
    let mut answer = [0; ServerHello::LEN + ServerHello::FIRST_FRAME_LEN];
    let mut got = 0;
    let outcome = stream.write_all(&ClientHello { pid: std::process::id() }.encode()).and_then(|()| {
        while got < ServerHello::LEN {
            match stream.read(&mut answer[got..]) {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        // The listener has closed the connection without reading our part.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            return Err(JoinError::TimedOut { path: path.to_owned() });
        }
        Err(error) => return Err(system(error)),
    }
    let (server, rest) = ServerHello::decode(&answer[..got])
        .map_err(|truncated| JoinError::Rejected { path: path.to_owned(), truncated })?;
    let identity = Identity { id: server.client, parents: vec![server.listener] };
    let reads_all_encodings = *rest == server.first_frame();
    let rest = if reads_all_encodings { Vec::new() } else { rest.to_vec() };
    Ok(Joined { identity, listener_pid: server.pid, stream, reads_all_encodings, rest })
}

/// Makes the connection `joined` the link of `router` to all other contexts. The router must have been
/// made with [`Joined::identity`].
///
/// # Errors
/// The loop has ended, or the descriptor cannot be used.
///
/// # Panics
/// On the broker's thread.
pub fn attach(router: &Router, joined: Joined) -> io::Result<()> {
    let listener = joined.listener();
    let name = format!("unix_listener.{}", joined.listener_pid);
    let attaching = router.clone();
    let attached = router.broker().defer_sync(move |reactor| {
        let router = attaching;
        let (side, transmit) = FdSide::pair(joined.stream)?;
        let writer = Writer::new(transmit, LINK_HIGH_WATER);
        let link = router.links().adopt(listener, &name, None, writer.clone());
        if joined.reads_all_encodings {
            router.links().set_legacy_encoding_only(link, false);
        }
        let stream = MitogenStream::new(router, link, name, Box::new(side), writer.clone(), &joined.rest)
            .detach_on_shutdown();
        let token = reactor.register(Box::new(stream))?;
        writer.bind_to(reactor.handle(), token);
        Ok(())
    });
    attached.map_err(|error: DeferError| io::Error::other(error)).and_then(|attached| attached)
}
