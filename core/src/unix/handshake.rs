//! The handshake of upstream Mitogen's unix sockets, before frames flow: big-endian numbers, without a
//! magic number.
//!
//! Sans-I/O: bytes in, numbers out. Each side sends its part in one write, because upstream Mitogen
//! reads it with one call.

use bytes::Bytes;
use thiserror::Error;

use crate::ids::ContextId;
use crate::wire::{Encoding, HEADER_LEN, Message, WellKnownHandle};

/// The client's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The client's process id, for names in logs.
    pub pid: u32,
}

/// The listener's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerHello {
    /// The id that the client has from now on.
    pub client: ContextId,
    /// The listener's own id.
    pub listener: ContextId,
    /// The listener's process id.
    pub pid: u32,
}

/// The other end has closed the connection in the middle of its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the handshake ended after {got} of {wanted} bytes")]
pub struct TruncatedHandshake {
    /// How many bytes were received.
    pub got: usize,
    /// How many bytes the part has.
    pub wanted: usize,
}

impl ClientHello {
    /// The length of this part in bytes.
    pub const LEN: usize = 4;

    /// The bytes to send.
    pub fn encode(self) -> [u8; Self::LEN] {
        self.pid.to_be_bytes()
    }

    /// Reads it from the beginning of `bytes`, and gives the rest, which are frames already.
    ///
    /// # Errors
    /// There are too few bytes; more may come.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), TruncatedHandshake> {
        let (head, rest) = split::<{ Self::LEN }>(bytes)?;
        Ok((Self { pid: u32::from_be_bytes(head) }, rest))
    }
}

impl ServerHello {
    /// The length of this part in bytes.
    pub const LEN: usize = 12;

    /// The bytes to send.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.client.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.listener.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.pid.to_be_bytes());
        bytes
    }

    /// The length of [`ServerHello::first_frame`] in bytes.
    pub const FIRST_FRAME_LEN: usize = HEADER_LEN;

    /// A frame that this listener sends right behind its answer, to say that it reads every encoding.
    /// Releases of Mitogen before 0.3.39 know only one, and a context that is seen to write another is
    /// known to read all; if both ends waited for that, neither would begin. Upstream Mitogen's clients
    /// drop the frame.
    pub fn first_frame(self) -> [u8; Self::FIRST_FRAME_LEN] {
        let message = Message::new(self.client, WellKnownHandle::Encodings, Encoding::Legacy, Bytes::new());
        Message { src_id: self.listener, auth_id: self.listener, ..message }.header().encode()
    }

    /// Reads it from the beginning of `bytes`, and gives the rest, which are frames already.
    ///
    /// # Errors
    /// There are too few bytes; more may come.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), TruncatedHandshake> {
        let (head, rest) = split::<{ Self::LEN }>(bytes)?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (client, listener) = (ContextId(number(0)), ContextId(number(4)));
        Ok((Self { client, listener, pid: number(8) }, rest))
    }
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), TruncatedHandshake> {
    let truncated = TruncatedHandshake { got: bytes.len(), wanted: N };
    bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest)).ok_or(truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_answer_of_upstream_is_read_and_written() {
        let captured = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0x4b, 6];
        let server = ServerHello { client: ContextId(2), listener: ContextId(0), pid: 0x4b06 };
        assert_eq!(server.encode(), captured);
        assert_eq!(ServerHello::decode(&captured), Ok((server, &[][..])));
        // The first frame has the legacy encoding and no payload.
        let frame = server.first_frame();
        assert_eq!((&frame[..2], &frame[22..]), (&b"MI"[..], &[0; 4][..]));
    }

    #[test]
    fn frames_may_follow_at_once_and_too_few_bytes_are_an_error() {
        let bytes = [0, 0, 1, 0, 0x4d, 0x49];
        assert_eq!(ClientHello::decode(&bytes), Ok((ClientHello { pid: 256 }, &bytes[4..])));
        for got in 0..ClientHello::LEN {
            assert_eq!(ClientHello::decode(&bytes[..got]), Err(TruncatedHandshake { got, wanted: 4 }));
        }
        assert_eq!(ServerHello::decode(&[0; 11]), Err(TruncatedHandshake { got: 11, wanted: 12 }));
    }
}
