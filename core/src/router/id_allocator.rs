//! Ids of contexts. The master counts and gives others blocks; no id is ever used twice.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::ids::{ContextId, Identity};

/// What gives new contexts their ids: [`Router::ids`](super::Router::ids).
#[derive(Debug)]
pub struct IdAllocator {
    is_master: bool,
    next: AtomicU32,
    /// Ids that the master has given to this context.
    block: Mutex<Range<u32>>,
}

impl IdAllocator {
    pub(super) fn new(identity: &Identity) -> Self {
        Self { is_master: identity.parent().is_none(), next: AtomicU32::new(1), block: Mutex::new(0..0) }
    }

    /// An id that no context has, from the master's counter. When the counter has reached the last
    /// id, it is given again and again; that does not happen in practice, because
    /// [`IdAllocator::allocate_block`] gives at most half of all ids away.
    pub fn allocate(&self) -> ContextId {
        self.count(1, u32::MAX).unwrap_or(ContextId(u32::MAX))
    }

    /// The first of `count` ids for another context, from the master's counter. `None` when half of
    /// all ids have been given out: a context that asks without end must not use them up.
    pub fn allocate_block(&self, count: u32) -> Option<ContextId> {
        self.count(count, u32::MAX / 2)
    }

    /// An id that no context has: in a master from its counter, elsewhere from the block that the
    /// master has given. `None` when that block is used up.
    pub fn take(&self) -> Option<ContextId> {
        if self.is_master {
            return Some(self.allocate());
        }
        self.block().next().map(ContextId)
    }

    /// Notes that the master has given this context `count` ids, from `first` on. They replace what is
    /// left of the block before.
    pub fn set_block(&self, first: ContextId, count: u32) {
        *self.block() = first.0..first.0.saturating_add(count);
    }

    /// Whether [`IdAllocator::allocate`] or [`IdAllocator::allocate_block`] has given out `id`.
    pub(super) fn is_allocated(&self, id: ContextId) -> bool {
        id.0 < self.next.load(Ordering::Relaxed)
    }

    fn count(&self, count: u32, end: u32) -> Option<ContextId> {
        let next = |at: u32| at.checked_add(count).filter(|next| *next <= end);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(ContextId)
    }

    fn block(&self) -> std::sync::MutexGuard<'_, Range<u32>> {
        self.block.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_never_exhaust_the_masters_own_ids() {
        let ids = IdAllocator::new(&Identity::master());
        assert_eq!(ids.allocate(), ContextId(1));
        assert_eq!(ids.allocate_block(1000), Some(ContextId(2)));
        assert_eq!(ids.take(), Some(ContextId(1002)), "a master takes from its counter");
        let mut last = 0;
        while let Some(ContextId(first)) = ids.allocate_block(1 << 20) {
            assert!(first > last, "{first} after {last}");
            last = first;
        }
        assert!(last < u32::MAX / 2);
        let own: Vec<u32> = (0..1000).map(|_| ids.allocate().0).collect();
        assert!(own[0] >= last + (1 << 20) && own.windows(2).all(|pair| pair[1] == pair[0] + 1), "{own:?}");
        assert!(ids.is_allocated(ContextId(own[999])) && !ids.is_allocated(ContextId(own[999] + 1)));
    }

    #[test]
    fn others_take_from_their_block_until_it_is_used_up() {
        let ids = IdAllocator::new(&Identity::master().child(ContextId(5)));
        assert_eq!(ids.take(), None);
        ids.set_block(ContextId(100), 2);
        assert_eq!([ids.take(), ids.take(), ids.take()], [Some(ContextId(100)), Some(ContextId(101)), None]);
        ids.set_block(ContextId(u32::MAX), 2);
        assert_eq!(ids.take(), None, "the range does not wrap around");
    }
}
