//! Statistics of the responder.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one master since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleStats {
    /// Received requests for modules.
    pub asked: u64,
    /// Sent modules, including negative replies.
    pub sent: u64,
    /// Bytes of these.
    pub sent_bytes: u64,
    /// Sent negative replies.
    pub negative: u64,
    /// Received requests for resources.
    pub resources_asked: u64,
    /// Bytes of sent resources.
    pub resource_bytes: u64,
}

/// The counters behind [`ModuleStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) asked: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(super) negative: AtomicU64,
    pub(super) resources_asked: AtomicU64,
    pub(super) resource_bytes: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> ModuleStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ModuleStats {
            asked: read(&self.asked),
            sent: read(&self.sent),
            sent_bytes: read(&self.sent_bytes),
            negative: read(&self.negative),
            resources_asked: read(&self.resources_asked),
            resource_bytes: read(&self.resource_bytes),
        }
    }
}
