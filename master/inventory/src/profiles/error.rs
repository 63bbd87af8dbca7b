//! Why a profile file or a target cannot be used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::diagnostic::Diagnostics;

/// Why no profiles could be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProfilesError {
    /// The file cannot be read.
    #[error("cannot read profiles from {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Other users could have written the file, and so could run any program as this user.
    #[error("refusing to use profiles from {}: {reason}\n  {hint}", .path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// Who could have written it.
        reason: String,
        /// The command that corrects it.
        hint: String,
    },
    /// The file has errors.
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
}

/// Why no chain of hops can be made for a target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The target was selected from another inventory.
    #[error("{0}: not a target of this inventory")]
    Foreign(String),
    /// The registry has no such transport.
    #[error("{label}: unknown method `{method}`; available methods: {known}")]
    UnknownMethod {
        /// The target.
        label: String,
        /// The name that was asked for.
        method: String,
        /// All names in the registry.
        known: String,
    },
    /// A command-line option sets a transport option that the transport does not have.
    #[error("{label}: {flag} has no effect: method `{method}` has no option `{option}`")]
    NoSuchOption {
        /// The target.
        label: String,
        /// The transport.
        method: String,
        /// The transport's option.
        option: &'static str,
        /// The option of the command line.
        flag: &'static str,
    },
    /// A command-line option says how to log in, and no hop logs in.
    #[error("{flag} has no effect: no hop to `{label}` logs in")]
    NoLogin {
        /// The target.
        label: String,
        /// The option of the command line.
        flag: &'static str,
    },
    /// `-K` was given, and the last hop does not change the user.
    #[error("-K has no effect: the last hop to `{0}` does not become another user; add -b")]
    NoBecome(String),
}
