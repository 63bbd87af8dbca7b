//! The names by which special types pass through serde, and the limits of their content.

use serde::{Serialize, Serializer};

use crate::secret::Secret;

// Names of newtype structs that this codec's serializer and deserializer recognize. Other formats ignore the
// name and see the content.
pub(super) const VALUE: &str = "$mitogen::Value";
pub(super) const BIG: &str = "$mitogen::BigInt";
pub(super) const SURROGATES: &str = "$mitogen::SurrogateText";
pub(super) const BLOB: &str = "$mitogen::Blob";
pub(super) const SECRET: &str = Secret::NAME;
pub(super) const KWARGS: &str = "$mitogen::Kwargs";
pub(super) const CALL_ERROR: &str = "$mitogen::CallError";
pub(super) const CONTEXT: &str = "$mitogen::Context";
pub(super) const SENDER: &str = "$mitogen::Sender";

/// The longest call error text that upstream peers accept, in characters. Longer texts are truncated when
/// sent.
pub const CALL_ERROR_MAX: usize = 9999;

/// The longest context name that upstream peers accept, in characters.
pub(super) const NAME_MAX: usize = 500;

/// Serializes as a byte string. Serde serializes a plain `[u8]` as a sequence of numbers.
pub(super) struct ByteSlice<'a>(pub(super) &'a [u8]);

impl Serialize for ByteSlice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}
