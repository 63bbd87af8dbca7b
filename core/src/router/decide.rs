//! The verdict on one message: a pure function of the table and the message's header.
//!
//! The order of the checks is that of upstream Mitogen, because peers can tell the difference: size,
//! source, stamp, delivery, route, mode.

use crate::ids::{ContextId, Identity};
use crate::wire::{Encoding, Header};

use super::error::SendError;
use super::table::{LinkId, Table};

/// The options that verdicts depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// The payload limit in bytes.
    pub max_message_size: usize,
    /// Whether contexts may talk only to their ancestors and descendants.
    pub unidirectional: bool,
}

/// What to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is for this context.
    Deliver {
        /// The authority that it has: its own, or the stamp of the link it came in by.
        auth_id: ContextId,
    },
    /// It is for another context.
    Forward {
        /// The link that it goes out by.
        link: LinkId,
        /// The header that it goes out with: the one it came with, except for the authority of unix
        /// clients, and for the encoding where the other end of `link` may know only one.
        header: Header,
    },
    /// It cannot be forwarded. Its sender gets a dead message, if it waits for a reply.
    Refuse(SendError),
    /// It is a forgery. Its sender is not told.
    Drop(DropReason),
}

/// Why a message was dropped and its sender not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The context whose authority it claims is not reached by the link it came in by.
    BadAuthority,
    /// The context that it claims as its source is not reached by the link it came in by.
    BadSource,
}

/// Decides on the message with `header`, which came in by `ingress` (`None`: it is from this context).
pub fn decide<O>(
    identity: &Identity,
    table: &Table<O>,
    mode: Mode,
    header: &Header,
    ingress: Option<LinkId>,
) -> Verdict {
    if header.length as usize > mode.max_message_size {
        return Verdict::Refuse(SendError::TooLarge { limit: mode.max_message_size });
    }
    let parent = table.parent();
    let source = table.route(header.src_id).or(parent);
    let mut stamp = None;
    if let Some(ingress) = ingress {
        // The authority must be reached by the link that the message came in by, and so must the source
        // unless it is the authority itself.
        if table.route(header.auth_id).or(parent) != Some(ingress) {
            return Verdict::Drop(DropReason::BadAuthority);
        }
        if header.src_id != header.auth_id && source != Some(ingress) {
            return Verdict::Drop(DropReason::BadSource);
        }
        stamp = table.link(ingress).and_then(|link| link.auth_stamp);
    }
    if header.dst_id == identity.id {
        return Verdict::Deliver { auth_id: stamp.unwrap_or(header.auth_id) };
    }
    let mut out = table.route(header.dst_id);
    // What came from the parent is never sent back to it.
    if out.is_none() && (ingress.is_none() || parent != source) {
        out = parent;
    }
    let Some(link) = out else {
        return Verdict::Refuse(SendError::NoRoute { dst: header.dst_id, me: identity.id });
    };
    if mode.unidirectional
        && let Some(ingress) = ingress
        && !privileged(table, ingress)
        && !privileged(table, link)
    {
        return Verdict::Refuse(SendError::Unidirectional {
            src: header.src_id,
            dst: header.dst_id,
            me: identity.id,
        });
    }
    let encoding = if table.legacy_encoding_only(link) { Encoding::Legacy } else { header.encoding };
    let header = Header { auth_id: stamp.unwrap_or(header.auth_id), encoding, ..*header };
    Verdict::Forward { link, header }
}

fn privileged<O>(table: &Table<O>, link: LinkId) -> bool {
    table.link(link).is_some_and(|link| link.privileged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Handle;

    const MODE: Mode = Mode { max_message_size: 100, unidirectional: false };

    /// Context 5, child of 2, child of 0. Its children are 6 and 7; 8 is a child of 6; 20 is a
    /// unix client, whose link has a stamp.
    fn tree() -> (Identity, Table<()>, [LinkId; 4]) {
        let identity = Identity { id: ContextId(5), parents: vec![ContextId(2), ContextId(0)] };
        let mut table = Table::default();
        let up = table.add_link(&identity, ContextId(2), None, ());
        let six = table.add_link(&identity, ContextId(6), None, ());
        let seven = table.add_link(&identity, ContextId(7), None, ());
        let client = table.add_link(&identity, ContextId(20), Some(ContextId(5)), ());
        assert!(table.add_route(ContextId(8), six, Some(ContextId(6))));
        (identity, table, [up, six, seven, client])
    }

    fn header(src: u32, auth: u32, dst: u32) -> Header {
        Header {
            encoding: Encoding::Pickle,
            dst_id: ContextId(dst),
            src_id: ContextId(src),
            auth_id: ContextId(auth),
            handle: Handle(1000),
            reply_to: Handle(1001),
            length: 3,
        }
    }

    #[test]
    fn one_row_per_rule() {
        let (identity, table, [up, six, seven, client]) = tree();
        let deliver = |auth| Verdict::Deliver { auth_id: ContextId(auth) };
        let forward = |link, header| Verdict::Forward { link, header };
        let no_route = |dst| Verdict::Refuse(SendError::NoRoute { dst: ContextId(dst), me: ContextId(5) });
        let rows: &[(&str, Option<LinkId>, Header, Verdict)] = &[
            ("own message down", None, header(5, 5, 6), forward(six, header(5, 5, 6))),
            ("own message to a grandchild", None, header(5, 5, 8), forward(six, header(5, 5, 8))),
            (
                "own message to an unknown context goes up",
                None,
                header(5, 5, 99),
                forward(up, header(5, 5, 99)),
            ),
            ("own message to ourselves", None, header(5, 5, 5), deliver(5)),
            ("parent calls us", Some(up), header(0, 0, 5), deliver(0)),
            ("parent to our grandchild", Some(up), header(0, 0, 8), forward(six, header(0, 0, 8))),
            ("child to sibling", Some(six), header(6, 6, 7), forward(seven, header(6, 6, 7))),
            ("grandchild to the master", Some(six), header(8, 8, 0), forward(up, header(8, 8, 0))),
            (
                "child claims the master's authority",
                Some(six),
                header(6, 0, 7),
                Verdict::Drop(DropReason::BadAuthority),
            ),
            (
                "child claims our authority",
                Some(six),
                header(6, 5, 7),
                Verdict::Drop(DropReason::BadAuthority),
            ),
            (
                "child claims a sibling's authority",
                Some(six),
                header(6, 7, 5),
                Verdict::Drop(DropReason::BadAuthority),
            ),
            (
                "child claims a sibling as source",
                Some(six),
                header(7, 6, 5),
                Verdict::Drop(DropReason::BadSource),
            ),
            (
                "child claims both of a sibling",
                Some(six),
                header(7, 7, 5),
                Verdict::Drop(DropReason::BadAuthority),
            ),
            ("child forwards a message of its own child", Some(six), header(8, 8, 5), deliver(8)),
            ("child forwards its child under its own authority", Some(six), header(8, 6, 5), deliver(6)),
            ("from the parent to nowhere is not bounced", Some(up), header(0, 0, 99), no_route(99)),
            ("from a child to nowhere goes up", Some(six), header(6, 6, 99), forward(up, header(6, 6, 99))),
            ("client is stamped on delivery", Some(client), header(20, 20, 5), deliver(5)),
            ("client is stamped on forward", Some(client), header(20, 20, 6), forward(six, header(20, 5, 6))),
            (
                "client may not claim the stamp itself",
                Some(client),
                header(20, 5, 6),
                Verdict::Drop(DropReason::BadAuthority),
            ),
        ];
        for (what, ingress, header, expected) in rows {
            assert_eq!(&decide(&identity, &table, MODE, header, *ingress), expected, "{what}");
        }
    }

    #[test]
    fn the_forwarded_header_says_what_the_other_end_can_read() {
        let (identity, mut table, [up, six, seven, client]) = tree();
        table.link_mut(seven).expect("it was added").legacy_encoding_only = true;
        let with = |header, encoding| Header { encoding, ..header };
        for encoding in [Encoding::Legacy, Encoding::Pickle, Encoding::Raw] {
            let rows = [
                ("own message", None, header(5, 5, 6), six, header(5, 5, 6), encoding),
                (
                    "own message to an old release",
                    None,
                    header(5, 5, 7),
                    seven,
                    header(5, 5, 7),
                    Encoding::Legacy,
                ),
                ("relayed", Some(up), header(0, 0, 8), six, header(0, 0, 8), encoding),
                (
                    "relayed to an old release",
                    Some(up),
                    header(0, 0, 7),
                    seven,
                    header(0, 0, 7),
                    Encoding::Legacy,
                ),
                ("relayed from an old release", Some(seven), header(7, 7, 6), six, header(7, 7, 6), encoding),
                (
                    "a client's message to an old release",
                    Some(client),
                    header(20, 20, 7),
                    seven,
                    header(20, 5, 7),
                    Encoding::Legacy,
                ),
            ];
            for (what, ingress, came, link, goes, goes_as) in rows {
                let verdict = decide(&identity, &table, MODE, &with(came, encoding), ingress);
                let header = with(goes, goes_as);
                assert_eq!(verdict, Verdict::Forward { link, header }, "{what}, {encoding:?}");
            }
        }
    }

    #[test]
    fn a_master_drops_messages_of_unknown_contexts() {
        let identity = Identity::master();
        let mut table = Table::default();
        let one = table.add_link(&identity, ContextId(1), None, ());
        assert_eq!(
            decide(&identity, &table, MODE, &header(9, 9, 0), Some(one)),
            Verdict::Drop(DropReason::BadAuthority)
        );
    }

    #[test]
    fn unidirectional_keeps_siblings_apart_only() {
        let (identity, table, [up, six, _, client]) = tree();
        let mode = Mode { unidirectional: true, ..MODE };
        let refused = |src, dst| {
            Verdict::Refuse(SendError::Unidirectional {
                src: ContextId(src),
                dst: ContextId(dst),
                me: ContextId(5),
            })
        };
        assert_eq!(decide(&identity, &table, mode, &header(6, 6, 7), Some(six)), refused(6, 7));
        assert!(matches!(
            decide(&identity, &table, mode, &header(6, 6, 0), Some(six)),
            Verdict::Forward { .. }
        ));
        assert!(matches!(
            decide(&identity, &table, mode, &header(0, 0, 8), Some(up)),
            Verdict::Forward { .. }
        ));
        assert!(matches!(
            decide(&identity, &table, mode, &header(20, 20, 6), Some(client)),
            Verdict::Forward { .. }
        ));
        assert!(matches!(decide(&identity, &table, mode, &header(5, 5, 7), None), Verdict::Forward { .. }));
    }

    #[test]
    fn size_comes_first() {
        let (identity, table, [_, six, ..]) = tree();
        let big = Header { length: 101, ..header(7, 0, 5) };
        assert_eq!(
            decide(&identity, &table, MODE, &big, Some(six)),
            Verdict::Refuse(SendError::TooLarge { limit: 100 })
        );
        let equal = Header { length: 100, ..header(6, 6, 5) };
        assert_eq!(
            decide(&identity, &table, MODE, &equal, Some(six)),
            Verdict::Deliver { auth_id: ContextId(6) }
        );
    }

    #[test]
    fn the_path_to_a_context_follows_the_lineage() {
        let (_, mut table, [_, six, ..]) = tree();
        assert!(table.add_route(ContextId(9), six, Some(ContextId(8))));
        for (src, id, expected) in [(9, 9, true), (8, 9, true), (6, 9, true), (7, 9, false), (9, 8, false)] {
            assert_eq!(
                table.is_on_path_to(ContextId(src), ContextId(id)),
                expected,
                "{src} on the path to {id}"
            );
        }
    }
}
