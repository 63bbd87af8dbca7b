//! The thread that answers `GET_MODULE` and `GET_RESOURCE`.

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

/// A question, and whose.
#[derive(Debug)]
enum Question {
    Module(ContextId, Bytes),
    Resource(ContextId, Bytes),
}

/// The answering thread; it ends when the router has dropped its handlers.
#[derive(Debug)]
pub(crate) struct Responder(Option<JoinHandle<()>>);

impl Responder {
    /// Listens for questions to `router` and answers them from `store`, by `mode`.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn start(router: &Router, store: &Arc<Store>, mode: &DeliveryMode) -> io::Result<Self> {
        let (sender, questions) = channel();
        let weak = router.downgrade();
        let (store, mode) = (Arc::clone(store), mode.clone());
        let thread = std::thread::Builder::new()
            .name("mitogen.responder".to_owned())
            .spawn(move || answer_all(&weak, &store, &mode, &questions))?;
        listen(router, WellKnownHandle::GetModule, Question::Module, sender.clone());
        listen(router, WellKnownHandle::GetResource, Question::Resource, sender);
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
    kind: fn(ContextId, Bytes) -> Question,
    queue: Sender<Question>,
) {
    router.add_handler(
        Some(handle.handle()),
        HandlerOptions::default(),
        move |Delivery { message, .. }| {
            if !message.is_dead() {
                // Without a receiver everything is about to end.
                let _ = queue.send(kind(message.src_id, message.data));
            }
        },
    );
}

fn answer_all(router: &WeakRouter, store: &Store, mode: &DeliveryMode, questions: &Receiver<Question>) {
    while let Ok(question) = questions.recv() {
        let Some(router) = router.upgrade() else { return };
        let (Question::Module(from, _) | Question::Resource(from, _)) = question;
        if !mode.serves(from) {
            tracing::warn!(src = from.0, "asked for a module by a context that is not ours");
            continue;
        }
        match question {
            Question::Module(from, name) => answer_module(&router, store, mode, from, &name),
            Question::Resource(from, data) => answer_resource(&router, store, mode, from, &data),
        }
    }
}

fn answer_module(router: &Router, store: &Store, mode: &DeliveryMode, from: ContextId, name: &[u8]) {
    Counters::add(&store.counters.asked, 1);
    let Ok(name) = std::str::from_utf8(name) else {
        tracing::warn!(src = from.0, "a GET_MODULE for a name that is not text");
        return;
    };
    tracing::debug!(src = from.0, module = name, "asked for a module");
    let program = match mode {
        DeliveryMode::HopByHop => None,
        DeliveryMode::Direct(guests) => guests.take_program(from),
    };
    let sent = send_with_needs(store, router, mode, from, name)
        .and_then(|()| program.map_or(Ok(()), |program| send_imports(store, router, mode, from, &program)));
    if let Err(error) = sent {
        tracing::debug!(%error, module = name, "the asker of a module has gone");
    }
}

fn answer_resource(router: &Router, store: &Store, mode: &DeliveryMode, from: ContextId, data: &Bytes) {
    Counters::add(&store.counters.resources_asked, 1);
    let (package, name) = match pickle::from_bytes::<(String, String)>(data) {
        Ok(question) => question,
        Err(error) => {
            tracing::warn!(src = from.0, %error, "a GET_RESOURCE that is not two texts");
            return;
        }
    };
    let content = store.resource(&package, &name);
    tracing::debug!(src = from.0, package, name, found = content.is_some(), "asked for a resource");
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
        tracing::debug!(%error, package, name, "the asker of a resource has gone");
    }
}
