//! Rationing of handshakes: sshd drops connections beyond its `MaxStartups`, and punishes a
//! controller whose connections it dropped.
//!
//! Pure: says who may start; starting is the driver's.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// How many handshakes may be under way with one destination.
pub const HANDSHAKES_PER_DESTINATION: usize = 8;

/// How often a handshake that the far end dropped is tried again.
pub(crate) const RETRIES: u32 = 4;

/// Who may shake hands with whom now. `T` is what is waiting to start.
#[derive(Debug)]
pub(crate) struct Gate<T> {
    limit: usize,
    destinations: HashMap<String, Destination<T>>,
}

#[derive(Debug)]
struct Destination<T> {
    active: usize,
    waiting: VecDeque<T>,
}

impl<T> Gate<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), destinations: HashMap::new() }
    }

    /// `Some(work)` may start now; else it waits its turn.
    pub(crate) fn enter(&mut self, destination: &str, work: T) -> Option<T> {
        let entry = self
            .destinations
            .entry(destination.to_owned())
            .or_insert_with(|| Destination { active: 0, waiting: VecDeque::new() });
        if entry.active < self.limit {
            entry.active += 1;
            Some(work)
        } else {
            entry.waiting.push_back(work);
            None
        }
    }

    /// A handshake has ended; who may start in its place.
    pub(crate) fn leave(&mut self, destination: &str) -> Option<T> {
        let entry = self.destinations.get_mut(destination)?;
        if let Some(next) = entry.waiting.pop_front() {
            return Some(next);
        }
        entry.active -= 1;
        if entry.active == 0 {
            self.destinations.remove(destination);
        }
        None
    }
}

/// How long to wait before try number `attempt` (from 1), spread by `noise` in 0..1 so that a
/// crowd that was dropped together does not come back together.
pub(crate) fn retry_delay(attempt: u32, noise: f64) -> Duration {
    let base = 0.25 * f64::from(1u32 << attempt.min(5));
    Duration::from_secs_f64(base * (0.5 + noise))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_turns_are_in_order() {
        let mut gate = Gate::new(2);
        assert_eq!(gate.enter("a", 1), Some(1));
        assert_eq!(gate.enter("a", 2), Some(2));
        assert_eq!(gate.enter("a", 3), None);
        assert_eq!(gate.enter("a", 4), None);
        assert_eq!(gate.enter("b", 5), Some(5));
        assert_eq!(gate.leave("a"), Some(3));
        assert_eq!(gate.leave("a"), Some(4));
        assert_eq!(gate.leave("a"), None);
        assert_eq!(gate.enter("a", 6), Some(6));
        assert_eq!(gate.leave("a"), None);
        assert_eq!(gate.leave("a"), None);
        assert_eq!(gate.leave("b"), None);
        assert!(gate.destinations.is_empty());
    }

    #[test]
    fn delays_grow_and_spread() {
        assert!(retry_delay(1, 0.0) < retry_delay(1, 0.9));
        assert!(retry_delay(1, 0.9) < retry_delay(3, 0.0));
        assert!(retry_delay(60, 0.99) <= Duration::from_secs(12));
    }
}
