//! The joining end: says hello, learns who it is, and becomes part of the tree.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::handshake::{Hello, Torn, Welcome};
use super::{HIGH_WATER, peer};
use crate::broker::DeferError;
use crate::ids::{ContextId, Identity};
use crate::io::{FdSide, Writer};
use crate::router::{MitogenStream, Router};

/// How long a listener may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a tree could not be joined.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Nobody listens there.
    #[error("{}: no tree listens there", path.display())]
    Nobody {
        /// Where.
        path: PathBuf,
    },
    /// Somebody listened there, and ended without removing the socket.
    #[error("{}: whoever listened there is gone, and has left the socket behind", path.display())]
    Gone {
        /// Where.
        path: PathBuf,
    },
    /// Whoever listens there is neither us nor root.
    #[error("{}: another user ({uid}) listens there; it is not trusted", path.display())]
    Stranger {
        /// Where.
        path: PathBuf,
        /// Who.
        uid: u32,
    },
    /// The listener closed the connection: this user may not join, or it is ending.
    #[error("{}: the listener let nobody in: {torn}", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// How far it got.
        torn: Torn,
    },
    /// It did not answer.
    #[error("{}: the listener did not answer within {} s", path.display(), PATIENCE.as_secs())]
    Silent {
        /// Where.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot connect to {}", path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A place in a tree, before there is a router to use it.
#[derive(Debug)]
pub struct Joined {
    identity: Identity,
    listener_pid: u32,
    stream: UnixStream,
    /// Whether the listener has said that it reads every encoding.
    all_encodings: bool,
    /// What else came behind its answer: the beginning of a frame.
    rest: Vec<u8>,
}

impl Joined {
    /// Who we are there: what the router must be made with.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The listener's id.
    pub fn listener(&self) -> ContextId {
        // There is one: `join` puts it there.
        self.identity.parent().unwrap_or_default()
    }
}

/// Connects to the listener at `path` and takes a place in its tree. Blocks, for some seconds at most.
///
/// # Errors
/// See [`JoinError`].
pub fn join(path: &Path) -> Result<Joined, JoinError> {
    let system = |source| JoinError::System { path: path.to_owned(), source };
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(JoinError::Nobody { path: path.to_owned() });
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(JoinError::Gone { path: path.to_owned() });
        }
        Err(error) => return Err(system(error)),
    };
    let uid = peer::uid(&stream).map_err(system)?;
    if !peer::is_one_of_us(uid) {
        return Err(JoinError::Stranger { path: path.to_owned(), uid: uid.as_raw() });
    }
    stream.set_read_timeout(Some(PATIENCE)).map_err(system)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(system)?;
    // No more than the answer and the first word behind it is read, which a listener of ours sends in
    // one write: what follows are frames, for the router to read.
    let mut said = [0; Welcome::LEN + Welcome::FIRST_WORD_LEN];
    let mut got = 0;
    let outcome = stream.write_all(&Hello { pid: std::process::id() }.encode()).and_then(|()| {
        while got < Welcome::LEN {
            match stream.read(&mut said[got..]) {
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
        // It closed without reading what we said.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            return Err(JoinError::Silent { path: path.to_owned() });
        }
        Err(error) => return Err(system(error)),
    }
    let (welcome, rest) =
        Welcome::decode(&said[..got]).map_err(|torn| JoinError::Refused { path: path.to_owned(), torn })?;
    let identity = Identity { id: welcome.client, parents: vec![welcome.listener] };
    let all_encodings = *rest == welcome.first_word();
    let rest = if all_encodings { Vec::new() } else { rest.to_vec() };
    Ok(Joined { identity, listener_pid: welcome.pid, stream, all_encodings, rest })
}

/// Makes the place that `joined` is `router`'s: its link to all other contexts. The router must have
/// been made with [`Joined::identity`].
///
/// # Errors
/// The loop has ended, or the descriptor cannot be used.
///
/// # Panics
/// On the broker's thread.
pub fn attach(router: &Router, joined: Joined) -> io::Result<()> {
    let listener = joined.listener();
    let name = format!("unix_listener.{}", joined.listener_pid);
    let router_there = router.clone();
    let attached = router.broker().defer_sync(move |reactor| {
        let router = router_there;
        let (side, transmit) = FdSide::pair(joined.stream)?;
        let writer = Writer::new(transmit.share(), HIGH_WATER);
        let link = router.adopt_link(listener, &name, None, writer.clone());
        if joined.all_encodings {
            router.use_all_encodings(link);
        }
        let ends = (side, transmit);
        let stream = MitogenStream::new(router, link, name, ends, writer.clone(), &joined.rest).leaving();
        let token = reactor.register(Box::new(stream))?;
        writer.bind_to(reactor.handle(), token);
        Ok(())
    });
    attached.map_err(|error: DeferError| io::Error::other(error)).and_then(|attached| attached)
}
