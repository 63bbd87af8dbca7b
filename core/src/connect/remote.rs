//! `via`: the plan is made here and carried out by the context that will be the parent.
//!
//! What that context needs to do so is pushed ahead of the first plan. Calls to the new context may
//! be sent at once: they follow the plan on the same links, and the parent-to-be keeps them until
//! its child is up.

use std::sync::Arc;

use bytes::Bytes;

use super::connecting::Done;
use super::connector::{Prepared, Shared};
use super::error::ConnectError;
use super::run_plan::{Answer, CorePart, Envelope, Request};
use super::start::Start;
use crate::call::{CallError, Context, Reply};
use crate::dialogue::{FailureKind, Stage};
use crate::ids::ContextId;
use crate::importer::{SentCache, push_module};
use crate::pickle::{self, Binary};
use crate::router::{HandlerOptions, Policy};
use crate::wire::{Encoding, Message, WellKnownHandle};

/// What a context needs in order to start others.
const PARENT_MODULE: &str = "mitogen.parent";

/// What it needs in order to copy itself.
const FORK_MODULE: &str = "mitogen.fork";

/// Asks `via` to start context `id` as `prepared` says.
pub(super) fn start(shared: &Arc<Shared>, via: &Context, id: ContextId, prepared: &Prepared, done: &Done) {
    let router = &shared.router;
    let plan = &prepared.plan;
    let hop = plan.name.clone();
    let lost = {
        let hop = hop.clone();
        move |reason: String| ConnectError::new(&hop, Stage::Spawn, FailureKind::ViaLost, reason)
    };
    if let Err(error) = router.links().begin_route(id, via.id(), &hop) {
        done.set(&Err(Arc::new(lost(error.to_string()))));
        return;
    }
    if let Some((package, _)) = &prepared.stock {
        shared.stock.add_below(id, package);
    }
    let argv = plan.printed_argv();
    let answered = {
        let router = router.downgrade();
        let done = done.clone();
        let lost = lost.clone();
        move |reply: Reply| {
            let error = match reply.decode::<Answer>() {
                Ok(Answer { ok: true, .. }) => {
                    done.set(&Ok(()));
                    return;
                }
                Ok(Answer { error: Some(error), .. }) => ConnectError { hop: hop.clone(), ..error },
                Ok(Answer { error: None, .. }) => lost("it failed and gave no reason".to_owned()),
                Err(CallError::Dead { reason, .. }) => lost(reason),
                Err(error) => lost(error.to_string()),
            };
            let error = if error.argv.is_empty() { ConnectError { argv, ..error } } else { error };
            if let Some(router) = router.upgrade() {
                router.links().lose_route(id, &error.to_string());
            }
            done.set(&Err(Arc::new(error)));
        }
    };
    if let Err(error) = send(shared, via, id, prepared, answered) {
        router.links().lose_route(id, &error.to_string());
        done.set(&Err(Arc::new(lost(error.to_string()))));
    }
}

fn send(
    shared: &Shared,
    via: &Context,
    id: ContextId,
    prepared: &Prepared,
    answered: impl FnOnce(Reply) + Send + 'static,
) -> Result<(), CallError> {
    let router = &shared.router;
    let Prepared { plan, config, stock } = prepared;
    let module = if plan.start == Start::Fork { FORK_MODULE } else { PARENT_MODULE };
    push_module(router, via.id(), module)?;
    let expect = encode(Request::Expect { id: id.0, via: via.id().0 })?;
    for between in router.intermediates(via.id()) {
        router.send(Message::new(between, WellKnownHandle::RunPlan, Encoding::Pickle, expect.clone()))?;
    }
    let stock = match stock {
        Some((package, boot)) => {
            let core = shared.stock.number_of(package);
            if SentCache::of(router).first_to_context(via.id(), &format!("stock core {core}")) {
                let head = Binary(boot.head.clone());
                let data = encode(Request::Core { core, head })?;
                router.send(Message::new(via.id(), WellKnownHandle::RunPlan, Encoding::Pickle, data))?;
            }
            let legacy_encoding_only = package.version().legacy_encoding_only();
            Some(CorePart { core, tail: Binary(boot.tail.clone()), legacy_encoding_only })
        }
        None => None,
    };
    let data = encode(Request::Start { id: id.0, name: &plan.name, plan, config, core: stock })?;
    let options = HandlerOptions { policy: Policy::Any, respondent: Some(via.id()) };
    let me = router.identity().id;
    let handle = router.add_once(options, move |delivery| answered(Reply::new(delivery.message, me)));
    let message = Message {
        reply_to: handle,
        ..Message::new(via.id(), WellKnownHandle::RunPlan, Encoding::Pickle, data)
    };
    router.send(message).inspect_err(|_| {
        router.remove_handler(handle);
    })?;
    Ok(())
}

fn encode(request: Request<'_>) -> Result<Bytes, CallError> {
    pickle::to_bytes(&Envelope::from(request)).map_err(CallError::Encode)
}
