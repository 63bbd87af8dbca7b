//! Bytes that are the same for many contexts.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The SHA-256 of a [`Blob`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub [u8; 32]);

impl fmt::Display for BlobId {
    /// The digest in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

/// Bytes that many contexts are sent, named by their SHA-256. Cloning shares the bytes.
///
/// ```
/// use mitogen_core::runtime::Blob;
///
/// let blob = Blob::new("abc");
/// assert!(blob.id().to_string().starts_with("ba7816bf8f01cfea"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    id: BlobId,
    data: Bytes,
}

impl Blob {
    /// A blob of `data`; computes its digest.
    pub fn new(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self { id: BlobId(Sha256::digest(&data).into()), data }
    }

    /// The digest that names it.
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// The bytes.
    pub fn data(&self) -> &Bytes {
        &self.data
    }
}
