//! What callers are told about a transfer, while it runs and at its end.

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferProgress {
    /// Files that are in place.
    pub files: u64,
    /// All files, as far as known.
    pub total_files: u64,
    /// Bytes of contents that the target has or has been sent, including those in [`Self::resumed`].
    pub bytes: u64,
    /// Bytes of all files, as far as known.
    pub total_bytes: u64,
    /// Bytes that were found in partial or equal files at the target and not sent again.
    pub resumed: u64,
    /// Files, among those in [`Self::files`], that were in place with the same contents.
    pub unchanged: u64,
}

impl TransferProgress {
    /// Nothing done so far, of this many files and bytes.
    pub fn of_total(files: u64, bytes: u64) -> Self {
        Self { total_files: files, total_bytes: bytes, ..Self::default() }
    }
}

/// The result of a transfer that was completed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferReport {
    /// How much was transferred.
    pub progress: TransferProgress,
    /// What could not be read and was left out.
    pub skipped: Vec<Skipped>,
}

/// A file or directory that was left out of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its path at the source.
    pub path: String,
    /// Why it could not be read.
    pub reason: String,
}
