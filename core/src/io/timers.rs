//! Deadlines in order, with cheap cancelling.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

use super::TimerId;

/// A heap of deadlines, each with a value. The clock is not read here.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Only what is in here is still to come: a cancelled timer stays in the heap until it surfaces.
    live: HashMap<u64, (T, bool)>,
    last: u64,
    holding: usize,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), live: HashMap::new(), last: 0, holding: 0 }
    }

    /// Adds a timer. Timers of one instant come in the order in which they were added.
    pub(crate) fn schedule(&mut self, when: Instant, value: T, holding: bool) -> TimerId {
        self.last += 1;
        self.heap.push(Reverse((when, self.last)));
        self.live.insert(self.last, (value, holding));
        self.holding += usize::from(holding);
        TimerId(self.last)
    }

    /// Forgets a timer and returns its value if it was still to come.
    pub(crate) fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let value = self.remove(timer.0);
        // A program that sets and cancels a timeout per call must not grow the heap for ever.
        if self.heap.len() > 64 + 2 * self.live.len() {
            let live = &self.live;
            self.heap.retain(|Reverse((_, id))| live.contains_key(id));
        }
        value
    }

    /// When the next timer is due.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        while let Some(&Reverse((when, id))) = self.heap.peek() {
            if self.live.contains_key(&id) {
                return Some(when);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes a timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next_deadline()? > now {
            return None;
        }
        let Reverse((_, id)) = self.heap.pop()?;
        self.remove(id)
    }

    /// Whether a timer is pending that a shutdown waits for.
    pub(crate) fn is_holding(&self) -> bool {
        self.holding > 0
    }

    /// Forgets all timers.
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.live.clear();
        self.holding = 0;
    }

    fn remove(&mut self, id: u64) -> Option<T> {
        let (value, holding) = self.live.remove(&id)?;
        self.holding -= usize::from(holding);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn due_timers_come_in_order_and_cancelled_ones_do_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::new();
        timers.schedule(at(3), "c", false);
        timers.schedule(at(1), "a", true);
        let gone = timers.schedule(at(2), "gone", true);
        timers.schedule(at(1), "b", false);
        assert_eq!(timers.cancel(gone), Some("gone"));
        assert_eq!(timers.cancel(gone), None);
        assert_eq!(timers.next_deadline(), Some(at(1)));
        assert_eq!(timers.pop_due(start), None);
        assert!(timers.is_holding());
        assert_eq!(timers.pop_due(at(2)), Some("a"));
        assert!(!timers.is_holding());
        assert_eq!(timers.pop_due(at(2)), Some("b"));
        assert_eq!(timers.pop_due(at(2)), None);
        assert_eq!(timers.next_deadline(), Some(at(3)));
    }

    #[test]
    fn cancelling_does_not_grow_the_heap() {
        let when = Instant::now();
        let mut timers = Timers::new();
        for _ in 0..10_000 {
            let timer = timers.schedule(when, (), false);
            timers.cancel(timer);
        }
        assert!(timers.heap.len() <= 64);
    }
}
