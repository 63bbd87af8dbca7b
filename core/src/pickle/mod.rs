//! The pickle codec: payloads that Python peers and we both understand, through serde.
//!
//! Sans-I/O: bytes in, values out, and back. It knows plain data and the few globals of Mitogen's
//! wire protocol, and refuses everything else, so that decoding a stranger's bytes can never run
//! code. It knows nothing of messages, routers or calls' meaning.
//!
//! Decoding has two steps. A *machine* runs the opcodes and leaves a flat graph of small nodes that
//! point into the input; it never recurses and copies no text. Then the graph is *expanded* into a
//! [`Value`] or straight into a `Deserialize` type. Peers may mention one object many times, so only
//! the second step can blow up; it is counted against [`Limits`], per message.
//!
//! | Python | [`Value`] | serde |
//! |---|---|---|
//! | `None` | `None` | unit, `Option::None` |
//! | `int` | `Int`, beyond 64 bits `Big` | integers up to 128 bits, [`BigInt`] |
//! | `str` | `Text`, with lone surrogates `Surrogates` | `String`, `&str`, `char` |
//! | `bytes`, Python 2 `str`, `bytearray` | `Bytes` | [`Binary`], `serialize_bytes` |
//! | `tuple`, `list` | `Tuple`, `List` | tuples, sequences (either is accepted when decoding) |
//! | `dict` | `Dict` | maps, structs; enums are externally tagged |
//! | `mitogen.core` objects | `Blob`, `Secret`, `Kwargs`, `CallError`, `Context`, `Sender` | the types of the same names |
//!
//! Output is protocol 2, without memo entries, and byte strings in their raw form, which every stock
//! peer reads. Where a type asks for text, UTF-8 byte strings are accepted as well, because that is
//! what a Python 2 peer's `str` arrives as.
//!
//! Invariants: no input makes the decoder panic; its time is linear in the input plus what the limits
//! allow to be expanded; encoding copies each byte string once, decoding from a
//! [`Bytes`](bytes::Bytes) copies no large one.

mod big;
mod call;
mod de;
mod decoder;
mod error;
mod escape;
mod expand;
mod globals;
mod graph;
mod handoff;
mod limits;
mod machine;
mod opcode;
mod ser;
mod special;
mod text;
mod value;
mod value_serde;
mod writer;

pub use crate::secret::Secret;
pub use big::BigInt;
pub use call::{CallRequest, write_call};
pub use decoder::{Decoder, decode, decode_all, decode_shared, from_bytes, from_shared};
pub use error::Error;
pub use limits::Limits;
pub use special::{Binary, Blob, CALL_ERROR_MAX, CallError, Context, Kwargs, Sender};
pub use text::SurrogateText;
pub use value::Value;
pub use writer::{Writer, to_bytes, to_vec};

#[cfg(test)]
mod tests;
