//! `via`: this process makes the plan, and another context, the intermediate, carries it out.
//!
//! The modules that the intermediate needs are sent before its first plan. Calls to the new context can be
//! sent at once: they follow the plan on the same links, and the intermediate keeps them until the new
//! context is up.

use std::sync::Arc;

use bytes::Bytes;

use super::connect_handle::Completion;
use super::error::ConnectError;
use super::peers::Peers;
use super::prepare::Prepared;
use super::run_plan::{Answer, BlobName, Envelope, Request};
use super::start::Start;
use crate::call::{CallError, Context, Reply};
use crate::dialogue::{FailureKind, Stage};
use crate::ids::ContextId;
use crate::importer::SentCache;
use crate::pickle::{self, Binary};
use crate::router::{HandlerOptions, Policy, Router};
use crate::runtime::{Blob, Feature};
use crate::wire::{Encoding, Message, WellKnownHandle};

/// Asks `via` to start context `id` as `prepared` says.
pub(super) fn start(router: &Router, via: &Context, id: ContextId, prepared: &Prepared, done: &Completion) {
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
    Peers::of(router).add(id, Arc::clone(&prepared.runtime), &prepared.boot);
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
    if let Err(error) = send(router, via, id, prepared, answered) {
        router.links().lose_route(id, &error.to_string());
        done.set(&Err(Arc::new(lost(error.to_string()))));
    }
}

fn send(
    router: &Router,
    via: &Context,
    id: ContextId,
    prepared: &Prepared,
    answered: impl FnOnce(Reply) + Send + 'static,
) -> Result<(), CallError> {
    let Prepared { plan, config, boot, runtime } = prepared;
    let copy = plan.start == Start::Fork;
    let feature = match &plan.start {
        Start::Fork => Feature::Copies,
        Start::Dial(_) => Feature::Sockets,
        Start::Spawn(_) | Start::Opened => Feature::Children,
    };
    Peers::of(router).provide(via.id(), feature)?;
    let expect = encode(Request::Expect { id: id.0, via: via.id().0 })?;
    for intermediate in router.intermediates(via.id()) {
        router.send(Message::new(
            intermediate,
            WellKnownHandle::RunPlan,
            Encoding::Pickle,
            expect.clone(),
        ))?;
    }
    let (mut blobs, mut tail) = (Vec::new(), Binary::default());
    if !copy {
        for blob in &boot.blobs {
            blobs.push(match Peers::of(router).boot_blob(via.id(), blob.id()) {
                Some(position) => BlobName::Own(position),
                None => {
                    send_blob(router, via.id(), blob)?;
                    BlobName::Sent(blob.id().to_string())
                }
            });
        }
        tail = Binary(boot.tail.clone());
    }
    let data = encode(Request::Start {
        id: id.0,
        name: &plan.name,
        plan,
        runtime: runtime.name(),
        config: copy.then_some(config),
        blobs,
        tail,
        legacy_encoding_only: runtime.legacy_encoding_only(),
    })?;
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

/// Makes sure that `to` has been sent the blob: sends it over each link of the route that has not carried
/// it.
fn send_blob(router: &Router, to: ContextId, blob: &Blob) -> Result<(), CallError> {
    if !Peers::of(router).first_blob(to, blob.id()) {
        return Ok(());
    }
    let sha256 = blob.id().to_string();
    let send = |dst: ContextId, data: Bytes| {
        router.send(Message::new(dst, WellKnownHandle::RunPlan, Encoding::Pickle, data))
    };
    let part = || encode(Request::Blob { sha256: &sha256, data: Binary(blob.data().clone()) });
    let neighbor = router.next_hop(to).filter(|neighbor| router.identity().parent() != Some(*neighbor));
    let Some(neighbor) = neighbor else {
        // The route leads through our parent, which has no reason to keep it.
        return Ok(send(to, part()?)?);
    };
    if SentCache::of(router).first_over_link(neighbor, &sha256) {
        send(neighbor, part()?)?;
    }
    if neighbor != to {
        send(neighbor, encode(Request::ForwardBlob { sha256: &sha256, to: to.0 })?)?;
    }
    Ok(())
}
