//! What is said before frames flow: stock's handshake, big-endian, without a magic number.
//!
//! Sans-I/O: bytes in, numbers out. Each side says its part in one write, because stock reads each
//! with one call.

use bytes::Bytes;
use thiserror::Error;

use crate::ids::ContextId;
use crate::wire::{Encoding, HEADER_LEN, Message, WellKnownHandle};

/// What a client says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its process id, for names in logs.
    pub pid: u32,
}

/// What a listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The client's id in the tree from now on.
    pub client: ContextId,
    /// The listener's own id.
    pub listener: ContextId,
    /// The listener's process id.
    pub pid: u32,
}

/// The other end left in the middle of its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the handshake ended after {got} of {wanted} bytes")]
pub struct Torn {
    /// So many bytes had come.
    pub got: usize,
    /// So many make the part.
    pub wanted: usize,
}

impl Hello {
    /// Its length in bytes.
    pub const LEN: usize = 4;

    /// As sent.
    pub fn encode(self) -> [u8; Self::LEN] {
        self.pid.to_be_bytes()
    }

    /// Reads it from the beginning of `bytes`; the rest are frames already.
    ///
    /// # Errors
    /// There are too few bytes, as yet or for ever.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), Torn> {
        let (head, rest) = split::<{ Self::LEN }>(bytes)?;
        Ok((Self { pid: u32::from_be_bytes(head) }, rest))
    }
}

impl Welcome {
    /// Its length in bytes.
    pub const LEN: usize = 12;

    /// As sent.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.client.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.listener.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.pid.to_be_bytes());
        bytes
    }

    /// The length of [`Welcome::first_word`] in bytes.
    pub const FIRST_WORD_LEN: usize = HEADER_LEN;

    /// What a listener of ours sends right behind it: a frame that says that it reads every encoding. Old
    /// clients of stock know one only, and whoever is heard to write others is known to read them; but
    /// if both ends waited for that, they would wait for ever. Stock's clients drop it.
    pub fn first_word(self) -> [u8; Self::FIRST_WORD_LEN] {
        let message = Message::new(self.client, WellKnownHandle::Encodings, Encoding::Legacy, Bytes::new());
        Message { src_id: self.listener, auth_id: self.listener, ..message }.header().encode()
    }

    /// Reads it from the beginning of `bytes`; the rest are frames already.
    ///
    /// # Errors
    /// There are too few bytes, as yet or for ever.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), Torn> {
        let (head, rest) = split::<{ Self::LEN }>(bytes)?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (client, listener) = (ContextId(number(0)), ContextId(number(4)));
        Ok((Self { client, listener, pid: number(8) }, rest))
    }
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Torn> {
    let torn = Torn { got: bytes.len(), wanted: N };
    bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest)).ok_or(torn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stocks_captured_answer_is_read_and_written() {
        let captured = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0x4b, 6];
        let welcome = Welcome { client: ContextId(2), listener: ContextId(0), pid: 0x4b06 };
        assert_eq!(welcome.encode(), captured);
        assert_eq!(Welcome::decode(&captured), Ok((welcome, &[][..])));
        // The first word is a frame of the old kind, with nothing in it.
        let word = welcome.first_word();
        assert_eq!((&word[..2], &word[22..]), (&b"MI"[..], &[0; 4][..]));
    }

    #[test]
    fn frames_may_follow_at_once_and_too_little_is_torn() {
        let bytes = [0, 0, 1, 0, 0x4d, 0x49];
        assert_eq!(Hello::decode(&bytes), Ok((Hello { pid: 256 }, &bytes[4..])));
        for got in 0..Hello::LEN {
            assert_eq!(Hello::decode(&bytes[..got]), Err(Torn { got, wanted: 4 }));
        }
        assert_eq!(Welcome::decode(&[0; 11]), Err(Torn { got: 11, wanted: 12 }));
    }
}
