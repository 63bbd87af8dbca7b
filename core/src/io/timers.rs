//! A timer heap with cheap cancellation.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

use super::stream::TimerId;

/// A heap of deadlines, each with a value. It does not read the clock.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
    /// The pending timers: the value, and whether a shutdown waits for it. A cancelled timer is removed
    /// from here at once and stays in the heap until it reaches the top.
    pending: HashMap<u64, (T, bool)>,
    last: u64,
    /// The number of pending timers that a shutdown waits for.
    keep_alive: usize,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), pending: HashMap::new(), last: 0, keep_alive: 0 }
    }

    /// Adds a timer. Timers with the same deadline fire in the order in which they were added. A shutdown
    /// waits for the timer if `keep_alive` is set.
    pub(crate) fn schedule(&mut self, when: Instant, value: T, keep_alive: bool) -> TimerId {
        self.last += 1;
        self.heap.push(Reverse((when, self.last)));
        self.pending.insert(self.last, (value, keep_alive));
        self.keep_alive += usize::from(keep_alive);
        TimerId(self.last)
    }

    /// Cancels a timer and returns its value if it was still pending.
    pub(crate) fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let value = self.remove(timer.0);
        // A program that sets and cancels a timeout for each call must not grow the heap forever.
        if self.heap.len() > 64 + 2 * self.pending.len() {
            let pending = &self.pending;
            self.heap.retain(|Reverse((_, id))| pending.contains_key(id));
        }
        value
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        while let Some(&Reverse((when, id))) = self.heap.peek() {
            if self.pending.contains_key(&id) {
                return Some(when);
            }
            self.heap.pop();
        }
        None
    }

    /// The timer that was added last; see [`pop_due`](Self::pop_due).
    pub(crate) fn newest(&self) -> TimerId {
        TimerId(self.last)
    }

    /// Takes a timer that is due at `now` and was not added after `newest`. The latter ensures that a timer
    /// that reschedules itself does not extend the current iteration of the loop.
    pub(crate) fn pop_due(&mut self, now: Instant, newest: TimerId) -> Option<T> {
        if self.next_deadline()? > now {
            return None;
        }
        let &Reverse((_, id)) = self.heap.peek()?;
        if id > newest.0 {
            return None;
        }
        self.heap.pop();
        self.remove(id)
    }

    /// Whether a shutdown must wait for a pending timer.
    pub(crate) fn keep_alive(&self) -> bool {
        self.keep_alive > 0
    }

    /// Cancels all timers.
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.pending.clear();
        self.keep_alive = 0;
    }

    fn remove(&mut self, id: u64) -> Option<T> {
        let (value, keep_alive) = self.pending.remove(&id)?;
        self.keep_alive -= usize::from(keep_alive);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn due(timers: &mut Timers<&'static str>, now: Instant) -> Option<&'static str> {
        timers.pop_due(now, timers.newest())
    }

    #[test]
    fn a_timer_added_during_an_iteration_fires_in_the_next() {
        let now = Instant::now();
        let mut timers = Timers::new();
        timers.schedule(now, "first", false);
        let newest = timers.newest();
        assert_eq!(timers.pop_due(now, newest), Some("first"));
        timers.schedule(now, "again", false);
        assert_eq!(timers.pop_due(now, newest), None);
        assert_eq!(timers.next_deadline(), Some(now));
        assert_eq!(due(&mut timers, now), Some("again"));
    }

    #[test]
    fn due_timers_fire_in_order_and_cancelled_ones_do_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::new();
        timers.schedule(at(3), "c", false);
        timers.schedule(at(1), "a", true);
        let cancelled = timers.schedule(at(2), "cancelled", true);
        timers.schedule(at(1), "b", false);
        assert_eq!(timers.cancel(cancelled), Some("cancelled"));
        assert_eq!(timers.cancel(cancelled), None);
        assert_eq!(timers.next_deadline(), Some(at(1)));
        assert_eq!(due(&mut timers, start), None);
        assert!(timers.keep_alive());
        assert_eq!(due(&mut timers, at(2)), Some("a"));
        assert!(!timers.keep_alive());
        assert_eq!(due(&mut timers, at(2)), Some("b"));
        assert_eq!(due(&mut timers, at(2)), None);
        assert_eq!(timers.next_deadline(), Some(at(3)));
    }

    #[test]
    fn cancelled_timers_do_not_accumulate_in_the_heap() {
        let when = Instant::now();
        let mut timers = Timers::new();
        for _ in 0..10_000 {
            let timer = timers.schedule(when, (), false);
            timers.cancel(timer);
        }
        assert!(timers.heap.len() <= 64);
    }
}
