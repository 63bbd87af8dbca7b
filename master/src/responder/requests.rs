//! The thread that replies to `GET_MODULE` and `GET_RESOURCE`.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use mitogen_core::ids::ContextId;
use mitogen_core::importer::resource_payload;
use mitogen_core::pickle;
use mitogen_core::router::{Delivery, HandlerOptions, Router, WeakRouter};
use mitogen_core::wire::{Encoding, Message, WellKnownHandle};

use super::delivery_mode::DeliveryMode;
use super::preloader::{send_imports, send_with_needs};
use super::stats::Counters;
use super::store::Store;

/// A request and the context that sent it.
#[derive(Debug)]
enum ModuleRequest {
    Module(ContextId, Bytes),
    Resource(ContextId, Bytes),
}

/// The thread that replies; it ends when the router has dropped its handlers.
#[derive(Debug)]
pub(crate) struct Responder(Option<JoinHandle<()>>);

impl Responder {
    /// Receives requests with `router` and replies to them from `store`, as `mode` says.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(router: &Router, store: &Arc<Store>, mode: &DeliveryMode) -> io::Result<Self> {
        let (sender, requests) = channel();
        let weak = router.downgrade();
        let (store, mode) = (Arc::clone(store), mode.clone());
        let thread = std::thread::Builder::new()
            .name("mitogen.responder".to_owned())
            .spawn(move || reply_all(&weak, &store, &mode, &requests))?;
        listen(router, WellKnownHandle::GetModule, ModuleRequest::Module, sender.clone());
        listen(router, WellKnownHandle::GetResource, ModuleRequest::Resource, sender);
        Ok(Self(Some(thread)))
    }

    /// Waits for the thread; the router must have dropped its handlers.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

fn listen(
    router: &Router,
    handle: WellKnownHandle,
    kind: fn(ContextId, Bytes) -> ModuleRequest,
    queue: Sender<ModuleRequest>,
) {
    router.add_handler(
        Some(handle.handle()),
        HandlerOptions::default(),
        move |Delivery { message, .. }| {
            if !message.is_dead() {
                // Without a receiver the responder is shutting down.
                let _ = queue.send(kind(message.src_id, message.data));
            }
        },
    );
}

fn reply_all(router: &WeakRouter, store: &Store, mode: &DeliveryMode, requests: &Receiver<ModuleRequest>) {
    while let Ok(request) = requests.recv() {
        let Some(router) = router.upgrade() else { return };
        let (ModuleRequest::Module(from, _) | ModuleRequest::Resource(from, _)) = request;
        if !mode.serves(from) {
            tracing::warn!(src = from.0, "refused the request of a context that modules are not served to");
            continue;
        }
        match request {
            ModuleRequest::Module(from, name) => reply_module(&router, store, mode, from, &name),
            ModuleRequest::Resource(from, data) => reply_resource(&router, store, mode, from, &data),
        }
    }
}

fn reply_module(router: &Router, store: &Store, mode: &DeliveryMode, from: ContextId, name: &[u8]) {
    Counters::add(&store.counters.asked, 1);
    let Ok(name) = std::str::from_utf8(name) else {
        tracing::warn!(src = from.0, "received a GET_MODULE whose name is not UTF-8");
        return;
    };
    tracing::debug!(src = from.0, module = name, "a module was requested");
    let program = match mode {
        DeliveryMode::HopByHop => None,
        DeliveryMode::Direct(scoped) => scoped.take_program(from),
    };
    let sent = send_with_needs(store, router, mode, from, name)
        .and_then(|()| program.map_or(Ok(()), |program| send_imports(store, router, mode, from, &program)));
    if let Err(error) = sent {
        tracing::debug!(%error, module = name, "the context that requested a module is no longer reachable");
    }
}

fn reply_resource(router: &Router, store: &Store, mode: &DeliveryMode, from: ContextId, data: &Bytes) {
    Counters::add(&store.counters.resources_asked, 1);
    let (package, name) = match pickle::from_bytes::<(String, String)>(data) {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(src = from.0, %error, "received an invalid GET_RESOURCE");
            return;
        }
    };
    let content = store.resource(&package, &name);
    tracing::debug!(src = from.0, package, name, found = content.is_some(), "a resource was requested");
    Counters::add(&store.counters.resource_bytes, content.as_ref().map_or(0, Bytes::len));
    let payload = resource_payload(&package, &name, content);
    let to = match mode {
        // Like a module, it goes to the neighbour on the mode: each hop asks for itself.
        DeliveryMode::HopByHop => router.next_hop(from),
        DeliveryMode::Direct(_) => Some(from),
    };
    let Some(peer) = to else { return };
    if let Err(error) =
        router.send(Message::new(peer, WellKnownHandle::LoadResource, Encoding::Pickle, payload))
    {
        tracing::debug!(%error, package, name, "the context that requested a resource is no longer reachable");
    }
}
