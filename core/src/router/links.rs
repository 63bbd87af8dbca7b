//! The life of links and routes.
//!
//! For those who make connections: `connect`, `unix`, and a child's runtime. Others send.

use bytes::Bytes;

use super::error::SendError;
use super::outlet::Outlet;
use super::router::Router;
use super::table::LinkId;
use crate::ids::ContextId;
use crate::io::Writer;

/// Opens and ends the links of a router: [`Router::links`].
#[derive(Clone, Copy, Debug)]
pub struct Links<'a>(&'a Router);

impl Router {
    /// Opens and ends links, for those who make connections.
    pub fn links(&self) -> Links<'_> {
        Links(self)
    }
}

impl Links<'_> {
    /// Opens a link to a context that is about to be started. Messages can be sent to it at once, and
    /// are kept until it is up.
    pub fn begin(self, remote_id: ContextId, name: &str) -> LinkId {
        self.0.directory().set_name(remote_id, name);
        let identity = self.0.identity();
        self.0.with_table(|table| table.add_link(identity, remote_id, None, Outlet::connecting()))
    }

    /// Opens a link that is up, to a context that this one has not started: a unix client, whose
    /// authority becomes `stamp`, or, for a client, its listener. It is not announced. The release that
    /// the other end runs is unknown, so the link is set to the legacy encoding until that end shows
    /// that it reads others.
    pub fn adopt(self, remote_id: ContextId, name: &str, stamp: Option<ContextId>, writer: Writer) -> LinkId {
        self.0.directory().set_name(remote_id, name);
        let identity = self.0.identity();
        self.0.with_table(|table| {
            let link = table.add_link(identity, remote_id, stamp, Outlet::Live(writer));
            table.set_legacy_encoding_only(link, true);
            link
        })
    }

    /// Whether messages that go out by `link` carry the legacy encoding only. Releases of Mitogen before
    /// 0.3.39 take any other for a corrupt stream. Ends by itself when a message with another
    /// encoding comes in by the link.
    pub fn set_legacy_encoding_only(self, link: LinkId, legacy_encoding_only: bool) {
        self.0.with_table(|table| table.set_legacy_encoding_only(link, legacy_encoding_only));
    }

    /// The process behind `link` can be written to: it gets `preamble`, then what was sent so far.
    pub fn attach(self, link: LinkId, preamble: Bytes, writer: Writer) {
        let batch = self
            .0
            .with_table(|table| table.link_mut(link).and_then(|entry| entry.outlet.attach(preamble, writer)));
        self.0.write_batches(link, batch);
    }

    /// The attempt behind `link` has failed; what was sent is kept for the next one.
    pub fn detach(self, link: LinkId) {
        let writer = self.0.with_table(|table| table.link_mut(link).and_then(|entry| entry.outlet.detach()));
        // Not under the lock: it may be the last reference to a descriptor.
        drop(writer);
    }

    /// `link` is up: it carries frames both ways from now on, and the parent learns of the context.
    pub fn up(self, link: LinkId) {
        let remote = self.0.with_table(|table| {
            let entry = table.link_mut(link)?;
            entry.outlet.up();
            Some(entry.remote_id)
        });
        if let Some(remote) = remote {
            self.0.announce(remote);
        }
    }

    /// `link` is gone: every context behind it is lost, and every wait for one ends with `reason`.
    pub fn lost(self, link: LinkId, reason: &str) {
        let Some((outlet, lost)) = self.0.with_table(|table| table.remove_link(link)) else { return };
        if let Some(writer) = outlet.writer() {
            writer.close();
        }
        for id in lost {
            self.0.withdraw(id, Some(link), reason);
        }
    }

    /// Notes that `id`, a child of `via`, is reached, or about to be reached, through `via`.
    ///
    /// # Errors
    /// There is no route to `via`.
    pub fn begin_route(self, id: ContextId, via: ContextId, name: &str) -> Result<LinkId, SendError> {
        let me = self.0.identity().id;
        let link = self.0.with_table(|table| {
            let link = table.route(via).ok_or(SendError::NoRoute { dst: via, me })?;
            table.add_route(id, link, Some(via));
            Ok(link)
        })?;
        self.0.directory().set_name(id, name);
        Ok(link)
    }

    /// Forgets `id`, which did not come up or has gone; every wait for it ends with `reason`.
    pub fn lose_route(self, id: ContextId, reason: &str) {
        let link = self.0.with_table(|table| table.remove_route(id));
        if link.is_some() {
            self.0.withdraw(id, link, reason);
        }
    }
}
