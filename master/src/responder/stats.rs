//! What the responder has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of one master, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleStats {
    /// Questions for modules that came in.
    pub asked: u64,
    /// Modules, negative answers among them, that were sent to a neighbour.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Negative answers among them.
    pub negative: u64,
    /// Questions for resources that came in.
    pub resources_asked: u64,
    /// Bytes of resources that were sent.
    pub resource_bytes: u64,
}

/// The same, being counted.
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
