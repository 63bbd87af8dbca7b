//! What callers can choose about a transfer.

/// How files are put in place at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferOptions {
    /// Permissions of files. Default: those of the source, without set-user-id and the like.
    pub mode: Option<u32>,
    /// `user[:group]`, by name or number. Default: the user that the target runs as; with `put`, a file that
    /// root replaces keeps its owner.
    pub owner: Option<String>,
    /// Whether partial files are continued, and kept when a transfer is interrupted. Default: yes.
    pub resume: bool,
    /// Whether each file is flushed to disk before it is renamed into place. Default: no.
    pub sync: bool,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self { mode: None, owner: None, resume: true, sync: false }
    }
}

impl TransferOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the permissions of files, as in `0o644`.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets the owner, `user[:group]`. Usually only root may give files to others.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Sets whether partial files are continued and kept.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Sets whether each file is flushed to disk before it is renamed.
    #[must_use]
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }
}
