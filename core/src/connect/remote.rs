//! `via`: the plan is made here and carried out by the context that will be the parent.
//!
//! What that context needs to do so is pushed ahead of the first plan. Calls to the new context may
//! be sent at once: they follow the plan on the same links, and the parent-to-be keeps them until
//! its child is up.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::connecting::Done;
use super::connector::{Prepared, Shared};
use super::error::ConnectError;
use super::plan::{Plan, Stdio};
use crate::call::{CallError, Context, Reply};
use crate::child::ChildConfig;
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

/// The payload of `RUN_PLAN`.
#[derive(Serialize)]
struct RunPlan<'a> {
    id: u32,
    name: &'a str,
    plan: &'a Plan,
    config: &'a ChildConfig,
    /// Where the new context is to run stock's core.
    stock: Option<StockPart>,
}

/// What is written to the new program ahead of frames, where it is not our runtime and its
/// configuration: a core that `via` was sent before, and `tail`.
#[derive(Serialize)]
struct StockPart {
    core: usize,
    tail: Binary,
    legacy_encoding_only: bool,
}

/// Another payload of `RUN_PLAN`, ahead of the first plan that names it: a stock core, deflated.
#[derive(Serialize)]
struct StockCore {
    core: usize,
    head: Binary,
}

/// The third payload of `RUN_PLAN`, for those between us and `via`: what comes for `id` goes where
/// `via` is, from now on. They would learn it from the announcement, but calls to the new context
/// follow its plan at once.
#[derive(Serialize)]
struct Expect {
    id: u32,
    via: u32,
}

/// Its answer.
#[derive(Deserialize)]
struct Ran {
    ok: bool,
    #[serde(default)]
    error: Option<ConnectError>,
}

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
            let error = match reply.decode::<Ran>() {
                Ok(Ran { ok: true, .. }) => {
                    done.set(&Ok(()));
                    return;
                }
                Ok(Ran { error: Some(error), .. }) => ConnectError { hop: hop.clone(), ..error },
                Ok(Ran { error: None, .. }) => lost("it failed and gave no reason".to_owned()),
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
    let module = if plan.stdio == Stdio::Fork { FORK_MODULE } else { PARENT_MODULE };
    push_module(router, via.id(), module)?;
    let expect = pickle::to_bytes(&Expect { id: id.0, via: via.id().0 }).map_err(CallError::Encode)?;
    for between in router.intermediates(via.id()) {
        router.send(Message::new(between, WellKnownHandle::RunPlan, Encoding::Pickle, expect.clone()))?;
    }
    let stock = match stock {
        Some((package, boot)) => {
            let core = shared.stock.number_of(package);
            if SentCache::of(router).first_to_context(via.id(), &format!("stock core {core}")) {
                let head = Binary(boot.head.clone());
                let data = pickle::to_bytes(&StockCore { core, head }).map_err(CallError::Encode)?;
                router.send(Message::new(via.id(), WellKnownHandle::RunPlan, Encoding::Pickle, data))?;
            }
            let legacy_encoding_only = package.version().legacy_encoding_only();
            Some(StockPart { core, tail: Binary(boot.tail.clone()), legacy_encoding_only })
        }
        None => None,
    };
    let request = RunPlan { id: id.0, name: &plan.name, plan, config, stock };
    let data = pickle::to_bytes(&request).map_err(CallError::Encode)?;
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
