//! Route announcements: `ADD_ROUTE` and `DEL_ROUTE`, up and down the tree.
//!
//! Upstream Mitogen sends one `DEL_ROUTE` to a link for each route that used it; this router sends one
//! for each lost context. Both put the bare id into it, which every release reads.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::handlers::{Delivery, HandlerOptions};
use super::policy::Policy;
use super::router::Router;
use super::table::LinkId;
use crate::ids::{ContextId, Handle};
use crate::wire::{Encoding, Header, Message, WellKnownHandle};

impl Router {
    pub(super) fn listen_for_routes(&self) {
        let options = HandlerOptions { policy: Policy::ImmediatePeer, respondent: None };
        for (handle, take) in [
            (WellKnownHandle::AddRoute, Self::on_add_route as fn(&Self, &Delivery)),
            (WellKnownHandle::DelRoute, Self::on_del_route),
        ] {
            let weak = self.downgrade();
            self.add_handler(Some(handle.handle()), options, move |delivery| {
                if let Some(router) = weak.upgrade() {
                    take(&router, &delivery);
                }
            });
        }
    }

    /// Tells our parent, if we have one, that `id` can be reached through us.
    pub(super) fn announce(&self, id: ContextId) {
        let text = match self.directory().name_of(id) {
            Some(name) => format!("{id}:{name}"),
            None => id.to_string(),
        };
        self.tell_parent(WellKnownHandle::AddRoute.into(), text);
    }

    /// Reports that `id`, which was behind `link`, is gone: to the parent, and to children that have sent
    /// to it. The route is removed already.
    pub(super) fn withdraw(&self, id: ContextId, link: Option<LinkId>, reason: &str) {
        self.fire_disconnect(id, reason);
        let (parent, below) = self.with_table(|table| {
            let parent = table.parent();
            let below: BTreeSet<ContextId> = table
                .links_mut()
                .filter(|(link, _)| Some(*link) != parent)
                .filter_map(|(_, entry)| entry.egress.remove(&id).then_some(entry.remote_id))
                .collect();
            (parent, below)
        });
        if parent.is_some() && link != parent {
            self.tell_parent(WellKnownHandle::DelRoute.into(), id.to_string());
        }
        for child in below {
            let text = Bytes::from(id.to_string());
            let _ = self.send(Message::new(child, WellKnownHandle::DelRoute, Encoding::Legacy, text));
        }
    }

    /// Tells the other end of `link` again that `gone` cannot be reached. It has sent something to a
    /// context that was lost before, and may be working for it; or it has accepted the announcement of
    /// a child that claims an id which has not been given out.
    pub(super) fn resend_del_route(&self, link: LinkId, gone: ContextId) {
        let peer = self.with_table(|table| table.remote_id(link).filter(|_| table.parent() != Some(link)));
        if let Some(peer) = peer {
            let text = Bytes::from(gone.to_string());
            let _ = self.send(Message::new(peer, WellKnownHandle::DelRoute, Encoding::Legacy, text));
        }
    }

    fn tell_parent(&self, handle: Handle, text: String) {
        if let Some(parent) = self.identity().parent() {
            // When the parent is lost, this context ends anyway.
            let _ = self.send(Message::new(parent, handle, Encoding::Legacy, text));
        }
    }

    fn on_add_route(&self, delivery: &Delivery) {
        let Some(link) = delivery.ingress.filter(|_| !delivery.message.is_dead()) else { return };
        let Some((id, name)) = parse_add_route(&delivery.message.data) else {
            tracing::error!(data = ?delivery.message.data, "an ADD_ROUTE that is not id:name");
            return;
        };
        if self.with_table(|table| table.link(link).is_some_and(|entry| entry.auth_stamp.is_some())) {
            // A client has no children: this tree has given it no ids.
            tracing::error!(id = id.0, "a unix client announced a context");
            return;
        }
        if !self.may_be_announced(id) {
            tracing::error!(id = id.0, "a context was announced that cannot be behind that link");
            return self.resend_del_route(link, id);
        }
        if !self.with_table(|table| table.add_route(id, link, None)) {
            tracing::error!(id = id.0, "a context was announced that is reached by another link already");
            return self.resend_del_route(link, id);
        }
        if let Some(name) = name {
            self.directory().set_name(id, name);
        }
        self.announce(id);
    }

    /// Whether `id` can be behind a child. This context and its ancestors cannot: a child with a route to
    /// one of them could send in its name. In a master, which gives out all ids, nor can an id that
    /// has not been given out.
    fn may_be_announced(&self, id: ContextId) -> bool {
        let me = self.identity();
        let is_above = id == me.id || me.parents.contains(&id);
        !is_above && (me.parent().is_some() || self.ids().is_allocated(id))
    }

    /// Whether the message with `header`, which came in by `ingress` and has been delivered, was the
    /// context at the other end withdrawing its own route. That is the last that it sends, and ends
    /// the link: it cannot end it by closing its descriptor where a tool between us holds that too
    /// (see `connect/detach.rs`).
    pub(super) fn has_withdrawn(&self, ingress: LinkId, header: &Header) -> bool {
        header.handle == WellKnownHandle::DelRoute.handle()
            && self.with_table(|table| {
                let route = table.remote_id(ingress).and_then(|remote| table.route(remote));
                table.parent() != Some(ingress) && route != Some(ingress)
            })
    }

    fn on_del_route(&self, delivery: &Delivery) {
        let Some(link) = delivery.ingress.filter(|_| !delivery.message.is_dead()) else { return };
        let Some((id, _)) = parse_add_route(&delivery.message.data) else {
            tracing::error!(data = ?delivery.message.data, "a DEL_ROUTE that is not an id");
            return;
        };
        let known = self.with_table(|table| {
            let above = table.parent_of(id);
            (table.route(id) == Some(link)).then(|| table.remove_route(id)).map(|_| above)
        });
        let Some(above) = known else { return };
        // An intermediate that is lost takes those behind it with it, and is withdrawn before them.
        let reason = above
            .and_then(|above| self.directory().disconnect_reason(above))
            .unwrap_or_else(|| format!("{} has gone", self.directory().describe(id)));
        self.withdraw(id, Some(link), &reason);
    }
}

/// `id` or `id:name`; names may hold colons.
fn parse_add_route(data: &[u8]) -> Option<(ContextId, Option<&str>)> {
    let text = std::str::from_utf8(data).ok()?;
    let (id, name) = match text.split_once(':') {
        Some((id, name)) => (id, Some(name)),
        None => (text, None),
    };
    Some((ContextId(id.parse().ok()?), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_parse() {
        type Row = (&'static [u8], Option<(u32, Option<&'static str>)>);
        let rows: &[Row] = &[
            (b"7", Some((7, None))),
            (b"7:ssh.web1:2222", Some((7, Some("ssh.web1:2222")))),
            (b"4294967295:x", Some((u32::MAX, Some("x")))),
            (b"4294967296:x", None),
            (b"", None),
            (b"-1", None),
            (b"7:\xff", None),
        ];
        for (data, expected) in rows {
            let expected = expected.map(|(id, name)| (ContextId(id), name));
            assert_eq!(parse_add_route(data), expected, "{data:?}");
        }
    }
}
