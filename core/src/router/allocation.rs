//! Ids of contexts: the master counts, and gives others some. None is ever used again.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::route::Router;
use crate::ids::ContextId;

/// What has been given out.
#[derive(Debug)]
pub(super) struct Allocation {
    next: AtomicU32,
    /// Ids that a master has given us.
    given: Mutex<Range<u32>>,
}

impl Default for Allocation {
    fn default() -> Self {
        Self { next: AtomicU32::new(1), given: Mutex::new(0..0) }
    }
}

impl Allocation {
    /// `count` ids from the counter, which goes no further than `end`.
    fn take(&self, count: u32, end: u32) -> Option<ContextId> {
        let next = |at: u32| at.checked_add(count).filter(|next| *next <= end);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(ContextId)
    }
}

impl Router {
    /// An id that no context has: a master's counter. The last one is given again and again, which no
    /// master lives to see, for others can take no more than half of them.
    pub fn allocate_id(&self) -> ContextId {
        self.allocation().take(1, u32::MAX).unwrap_or(ContextId(u32::MAX))
    }

    /// The first of `count` ids for others, who ask for them in blocks and may ask without end: `None`
    /// when they have had half of all there are.
    pub fn allocate_block(&self, count: u32) -> Option<ContextId> {
        self.allocation().take(count, u32::MAX / 2)
    }

    /// An id that no context has: a master's next, else one of those that it has given us.
    pub fn take_id(&self) -> Option<ContextId> {
        match self.identity().parent() {
            None => Some(self.allocate_id()),
            Some(_) => {
                let mut given = self.allocation().given.lock().unwrap_or_else(PoisonError::into_inner);
                given.next().map(ContextId)
            }
        }
    }

    /// Notes that `count` ids from `first` on are ours to use, in the place of those given before.
    pub fn give_ids(&self, first: ContextId, count: u32) {
        let mut given = self.allocation().given.lock().unwrap_or_else(PoisonError::into_inner);
        *given = first.0..first.0.saturating_add(count);
    }

    /// Whether [`Router::allocate_id`] or [`Router::allocate_block`] has given out `id`.
    pub(super) fn is_allocated(&self, id: ContextId) -> bool {
        id.0 < self.allocation().next.load(Ordering::Relaxed)
    }
}
