//! Where a link's bytes go: to a writer, or, while the link is not up, also into a list.
//!
//! A context can be called before its process has even been started. What is sent to it until it
//! is up is kept, so that a connection that must be tried again starts with the same frames.

use bytes::Bytes;

use crate::io::Writer;

/// The far end of a link as the router sees it.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// Not up yet.
    Connecting {
        /// All frames sent so far, in order.
        sent: Vec<Bytes>,
        /// The process of the present attempt, once it may be written to.
        writer: Option<Writer>,
    },
    /// Up.
    Live(Writer),
}

impl Outlet {
    /// An outlet without a process.
    pub(crate) fn connecting() -> Self {
        Self::Connecting { sent: Vec::new(), writer: None }
    }

    /// Takes `parts` if the link is not up; else the writer that the caller must give them to,
    /// outside the table's lock.
    pub(crate) fn accept(&mut self, parts: &[Bytes]) -> Option<Writer> {
        match self {
            Self::Connecting { sent, writer } => {
                sent.extend_from_slice(parts);
                if let Some(writer) = writer {
                    // A failed attempt shows at the driver, which keeps `sent` for the next one.
                    let _ = writer.send(parts);
                }
                None
            }
            Self::Live(writer) => Some(writer.clone()),
        }
    }

    /// A process can be written to: it gets `preamble`, then all that was sent so far.
    pub(crate) fn attach(&mut self, preamble: Bytes, writer: Writer) {
        if let Self::Connecting { sent, writer: slot } = self {
            let mut parts = Vec::with_capacity(sent.len() + 1);
            parts.push(preamble);
            parts.extend_from_slice(sent);
            let _ = writer.send(&parts);
            *slot = Some(writer);
        }
    }

    /// The attempt has failed; what was sent waits for the next.
    pub(crate) fn detach(&mut self) {
        if let Self::Connecting { writer, .. } = self {
            *writer = None;
        }
    }

    /// The link is up.
    pub(crate) fn up(&mut self) {
        if let Self::Connecting { writer: Some(writer), .. } = self {
            *self = Self::Live(writer.clone());
        }
    }

    /// The writer, if there is one.
    pub(crate) fn writer(&self) -> Option<&Writer> {
        match self {
            Self::Connecting { writer, .. } => writer.as_ref(),
            Self::Live(writer) => Some(writer),
        }
    }
}
