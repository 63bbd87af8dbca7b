//! Why a call or a wait has failed.

use std::fmt;

use thiserror::Error;

use super::function::FunctionNameError;
use crate::ids::ContextId;
use crate::pickle;
use crate::router::SendError;
use crate::wire::Message;

/// An exception raised by a remote function, as its context described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError {
    /// The exception's type with its module, such as `builtins.ValueError`.
    pub type_name: String,
    /// The exception's text.
    pub message: String,
    /// The remote traceback, if it was sent.
    pub traceback: Option<String>,
}

impl RemoteError {
    /// Reads the text of a pickled `CallError`: `module.Class: message`, then, after a newline, a
    /// traceback.
    pub fn from_text(text: &str) -> Self {
        let (head, traceback) = match text.find("\n  File \"") {
            Some(at) => (&text[..at], Some(text[at + 1..].trim_end().to_owned())),
            None => (text, None),
        };
        let (type_name, message) = head.split_once(": ").unwrap_or(("", head));
        // The name of a type has no spaces; otherwise the text has no type.
        let (type_name, message) =
            if type_name.contains(char::is_whitespace) { ("", head) } else { (type_name, message) };
        Self {
            type_name: type_name.to_owned(),
            message: message.strip_suffix(':').unwrap_or(message).to_owned(),
            traceback,
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.type_name.as_str(), self.message.as_str()) {
            ("", message) => f.write_str(message),
            (name, "") => f.write_str(name),
            (name, message) => write!(f, "{name}: {message}"),
        }
    }
}

/// Why a call gave no value.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The function raised an exception.
    #[error("{0}")]
    Remote(RemoteError),
    /// The call needs an id for a new context, and none is left.
    #[error("no id is left for a new context")]
    NoId,
    /// No reply will come. The remote side or an intermediate gave the reason.
    #[error("{reason}")]
    Dead {
        /// The reason from the dead message.
        reason: String,
        /// The context that sent the dead message.
        by: ContextId,
    },
    /// The timeout has expired. The call goes on; its reply will be dropped.
    #[error("timed out waiting for a reply")]
    TimedOut,
    /// The receiver was closed locally.
    #[error("the receiver is closed")]
    Closed,
    /// What runs in the context does not support what was asked of it.
    #[error(transparent)]
    Runtime(#[from] crate::runtime::RuntimeError),
    /// The text is not the name of a function.
    #[error(transparent)]
    Name(#[from] FunctionNameError),
    /// The arguments could not be encoded.
    #[error("the arguments cannot be encoded: {0}")]
    Encode(pickle::Error),
    /// The reply is not of the type that was asked for.
    #[error("the reply cannot be decoded: {0}")]
    Decode(pickle::Error),
    /// The request could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl CallError {
    /// The error that a dead message means to `me`.
    pub(crate) fn dead(message: &Message, me: ContextId) -> Self {
        let reason = String::from_utf8_lossy(&message.data);
        let reason = match (reason.as_ref(), message.src_id == me) {
            ("", true) => "channel closed by the local end".to_owned(),
            ("", false) => "channel closed by the remote end".to_owned(),
            (text, _) => text.to_owned(),
        };
        Self::Dead { reason, by: message.src_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_error_texts_come_apart() {
        let rows = [
            ("builtins.ValueError: no: not this", ("builtins.ValueError", "no: not this", None)),
            (
                "builtins.ValueError: two\nlines\n  File \"<stdin>\", line 3, in f\n    g()\n",
                ("builtins.ValueError", "two\nlines", Some("  File \"<stdin>\", line 3, in f\n    g()")),
            ),
            ("plain words: and more", ("", "plain words: and more", None)),
            ("builtins.KeyboardInterrupt: ", ("builtins.KeyboardInterrupt", "", None)),
            ("", ("", "", None)),
        ];
        for (text, (name, message, traceback)) in rows {
            let error = RemoteError::from_text(text);
            assert_eq!(
                (error.type_name.as_str(), error.message.as_str(), error.traceback.as_deref()),
                (name, message, traceback),
                "{text:?}"
            );
        }
    }
}
