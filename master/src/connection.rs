//! Connections to targets that may lie behind several hops.

use std::sync::Arc;

use mitogen_core::call::Context;
use mitogen_core::connect::{ConnectError, ConnectHandle, Outcome};

/// A connected chain, or one that is being connected. Its context can be called at once. Dropping this
/// handle does not close the connection.
#[derive(Clone, Debug)]
pub struct Connection {
    hops: Vec<ConnectHandle>,
    context: Context,
}

impl Connection {
    /// The connection over `hops`, nearest first, to `context`, which is the last.
    #[cfg(feature = "profiles")]
    pub(crate) fn over(hops: Vec<ConnectHandle>, context: Context) -> Self {
        Self { hops, context }
    }

    /// A connection to a context that is connected already.
    pub(crate) fn ready(context: Context) -> Self {
        Self { hops: Vec::new(), context }
    }

    /// A connection that another process is establishing.
    pub(crate) fn pending(connecting: ConnectHandle) -> Self {
        let context = connecting.context().clone();
        Self { hops: vec![connecting], context }
    }

    /// The connection to a child of this context.
    pub(crate) fn then(&self, behind: ConnectHandle) -> Self {
        let context = behind.context().clone();
        Self { hops: self.hops.iter().cloned().chain([behind]).collect(), context }
    }

    /// The outcome of connecting; `None` while it is not known.
    pub fn outcome(&self) -> Option<Outcome> {
        let mut outcomes = self.hops.iter().map(ConnectHandle::outcome);
        outcomes.find(|outcome| !matches!(outcome, Some(Ok(())))).unwrap_or(Some(Ok(())))
    }

    /// The last context, connected or not.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The hops, nearest first.
    pub fn hops(&self) -> &[ConnectHandle] {
        &self.hops
    }

    /// Calls `then` when the last hop is connected, or with the error of the first hop that failed. If the
    /// outcome is known, `then` runs at once, else on the broker's thread, where it must not block.
    pub fn on_done(&self, then: impl FnOnce(&Outcome) + Send + 'static) {
        follow(self.hops.clone().into_iter(), Box::new(then));
    }

    /// Waits until the last hop is connected.
    ///
    /// # Errors
    /// The error of the first hop that failed.
    pub fn wait(&self) -> Result<Context, Arc<ConnectError>> {
        for hop in &self.hops {
            hop.wait()?;
        }
        Ok(self.context.clone())
    }
}

fn follow(mut hops: std::vec::IntoIter<ConnectHandle>, then: Box<dyn FnOnce(&Outcome) + Send>) {
    match hops.next() {
        None => then(&Ok(())),
        Some(hop) => hop.on_done(move |outcome| match outcome {
            Ok(()) => follow(hops, then),
            Err(_) => then(outcome),
        }),
    }
}
