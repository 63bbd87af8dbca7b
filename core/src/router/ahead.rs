//! What goes ahead of messages: who sees to it, and what has been sent already.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::ledger::Ledger;
use super::route::Router;
use super::table::LinkId;
use crate::ids::ContextId;

/// What goes ahead of calls, and behind them: their modules. Runs on the calling thread.
pub trait CallHook: Send + Sync {
    /// A call of a function of `module` in `context` is about to be sent. Gives whether
    /// [`CallHook::after`] has something to do.
    fn before(&self, context: ContextId, module: &str) -> bool;

    /// A program with this Python source is about to be sent to `context`, to be run there in a copy
    /// that will be the context `copy`.
    fn before_program(&self, context: ContextId, copy: ContextId, source: &Bytes);

    /// The call was sent.
    fn after(&self, context: ContextId, module: &str);
}

/// One router's part of it.
#[derive(Default)]
pub(super) struct Ahead {
    ledger: Mutex<Ledger>,
    call_hook: OnceLock<Arc<dyn CallHook>>,
}

impl Ahead {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Router {
    /// Whether `what` has not been sent to `id` yet, as far as this method was asked: true once.
    pub fn first_time(&self, id: ContextId, what: &str) -> bool {
        self.ahead().ledger().for_context(id, what)
    }

    /// Whether `what` has not been sent over `link` yet, as far as this method was asked: true once.
    pub fn first_on_link(&self, link: LinkId, what: &str) -> bool {
        self.ahead().ledger().on_link(link, what)
    }

    /// Whether no call of `module` in `id` has been seen to yet, as far as this method was asked:
    /// true once.
    pub fn first_call(&self, id: ContextId, module: &str) -> bool {
        self.ahead().ledger().for_calls(id, module)
    }

    /// Sets, once for all, who sees to it that calls find what they need; gives whether it was the
    /// first.
    pub fn set_call_hook(&self, hook: Arc<dyn CallHook>) -> bool {
        self.ahead().call_hook.set(hook).is_ok()
    }

    /// Who sees to it that calls find what they need.
    pub fn call_hook(&self) -> Option<&Arc<dyn CallHook>> {
        self.ahead().call_hook.get()
    }

    /// The link that leads to `id`, and the context at its other end.
    pub fn next_hop(&self, id: ContextId) -> Option<(LinkId, ContextId)> {
        self.with_table(|table| {
            let link = table.route(id).or_else(|| table.parent())?;
            Some((link, table.remote_id(link)?))
        })
    }
}
