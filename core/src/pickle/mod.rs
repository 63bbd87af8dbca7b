//! The pickle codec: serde support for the payloads that Python peers exchange.
//!
//! Sans-I/O: bytes in, values out, and back. It supports plain data and the few globals of Mitogen's wire
//! protocol (docs/protocol.md#allowed-globals), and rejects everything else, so that decoding untrusted bytes
//! can never run code. It knows nothing about messages, routers or the meaning of calls.
//!
//! Decoding has two steps. A *machine* executes the opcodes and builds a flat graph of small nodes that point
//! into the input; it does not recurse and copies no text. Then the graph is *expanded* into a [`Value`] or
//! directly into a `Deserialize` type. Peers may refer to one object many times, so only the second step can
//! need much time and memory; it is counted against [`Limits`] for each message.
//!
//! | Python | [`Value`] | serde |
//! |---|---|---|
//! | `None` | `None` | unit, `Option::None` |
//! | `int` | `Int`, beyond 64 bits `Big` | integers up to 128 bits, [`BigInt`] |
//! | `str` | `Text`, with lone surrogates `Surrogates` | `String`, `&str`, `char` |
//! | `bytes`, Python 2 `str`, `bytearray` | `Bytes` | [`Binary`], `serialize_bytes` |
//! | `tuple`, `list` | `Tuple`, `List` | tuples, sequences (either is accepted when decoding) |
//! | `dict` | `Dict` | maps, structs; enums are externally tagged |
//! | `mitogen.core.Blob` | `Blob` | [`Blob`] |
//! | `mitogen.core.Secret` | `Secret` | [`Secret`] |
//! | `mitogen.core.Kwargs` | `Kwargs` | [`Kwargs`] |
//! | `mitogen.core.CallError` | `CallError` | [`CallErrorText`] |
//! | `mitogen.core.Context` | `Context` | [`ContextRef`] |
//! | `mitogen.core.Sender` | `Sender` | [`SenderRef`] |
//!
//! Output is protocol 2, without memo entries, and with byte strings in their raw form, which every upstream
//! peer reads. Where a type requires text, UTF-8 byte strings are accepted as well, because a Python 2 peer's
//! `str` arrives as one.
//!
//! Invariants: no input makes the decoder panic; its time is linear in the input plus the expansion that the
//! limits allow; encoding copies each byte string once, decoding from a [`Bytes`](bytes::Bytes) copies no large
//! one.

mod big;
mod call;
mod de;
mod decoder;
mod encoder;
mod error;
mod escape;
mod expand;
mod globals;
mod graph;
mod limits;
mod machine;
mod names;
mod objects;
mod opcode;
mod ser;
mod text;
mod value;
mod value_serde;

pub use crate::secret::Secret;
pub use big::BigInt;
pub use call::{CallRequest, write_call};
pub use decoder::{Decoder, decode, decode_all, decode_shared, from_bytes, from_shared};
pub use encoder::Encoder;
pub use error::Error;
pub use limits::Limits;
pub use names::CALL_ERROR_MAX;
pub use objects::{Binary, Blob, CallErrorText, ContextRef, Kwargs, SenderRef};
pub use ser::{to_bytes, to_vec};
pub use text::SurrogateText;
pub use value::Value;

#[cfg(test)]
mod tests;
