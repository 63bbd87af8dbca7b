//! A message as plain data. It holds no router: replying needs one in the caller's hand.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Encoding, HEADER_LEN, Header};
use crate::ids::{ContextId, Handle};

/// The `reply_to` value that marks a dead message.
pub const IS_DEAD: Handle = Handle(999);

/// A message: header fields and a reference-counted payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What the payload is.
    pub encoding: Encoding,
    /// Destination context.
    pub dst_id: ContextId,
    /// Originating context.
    pub src_id: ContextId,
    /// Context whose authority the message carries.
    pub auth_id: ContextId,
    /// Destination port.
    pub handle: Handle,
    /// Port for the reply in the source; see [`IS_DEAD`].
    pub reply_to: Handle,
    /// The payload.
    pub data: Bytes,
}

impl Message {
    /// A message to `handle` of `dst_id`; the router fills in the source.
    pub fn new(
        dst_id: ContextId,
        handle: impl Into<Handle>,
        encoding: Encoding,
        data: impl Into<Bytes>,
    ) -> Self {
        Self { encoding, dst_id, handle: handle.into(), data: data.into(), ..Self::default() }
    }

    /// A dead message: tells `handle` of `dst_id` why nothing more will come.
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

    /// Whether the sender waits for a reply.
    pub fn wants_reply(&self) -> bool {
        self.reply_to != Handle::NONE && !self.is_dead()
    }

    /// The header that goes before the payload.
    ///
    /// # Panics
    /// When the payload is 4 GiB or more; routers refuse such messages long before.
    pub fn header(&self) -> Header {
        Header {
            encoding: self.encoding,
            dst_id: self.dst_id,
            src_id: self.src_id,
            auth_id: self.auth_id,
            handle: self.handle,
            reply_to: self.reply_to,
            length: u32::try_from(self.data.len())
                .expect("routers refuse payloads that no header can announce"),
        }
    }

    /// Header and payload as one buffer, copying the payload: for small messages and tests.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_LEN + self.data.len());
        out.put_slice(&self.header().encode());
        out.put_slice(&self.data);
        out.freeze()
    }
}
