//! Detaching: contexts that continue to run after the end of their links.
//!
//! The child becomes independent of its parent, and sends `DETACHING`, so that the parent does not end its
//! process; then it withdraws its own route and closes its link. The parent acts on the withdrawal, because
//! a program in between (ssh, sudo, su) holds the link open for as long as the context runs. All other
//! contexts see a context that has disconnected. A program that waits for the context's end (sudo) is left
//! running; one that leads to another machine (ssh) is ended. The child's part is
//! `core/runtimes/python/python/detach.py`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::driver::Launcher;
use super::peers::Peers;
use crate::call::{CallError, Context};
use crate::ids::Handle;
use crate::pickle;
use crate::router::{Delivery, HandlerOptions, Policy};
use crate::runtime::Feature;
use crate::sync::Latch;
use crate::wire::{Encoding, Message, WellKnownHandle};

/// The time that the child has to close its link after the request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Handles `DETACHING` messages of children.
pub(super) fn listen(launcher: &Arc<Launcher>) {
    let weak = Arc::downgrade(launcher);
    let options = HandlerOptions { policy: Policy::ImmediatePeer, respondent: None };
    launcher.router().add_handler(Some(WellKnownHandle::Detaching.handle()), options, move |delivery| {
        if let Some(launcher) = weak.upgrade() {
            let_go(&launcher, &delivery);
        }
    });
}

fn let_go(launcher: &Launcher, Delivery { message, .. }: &Delivery) {
    if !message.wants_reply() || !launcher.detached().insert(message.src_id) {
        return;
    }
    match pickle::to_bytes(&()) {
        Ok(none) => {
            let reply = Message::new(message.src_id, message.reply_to, Encoding::Pickle, none);
            // A child that has disconnected needs no answer.
            let _ = launcher.router().send(reply);
        }
        Err(error) => tracing::error!(%error, "None could not be encoded"),
    }
}

impl Context {
    /// Lets the context continue without this process, and returns when its link is closed.
    ///
    /// The context completes the calls that it has received, whose results are dropped; then its process
    /// waits for its threads and exits. Contexts below it end with it. As long as the master runs, it waits
    /// for a child of this process; afterwards the program itself must wait for it (`waitpid`).
    ///
    /// # Errors
    /// The context has disconnected, or its parent does not confirm.
    pub fn detach(&self) -> Result<(), CallError> {
        self.detach_after(|| Ok(()))
    }

    /// Like [`Context::detach`]; the last call that the context runs is `function`.
    ///
    /// # Errors
    /// As [`Context::detach`]; the name or the arguments cannot be sent.
    pub fn detach_running(&self, function: &str, args: impl Serialize) -> Result<(), CallError> {
        self.detach_after(|| self.call_no_reply(function, args))
    }

    fn detach_after(&self, last: impl FnOnce() -> Result<(), CallError>) -> Result<(), CallError> {
        let router = self.router();
        Peers::of(router).provide(self.id(), Feature::Detach)?;
        let cut: u32 = self.call("mitogen.detach.prepare", ())?;
        last()?;
        let gone = Latch::new();
        let told = gone.clone();
        self.on_disconnect(move |_| {
            // An error means that the wait has ended.
            let _ = told.put(());
        });
        router.send(Message::new(self.id(), Handle(cut), Encoding::Legacy, Bytes::new()))?;
        gone.get_timeout(PATIENCE).map_err(|_| CallError::TimedOut)
    }
}
