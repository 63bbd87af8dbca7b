//! What runs in a child context: how it is started, and how more code reaches it.
//!
//! A [`Runtime`] turns a child's configuration into a [`Boot`]: a command line and the bytes to
//! write to the started program. It knows no transport, and this crate knows no runtime by name:
//! they are crates of their own, in `core/runtimes`. Pure: no I/O.

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::dialogue::ExitRule;

mod blob;
mod config;

pub use blob::{Blob, BlobId};
pub use config::ChildConfig;

/// What runs in a child context.
///
/// Implementations are values that hold their settings, such as the interpreter to start.
pub trait Runtime: fmt::Debug + Send + Sync {
    /// The runtime's name, such as `python`.
    fn name(&self) -> &str;

    /// How to start one context. The command line must not depend on the name in the configuration,
    /// which may be chosen by the transport after it has seen the command line.
    ///
    /// # Errors
    /// The runtime cannot start such a context.
    fn boot(&self, request: &BootRequest<'_>) -> Result<Boot, RuntimeError>;

    /// What a context of this runtime needs to have been sent before it is asked for `feature`.
    ///
    /// # Errors
    /// The runtime does not have the feature.
    fn requirements(&self, feature: Feature) -> Result<Vec<&str>, RuntimeError>;

    /// The module `fullname` of the runtime itself. `None` if the runtime has no module of this name.
    fn module(&self, fullname: &str) -> Option<RuntimeModule>;

    /// Whether a link to a context of this runtime carries pickles only, because the runtime takes
    /// any other encoding in a frame's header for a corrupt stream.
    fn legacy_encoding_only(&self) -> bool {
        false
    }

    /// Whether a context of this runtime carries out plans, and so can be an intermediate.
    fn can_start_children(&self) -> bool {
        self.requirements(Feature::Children).is_ok()
    }
}

/// What [`Runtime::boot`] is asked.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BootRequest<'a> {
    /// The context's configuration.
    pub config: &'a ChildConfig,
    /// The name of the process in process lists on the remote host, such as `user@host:pid`.
    pub process_title: &'a str,
}

impl<'a> BootRequest<'a> {
    /// A request to start the context that `config` describes.
    pub fn new(config: &'a ChildConfig, process_title: &'a str) -> Self {
        Self { config, process_title }
    }
}

/// How to start one context.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Boot {
    /// The command line, not quoted: a transport that goes through a shell quotes it.
    pub argv: Vec<String>,
    /// The ways in which the command line is known to fail. Transports add their own rules in front
    /// of these.
    pub exits: Vec<ExitRule>,
    /// What is written first: parts that are the same for many contexts. Intermediates keep them,
    /// so that each crosses a link once.
    pub blobs: Vec<Blob>,
    /// What is written after the blobs: the part of this one context.
    pub tail: Bytes,
}

impl Boot {
    /// A start by the command line `argv`, to which nothing is written.
    pub fn new(argv: Vec<String>) -> Self {
        Self { argv, exits: Vec::new(), blobs: Vec::new(), tail: Bytes::new() }
    }

    /// Sets the rules for known failures.
    #[must_use]
    pub fn exits(mut self, exits: Vec<ExitRule>) -> Self {
        self.exits = exits;
        self
    }

    /// Sets what is written to the started program: `blobs`, then `tail`.
    #[must_use]
    pub fn input(mut self, blobs: Vec<Blob>, tail: Bytes) -> Self {
        self.blobs = blobs;
        self.tail = tail;
        self
    }

    /// Everything that is written to the started program, in one piece.
    pub fn preamble(&self) -> Bytes {
        if self.blobs.is_empty() {
            return self.tail.clone();
        }
        let blobs = self.blobs.iter().map(|blob| &blob.data()[..]);
        blobs.chain([&self.tail[..]]).collect::<Vec<_>>().concat().into()
    }
}

/// Something that a context can be asked for, beyond calls of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Programs: start them, exchange their standard streams, signal them.
    Commands,
    /// Scripts in the language of the runtime, which run in a copy of the context.
    Scripts,
    /// File transfers.
    Files,
    /// Calls of services.
    Services,
    /// Child contexts by plans that start a program.
    Children,
    /// Child contexts by plans that connect a socket.
    Sockets,
    /// Child contexts that are copies of the context.
    Copies,
    /// Copies whose imports are served by a client of a running session.
    ScopedCopies,
    /// Outliving the parent.
    Detach,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commands => "commands",
            Self::Scripts => "scripts",
            Self::Files => "file transfers",
            Self::Services => "services",
            Self::Children => "child contexts",
            Self::Sockets => "child contexts reached by a socket",
            Self::Copies => "copies of itself",
            Self::ScopedCopies => "copies of itself for clients",
            Self::Detach => "detaching",
        })
    }
}

/// A module of a runtime, as the contexts of that runtime import it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeModule {
    /// Every context of the runtime has it from its start.
    Preinstalled,
    /// The payload of its `LOAD_MODULE` message. Intermediates keep it for the contexts behind them.
    Shared(Bytes),
    /// The payload of its `LOAD_MODULE` message, which must not pass through the module caches of
    /// intermediates: another runtime has a module of the same name.
    Private(Bytes),
    /// The runtime has no such module, and a module of this name from elsewhere must not be sent.
    Absent,
}

/// What a runtime cannot do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The runtime has no such feature.
    #[error("contexts that run `{runtime}` do not support {feature}")]
    Unsupported {
        /// The runtime's name.
        runtime: String,
        /// What was wanted.
        feature: Feature,
    },
    /// The runtime cannot start the context.
    #[error("`{runtime}`: {message}")]
    Boot {
        /// The runtime's name.
        runtime: String,
        /// What is wrong, and what to do.
        message: String,
    },
}
