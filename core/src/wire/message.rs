//! [`Message`]: a message as plain data. It has no router; a reply is sent through one that the caller has.

use bytes::{BufMut, Bytes, BytesMut};

use super::header::{Encoding, HEADER_LEN, Header};
use crate::ids::{ContextId, Handle};

/// The `reply_to` value that marks a dead message.
pub const IS_DEAD: Handle = Handle(999);

/// A message: header fields and a reference-counted payload.
///
/// ```
/// use mitogen_core::ids::{ContextId, Handle};
/// use mitogen_core::wire::{Encoding, Message};
///
/// let call = Message { reply_to: Handle(1005), ..Message::new(ContextId(2), Handle(1000), Encoding::Raw, &b"x"[..]) };
/// assert!(call.wants_reply());
/// let dead = Message::dead(ContextId(0), call.reply_to, "the context has disconnected");
/// assert!(dead.is_dead() && !dead.wants_reply());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The encoding of the payload.
    pub encoding: Encoding,
    /// The destination context.
    pub dst_id: ContextId,
    /// The source context; the router sets it when sending.
    pub src_id: ContextId,
    /// The context whose authority the message carries.
    pub auth_id: ContextId,
    /// The handle in the destination context.
    pub handle: Handle,
    /// The handle in the source context for the reply; 0 for none, [`IS_DEAD`] for a dead message.
    pub reply_to: Handle,
    /// The payload.
    pub data: Bytes,
}

impl Message {
    /// Creates a message to `handle` of `dst_id`, without a reply handle. The router sets the source.
    pub fn new(
        dst_id: ContextId,
        handle: impl Into<Handle>,
        encoding: Encoding,
        data: impl Into<Bytes>,
    ) -> Self {
        Self { encoding, dst_id, handle: handle.into(), data: data.into(), ..Self::default() }
    }

    /// Creates a dead message, which tells `handle` of `dst_id` that it will receive nothing more, and why.
    pub fn dead(dst_id: ContextId, handle: Handle, reason: &str) -> Self {
        Self {
            encoding: Encoding::Legacy,
            dst_id,
            handle,
            reply_to: IS_DEAD,
            data: Bytes::copy_from_slice(reason.as_bytes()),
            ..Self::default()
        }
    }

    /// Whether this is a dead message.
    pub fn is_dead(&self) -> bool {
        self.reply_to == IS_DEAD
    }

    /// Whether the sender expects a reply.
    pub fn wants_reply(&self) -> bool {
        self.reply_to != Handle::NONE && !self.is_dead()
    }

    /// The message's frame header.
    ///
    /// # Panics
    /// When the payload is 4 GiB or more; routers reject messages of that size.
    pub fn header(&self) -> Header {
        Header {
            encoding: self.encoding,
            dst_id: self.dst_id,
            src_id: self.src_id,
            auth_id: self.auth_id,
            handle: self.handle,
            reply_to: self.reply_to,
            length: u32::try_from(self.data.len()).expect("routers reject payloads of 4 GiB or more"),
        }
    }

    /// Encodes header and payload into one buffer. Copies the payload, so it is meant for small messages.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_LEN + self.data.len());
        out.put_slice(&self.header().encode());
        out.put_slice(&self.data);
        out.freeze()
    }
}
