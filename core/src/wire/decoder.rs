//! [`FrameDecoder`]: splits a byte stream into frames.
//!
//! Add a chunk of any size, then take frames until none is complete. A frame's bytes are a reference-counted
//! slice of the read buffer, so forwarding a frame copies nothing.

use bytes::{Buf, Bytes, BytesMut};

use super::header::{DecodeError, HEADER_LEN, Header};
use super::message::Message;

/// The smallest free space, in bytes, while a large frame is read.
const MIN_SPARE: usize = 1 << 16;

/// The most that is reserved for a frame before any of its payload has arrived, in bytes.
const INITIAL_RESERVE: usize = 1 << 18;

/// One complete frame as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The parsed header.
    pub header: Header,
    /// All bytes of the frame, header and payload, unchanged.
    pub bytes: Bytes,
}

impl Frame {
    /// Converts the frame to a message that shares its bytes.
    pub fn into_message(self) -> Message {
        let Self { header, mut bytes } = self;
        bytes.advance(HEADER_LEN);
        Message {
            encoding: header.encoding,
            dst_id: header.dst_id,
            src_id: header.src_id,
            auth_id: header.auth_id,
            handle: header.handle,
            reply_to: header.reply_to,
            data: bytes,
        }
    }
}

/// Splits a byte stream into frames.
///
/// After an error the decoder returns the same error forever, because the position of the next frame is not known.
///
/// ```
/// use mitogen_core::ids::{ContextId, Handle};
/// use mitogen_core::wire::{Encoding, FrameDecoder, Message};
///
/// let message = Message::new(ContextId(1), Handle(1000), Encoding::Raw, &b"hello"[..]);
/// let bytes = message.to_bytes();
///
/// let mut decoder = FrameDecoder::new(1 << 20);
/// decoder.feed(&bytes[..10]);
/// assert!(decoder.next_frame()?.is_none());
/// decoder.feed(&bytes[10..]);
/// let frame = decoder.next_frame()?.expect("the frame is complete");
/// assert_eq!(frame.into_message(), message);
/// # Ok::<(), mitogen_core::wire::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    /// The header of the frame at the front of `buffer`, once it has been received.
    header: Option<Header>,
    limit: usize,
    failed: Option<DecodeError>,
}

impl FrameDecoder {
    /// Creates a decoder that accepts payloads of up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), header: None, limit, failed: None }
    }

    /// Appends a copy of `bytes` to the buffer.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to read into. Callers may only append to it. It has capacity for part of the current frame;
    /// callers may reserve more.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        if let Some(header) = self.header {
            let missing = (HEADER_LEN + header.length as usize).saturating_sub(self.buffer.len());
            // A peer could announce a large frame and send little of it, so the buffer at most doubles
            // what has arrived.
            let want = missing.min(self.buffer.len().max(INITIAL_RESERVE));
            // Reserve only when the capacity is almost used up: growing at every read would copy the
            // received bytes each time.
            if self.buffer.capacity() - self.buffer.len() < missing.min(MIN_SPARE) {
                self.buffer.reserve(want);
            }
        }
        &mut self.buffer
    }

    /// Takes the next complete frame; `None` if more bytes are needed.
    ///
    /// # Errors
    /// The stream is corrupt, or the peer announces a payload beyond the limit.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let header = match self.header {
            Some(header) => header,
            None => match self.parse_header() {
                Ok(None) => return Ok(None),
                Ok(Some(header)) => *self.header.insert(header),
                Err(error) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
            },
        };
        let total = HEADER_LEN + header.length as usize;
        if self.buffer.len() < total {
            return Ok(None);
        }
        self.header = None;
        Ok(Some(Frame { header, bytes: self.buffer.split_to(total).freeze() }))
    }

    /// The buffered bytes that are not part of a returned frame.
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    fn parse_header(&self) -> Result<Option<Header>, DecodeError> {
        let Some(bytes) = self.buffer.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let header = Header::decode(bytes)?;
        let length = header.length as usize;
        if length > self.limit {
            return Err(DecodeError::TooLarge { length, limit: self.limit });
        }
        Ok(Some(header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ContextId, Handle};
    use crate::wire::{Encoding, WellKnownHandle};

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Frames captured from upstream peers.
    fn captured_frames() -> Vec<(Vec<u8>, Message)> {
        let ids = |message: Message, src: u32| Message {
            src_id: ContextId(src),
            auth_id: ContextId(src),
            ..message
        };
        vec![
            (
                hex("4d49 00000000 00000001 00000001 00000064 00000000 00000003 706b67"),
                ids(Message::new(ContextId(0), WellKnownHandle::GetModule, Encoding::Legacy, &b"pkg"[..]), 1),
            ),
            (
                hex("4d4a 00000000 00000001 00000001 000003e8 00000000 00000006 80024d8c392e"),
                ids(Message::new(ContextId(0), Handle(1000), Encoding::Pickle, &b"\x80\x02M\x8c9."[..]), 1),
            ),
            (
                hex("4d49 00000001 00000000 00000000 0000006a 00000000 00000000"),
                Message::new(ContextId(1), WellKnownHandle::Shutdown, Encoding::Legacy, &b""[..]),
            ),
            (
                hex(
                    "4d49 00000000 00000001 00000001 000003f4 000003e7 0000000e 696e76616c69642068616e646c65",
                ),
                ids(Message::dead(ContextId(0), Handle(1012), "invalid handle"), 1),
            ),
            (
                hex("4d4b 00000007 00000002 00000000 000003f5 00000000 00000004 00ff00ff"),
                Message {
                    auth_id: ContextId(0),
                    src_id: ContextId(2),
                    ..Message::new(ContextId(7), Handle(1013), Encoding::Raw, &b"\0\xff\0\xff"[..])
                },
            ),
        ]
    }

    #[test]
    fn captured_frames_decode_and_encode() {
        for (bytes, message) in captured_frames() {
            assert_eq!(&message.to_bytes()[..], &bytes[..]);
            let mut decoder = FrameDecoder::new(1 << 20);
            decoder.feed(&bytes);
            let frame = decoder.next_frame().unwrap().unwrap();
            assert_eq!(&frame.bytes[..], &bytes[..]);
            assert_eq!(frame.into_message(), message);
        }
    }

    #[test]
    fn frames_do_not_depend_on_the_size_of_chunks() {
        let stream: Vec<u8> = captured_frames().into_iter().flat_map(|(bytes, _)| bytes).collect();
        for step in 1..=stream.len() {
            let mut decoder = FrameDecoder::new(1 << 20);
            let mut seen = Vec::new();
            for chunk in stream.chunks(step) {
                decoder.read_buffer().extend_from_slice(chunk);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame.into_message());
                }
            }
            let expected: Vec<_> = captured_frames().into_iter().map(|(_, message)| message).collect();
            assert_eq!(seen, expected, "in chunks of {step}");
            assert!(decoder.pending().is_empty());
        }
    }

    #[test]
    fn oversized_and_corrupt_frames_are_errors() {
        let message = Message::new(ContextId(1), Handle(1000), Encoding::Raw, vec![0; 10]);
        let mut exact = FrameDecoder::new(10);
        exact.feed(&message.to_bytes());
        assert!(exact.next_frame().unwrap().is_some());
        let mut small = FrameDecoder::new(9);
        small.feed(&message.to_bytes());
        assert_eq!(small.next_frame(), Err(DecodeError::TooLarge { length: 10, limit: 9 }));
        let mut corrupt = FrameDecoder::new(10);
        corrupt.feed(b"Welcome to this host. Type help");
        assert_eq!(corrupt.next_frame(), Err(DecodeError::BadMagic { magic: 0x5765 }));
        corrupt.feed(&message.to_bytes());
        assert_eq!(corrupt.next_frame(), Err(DecodeError::BadMagic { magic: 0x5765 }));
    }

    #[test]
    fn a_large_frame_is_reallocated_only_a_few_times() {
        let message = Message::new(ContextId(1), Handle(1000), Encoding::Raw, vec![7; 32 << 20]);
        let bytes = message.to_bytes();
        let mut decoder = FrameDecoder::new(64 << 20);
        let (mut moves, mut at) = (0, std::ptr::null());
        for chunk in bytes.chunks(1 << 17) {
            decoder.read_buffer().extend_from_slice(chunk);
            moves += usize::from(!std::ptr::eq(at, decoder.pending().as_ptr()));
            at = decoder.pending().as_ptr();
            if let Some(frame) = decoder.next_frame().unwrap() {
                assert_eq!(frame.bytes, bytes);
            }
        }
        assert!(moves < 16, "the buffer was moved {moves} times");
    }

    #[test]
    fn a_header_alone_does_not_reserve_its_payload() {
        let header = Header {
            encoding: Encoding::Raw,
            dst_id: ContextId(0),
            src_id: ContextId(1),
            auth_id: ContextId(1),
            handle: Handle(1000),
            reply_to: Handle::NONE,
            length: 1 << 30,
        };
        let mut decoder = FrameDecoder::new(1 << 30);
        decoder.feed(&header.encode());
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.read_buffer().capacity() < 1 << 20);
    }
}
