//! The router: carries verdicts out.
//!
//! Shared by all threads. A message from a user thread is written to the descriptor by that thread; the
//! broker's thread is needed only to read. Handlers run on the thread that delivers, which is the
//! broker's for every message that comes in by a link: they must not block.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;

use super::decide::{Mode, Verdict, decide};
use super::directory::Directory;
use super::error::SendError;
use super::extensions::Extensions;
use super::handlers::{Delivery, HandlerOptions, Handlers, Many, Sink};
use super::id_allocator::IdAllocator;
use super::outlet::{Batch, Outlet};
use super::table::{LinkId, Table};
use crate::broker::BrokerHandle;
use crate::ids::{ContextId, Handle, Identity};
use crate::io::{self, Writer};
use crate::wire::{DEFAULT_MAX_MESSAGE_SIZE, Encoding, Frame, HEADER_LEN, Message, WellKnownHandle};

/// Payloads up to this many bytes are joined with their header: one short copy costs less than a
/// second entry in a vectored write.
const JOIN_LIMIT: usize = 4096;

/// Limits that a router enforces.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RouterOptions {
    /// The largest payload in bytes, of messages that are sent, forwarded or received. 128 MiB by default.
    pub max_message_size: usize,
    /// Whether contexts may talk only to their ancestors and descendants. Off by default.
    pub unidirectional: bool,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self { max_message_size: DEFAULT_MAX_MESSAGE_SIZE, unidirectional: false }
    }
}

impl RouterOptions {
    /// Sets the largest payload in bytes.
    #[must_use]
    pub fn max_message_size(self, max_message_size: usize) -> Self {
        Self { max_message_size, ..self }
    }

    /// Sets whether contexts may talk only to their ancestors and descendants.
    #[must_use]
    pub fn unidirectional(self, unidirectional: bool) -> Self {
        Self { unidirectional, ..self }
    }
}

type Watcher = Box<dyn FnOnce(&str) + Send>;

struct Shared {
    identity: Identity,
    mode: Mode,
    broker: BrokerHandle,
    table: Mutex<Table<Outlet>>,
    handlers: Mutex<Handlers>,
    watchers: Mutex<HashMap<ContextId, Vec<Watcher>>>,
    directory: Directory,
    ids: IdAllocator,
    extensions: Extensions,
}

/// Routes messages between links and handlers. Cloning it is cheap and gives the same router.
#[derive(Clone)]
pub struct Router(Arc<Shared>);

/// A reference that does not keep the router alive. Handlers hold one, because a router holds its
/// handlers.
#[derive(Clone)]
pub struct WeakRouter(Weak<Shared>);

impl WeakRouter {
    /// The router, if it still exists.
    pub fn upgrade(&self) -> Option<Router> {
        self.0.upgrade().map(Router)
    }
}

impl std::fmt::Debug for WeakRouter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WeakRouter")
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("identity", &self.0.identity).finish_non_exhaustive()
    }
}

/// Locks. No handler runs under these locks, so a panic cannot leave a table half-changed, and poison is
/// ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Router {
    /// A router for the context that `identity` names, on `broker`'s loop.
    pub fn new(identity: Identity, broker: BrokerHandle, options: RouterOptions) -> Self {
        let ids = IdAllocator::new(&identity);
        let router = Self(Arc::new(Shared {
            identity,
            mode: Mode {
                max_message_size: options.max_message_size.min(u32::MAX as usize),
                unidirectional: options.unidirectional,
            },
            broker,
            table: Mutex::default(),
            handlers: Mutex::default(),
            watchers: Mutex::default(),
            directory: Directory::default(),
            ids,
            extensions: Extensions::default(),
        }));
        router.listen_for_routes();
        router
    }

    /// A reference that does not keep the router alive.
    pub fn downgrade(&self) -> WeakRouter {
        WeakRouter(Arc::downgrade(&self.0))
    }

    /// The id of this context and of its ancestors.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The loop this router's links are on.
    pub fn broker(&self) -> &BrokerHandle {
        &self.0.broker
    }

    /// The payload limit in bytes.
    pub fn max_message_size(&self) -> usize {
        self.0.mode.max_message_size
    }

    /// Whether contexts may talk only to their ancestors and descendants.
    pub fn unidirectional(&self) -> bool {
        self.0.mode.unidirectional
    }

    /// Values of higher levels that live as long as this router.
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// What gives new contexts their ids.
    pub fn ids(&self) -> &IdAllocator {
        &self.0.ids
    }

    /// The names of contexts, and why contexts were lost.
    pub fn directory(&self) -> &Directory {
        &self.0.directory
    }

    // --- handlers ---

    /// Registers `sink` for every message to `handle` until it is removed; without a handle, at a
    /// fresh one.
    pub fn add_handler(
        &self,
        handle: Option<Handle>,
        options: HandlerOptions,
        sink: impl Fn(Delivery) + Send + Sync + 'static,
    ) -> Handle {
        let sink: Many = Arc::new(sink);
        // A replaced sink is dropped behind the lock.
        let (handle, _replaced) = lock(&self.0.handlers).add(handle, options, Sink::Many(sink));
        handle
    }

    /// Registers `sink` for the next message to a fresh handle.
    pub fn add_once(&self, options: HandlerOptions, sink: impl FnOnce(Delivery) + Send + 'static) -> Handle {
        lock(&self.0.handlers).add(None, options, Sink::Once(Box::new(sink))).0
    }

    /// Removes the handler at `handle`. Gives whether there was one.
    pub fn remove_handler(&self, handle: Handle) -> bool {
        // Dropped behind the lock.
        let removed = lock(&self.0.handlers).remove(handle);
        removed.is_some()
    }

    /// Calls `watcher`, once, with the reason when `id` is lost; at once if it has been lost already.
    pub fn on_disconnect(&self, id: ContextId, watcher: impl FnOnce(&str) + Send + 'static) {
        lock(&self.0.watchers).entry(id).or_default().push(Box::new(watcher));
        // Looked up after the watcher has been added: the loss may come in between, and then finds it.
        if let Some(reason) = self.0.directory.disconnect_reason(id)
            && self.with_table(|table| table.route(id)).is_none()
        {
            self.run_watchers(id, &reason);
        }
    }

    fn run_watchers(&self, id: ContextId, reason: &str) {
        let watchers = lock(&self.0.watchers).remove(&id).unwrap_or_default();
        for watcher in watchers {
            watcher(reason);
        }
    }

    // --- sending ---

    /// Sends a message from this context. Never blocks: what the kernel does not take is queued.
    ///
    /// # Errors
    /// It cannot be sent; nothing was.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        self.send_with(message, |writer, parts| writer.send(parts).is_ok())
    }

    /// Like [`Router::send`], but waits while the queue is over its high-water mark: for user
    /// threads, which may produce faster than the link takes.
    ///
    /// # Errors
    /// As [`Router::send`], and when the queue stayed full until `deadline`.
    pub fn send_blocking(&self, message: Message, deadline: Option<Instant>) -> Result<(), SendError> {
        if self.0.broker.is_broker_thread() {
            return self.send(message);
        }
        let dst = message.dst_id;
        let mut congested = false;
        let sent = self.send_with(message, |writer, parts| match writer.send_blocking(parts, deadline) {
            Ok(()) => true,
            Err(error) => {
                congested = error == io::WriteError::TimedOut;
                false
            }
        });
        if congested { Err(SendError::Congested { dst }) } else { sent }
    }

    fn send_with(
        &self,
        mut message: Message,
        write: impl FnOnce(&Writer, &[Bytes]) -> bool,
    ) -> Result<(), SendError> {
        let me = self.0.identity.id;
        message.src_id = me;
        message.auth_id = me;
        if message.data.len() > self.0.mode.max_message_size {
            return Err(SendError::TooLarge { limit: self.0.mode.max_message_size });
        }
        let header = message.header();
        let table = lock(&self.0.table);
        match decide(&self.0.identity, &table, self.0.mode, &header, None) {
            Verdict::Deliver { .. } => {
                drop(table);
                self.deliver(message, None, None);
                Ok(())
            }
            Verdict::Forward { link, header } => {
                let data = message.data;
                match self.forward(table, link, || parts(header.encode(), data), write) {
                    Some(false) => {
                        let lost = self.0.directory.describe(header.dst_id);
                        Err(SendError::LinkLost(format!("the link to {lost} was lost")))
                    }
                    _ => Ok(()),
                }
            }
            Verdict::Refuse(error) => {
                drop(table);
                // The reason of the loss says more than that there is no route.
                match self.0.directory.disconnect_reason(message.dst_id) {
                    Some(reason) => Err(SendError::LinkLost(reason)),
                    None => Err(error),
                }
            }
            // Only messages with an ingress can be forgeries.
            Verdict::Drop(_) => Ok(()),
        }
    }

    /// Sends `parts` by `link` and releases the table first. A link that is up is written to with
    /// `write`, whose result is given; what is sent to others is kept for them, and `None` given.
    fn forward<R>(
        &self,
        mut table: MutexGuard<'_, Table<Outlet>>,
        link: LinkId,
        parts: impl FnOnce() -> Parts,
        write: impl FnOnce(&Writer, &[Bytes]) -> R,
    ) -> Option<R> {
        let outlet = &mut table.link_mut(link)?.outlet;
        if let Some(writer) = outlet.live().cloned() {
            drop(table);
            #[cfg(test)]
            tests::pause();
            return Some(write(&writer, parts().as_slice()));
        }
        let batch = outlet.queue(parts().as_slice());
        drop(table);
        self.write_batches(link, batch);
        None
    }

    /// Writes `batch`, and all that is sent by `link` in the meantime.
    pub(super) fn write_batches(&self, link: LinkId, mut batch: Option<Batch>) {
        while let Some(Batch { writer, parts, attempt }) = batch {
            #[cfg(test)]
            tests::pause();
            // A failed attempt shows at the driver; the next one gets the same frames.
            let _ = writer.send(&parts);
            let mut table = lock(&self.0.table);
            batch = table.link_mut(link).and_then(|entry| entry.outlet.next_batch(attempt));
        }
    }

    // --- receiving ---

    /// Routes one frame that came in by `ingress`, and tells the stream that has read it what to do.
    pub(crate) fn route_frame(&self, frame: Frame, ingress: LinkId) -> Routed {
        let header = frame.header;
        let mut table = lock(&self.0.table);
        let verdict = decide(&self.0.identity, &table, self.0.mode, &header, Some(ingress));
        if !matches!(verdict, Verdict::Drop(_)) {
            table.note_encoding(ingress, header.encoding);
            // Only destinations that have a route are noted: a context that sends to ids that do not exist
            // must not fill the memory.
            if matches!(verdict, Verdict::Forward { .. })
                && let Some(entry) = table.link_mut(ingress)
            {
                entry.egress.insert(header.dst_id);
            }
        }
        match verdict {
            Verdict::Deliver { auth_id } => {
                let peer = table.remote_id(ingress);
                drop(table);
                let message = Message { auth_id, ..frame.into_message() };
                self.deliver(message, Some(ingress), peer);
                match self.has_withdrawn(ingress, &header) {
                    true => Routed::LinkEnded,
                    false => Routed::Done,
                }
            }
            Verdict::Forward { link, header: out } => {
                let parts = || match out == header {
                    true => Parts::One([frame.bytes]),
                    false => parts(out.encode(), frame.into_message().data),
                };
                let sent = self.forward(table, link, parts, |writer, parts| {
                    writer.send(parts).map(|()| writer.over_high_water().then(|| writer.clone()))
                });
                match sent {
                    Some(Ok(slow)) => slow.map_or(Routed::Done, Routed::Congested),
                    Some(Err(_)) => {
                        tracing::debug!(dst = header.dst_id.0, "forwarded into a link that is being lost");
                        Routed::Done
                    }
                    None => Routed::Done,
                }
            }
            Verdict::Refuse(error) => {
                drop(table);
                if matches!(error, SendError::NoRoute { .. })
                    && self.0.directory.disconnect_reason(header.dst_id).is_some()
                {
                    self.resend_del_route(ingress, header.dst_id);
                }
                self.refuse(&frame.into_message(), &error);
                Routed::Done
            }
            Verdict::Drop(reason) => {
                tracing::error!(?reason, ?header, link = ingress.0, "dropped a message with a forged source");
                Routed::Done
            }
        }
    }

    /// Gives a message to its handler, or tells its sender why that is not possible.
    fn deliver(&self, message: Message, ingress: Option<LinkId>, peer: Option<ContextId>) {
        let sink = lock(&self.0.handlers).sink_for(&self.0.identity, &message, peer, |respondent| {
            // Lock order: handlers, then table; nothing takes them the other way round.
            lock(&self.0.table).is_on_path_to(message.src_id, respondent)
        });
        match sink {
            Ok(sink) => sink.run(Delivery { message, ingress }),
            Err(reason) => self.send_dead(&message, reason),
        }
    }

    fn refuse(&self, message: &Message, error: &SendError) {
        if let SendError::TooLarge { .. } = error
            && !message.wants_reply()
            && !message.is_dead()
        {
            // An oversized reply must surface at the caller that waits for it.
            let _ = self.send(Message::dead(message.dst_id, message.handle, &error.to_string()));
            return;
        }
        self.send_dead(message, &error.to_string());
    }

    fn send_dead(&self, message: &Message, reason: &str) {
        if message.wants_reply() {
            let _ = self.send(Message::dead(message.src_id, message.reply_to, reason));
        }
    }

    // --- routes ---

    /// The neighbor that what is sent to `id` goes to first.
    pub fn next_hop(&self, id: ContextId) -> Option<ContextId> {
        self.with_table(|table| table.remote_id(table.route(id).or_else(|| table.parent())?))
    }

    /// The identity of `id` as far as it is known here: its ancestors up to this context, then this
    /// context's own.
    pub fn lineage_of(&self, id: ContextId) -> Identity {
        let mut parents = self.intermediates(id);
        parents.push(self.0.identity.id);
        parents.extend_from_slice(&self.0.identity.parents);
        Identity { id, parents }
    }

    /// The contexts between this one and `id`, nearest to `id` first; both ends are left out.
    pub fn intermediates(&self, id: ContextId) -> Vec<ContextId> {
        lock(&self.0.table).ancestors(id, self.0.identity.id)
    }

    /// Every context that has a route, with the link that leads there.
    pub fn contexts(&self) -> Vec<(ContextId, LinkId)> {
        let mut all: Vec<_> = lock(&self.0.table).contexts().collect();
        all.sort_unstable();
        all
    }

    /// Bytes queued towards `id` and not yet taken by the kernel.
    pub fn pending_bytes(&self, id: ContextId) -> usize {
        let writer = self.with_table(|table| {
            let entry = table.route(id).and_then(|link| table.link(link))?;
            entry.outlet.writer().cloned()
        });
        writer.map_or(0, |writer| writer.pending_bytes())
    }

    pub(super) fn with_table<R>(&self, work: impl FnOnce(&mut Table<Outlet>) -> R) -> R {
        work(&mut lock(&self.0.table))
    }

    /// `id` has been lost: ends every wait for it.
    pub(super) fn fire_disconnect(&self, id: ContextId, reason: &str) {
        let waiting = lock(&self.0.handlers).take_waiting_for(id);
        self.0.directory.note_lost(id, reason);
        for (handle, sink) in waiting {
            let message = self.own_dead(handle, reason);
            sink.run(Delivery { message, ingress: None });
        }
        self.run_watchers(id, reason);
    }

    /// The broker has ended: every handler left gets a dead message and is removed.
    pub fn finish(&self) {
        let handlers = lock(&self.0.handlers).take_all();
        for (handle, sink) in handlers {
            let message = self.own_dead(handle, "Broker has exitted");
            sink.run(Delivery { message, ingress: None });
        }
        lock(&self.0.watchers).clear();
    }

    fn own_dead(&self, handle: Handle, reason: &str) -> Message {
        let me = self.0.identity.id;
        Message { src_id: me, auth_id: me, ..Message::dead(me, handle, reason) }
    }

    /// Asks the direct child `id` to end.
    ///
    /// # Errors
    /// There is no route to it.
    pub fn request_shutdown(&self, id: ContextId) -> Result<(), SendError> {
        self.send(Message::new(id, WellKnownHandle::Shutdown, Encoding::Legacy, Bytes::new()))
    }
}

/// What the stream that has read a frame does next.
#[derive(Debug)]
pub(crate) enum Routed {
    /// It goes on.
    Done,
    /// The frame went to a link whose queue is over its high-water mark: it reads no more until that
    /// writer has room.
    Congested(Writer),
    /// The frame was the last one of the link.
    LinkEnded,
}

/// A frame's bytes: joined when short.
enum Parts {
    One([Bytes; 1]),
    Two([Bytes; 2]),
}

impl Parts {
    fn as_slice(&self) -> &[Bytes] {
        match self {
            Self::One(parts) => parts,
            Self::Two(parts) => parts,
        }
    }
}

fn parts(head: [u8; HEADER_LEN], data: Bytes) -> Parts {
    if data.len() <= JOIN_LIMIT {
        let mut joined = Vec::with_capacity(HEADER_LEN + data.len());
        joined.extend_from_slice(&head);
        joined.extend_from_slice(&data);
        Parts::One([Bytes::from(joined)])
    } else {
        Parts::Two([Bytes::copy_from_slice(&head), data])
    }
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
