//! How much one message may cost its receiver.

/// Bounds on decoding, counted over all pickles of one message.
///
/// They bound the *expanded* data: a peer can mention one object many times for two bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How deep containers may nest. The default, 256, is far beyond what programs exchange and keeps
    /// recursive consumers of the data within a small thread's stack.
    pub depth: usize,
    /// How many values may come out, containers and their members alike; also the most objects that may
    /// wait on the decoder's stack.
    pub items: usize,
    /// How many bytes of text and byte strings may be copied out of the message. Byte strings that are
    /// shared with the message cost nothing.
    pub copied: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 256, items: 8 << 20, copied: 256 << 20 }
    }
}
