//! Limits concurrent handshakes with one destination: sshd drops connections beyond its
//! `MaxStartups`, and penalizes a client whose connections it dropped.
//!
//! It only decides which connection may start; the driver starts it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The limit of concurrent handshakes with one destination.
pub const HANDSHAKES_PER_DESTINATION: usize = 8;

/// How often a handshake that the server dropped is retried.
pub(super) const RETRIES: u32 = 4;

/// The handshakes in progress and those that wait. `T` is a connection that waits to start.
#[derive(Debug)]
pub(super) struct HandshakeLimiter<T> {
    limit: usize,
    destinations: HashMap<String, Destination<T>>,
}

#[derive(Debug)]
struct Destination<T> {
    active: usize,
    waiting: VecDeque<T>,
}

impl<T> HandshakeLimiter<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), destinations: HashMap::new() }
    }

    /// Returns `work` if it may start now; queues it otherwise.
    pub(super) fn enter(&mut self, destination: &str, work: T) -> Option<T> {
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

    /// Notes that a handshake has ended, and returns the work that may start in its place.
    pub(super) fn leave(&mut self, destination: &str) -> Option<T> {
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

/// The delay before retry number `attempt` (from 1), spread by `noise` in 0..1 so that connections
/// that were dropped together are not retried together.
pub(super) fn retry_delay(attempt: u32, noise: f64) -> Duration {
    let base = 0.25 * f64::from(1u32 << attempt.min(5));
    Duration::from_secs_f64(base * (0.5 + noise))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_kept_and_the_queue_is_in_order() {
        let mut limiter = HandshakeLimiter::new(2);
        assert_eq!(limiter.enter("a", 1), Some(1));
        assert_eq!(limiter.enter("a", 2), Some(2));
        assert_eq!(limiter.enter("a", 3), None);
        assert_eq!(limiter.enter("a", 4), None);
        assert_eq!(limiter.enter("b", 5), Some(5));
        assert_eq!(limiter.leave("a"), Some(3));
        assert_eq!(limiter.leave("a"), Some(4));
        assert_eq!(limiter.leave("a"), None);
        assert_eq!(limiter.enter("a", 6), Some(6));
        assert_eq!(limiter.leave("a"), None);
        assert_eq!(limiter.leave("a"), None);
        assert_eq!(limiter.leave("b"), None);
        assert!(limiter.destinations.is_empty());
    }

    #[test]
    fn delays_grow_and_are_spread() {
        assert!(retry_delay(1, 0.0) < retry_delay(1, 0.9));
        assert!(retry_delay(1, 0.9) < retry_delay(3, 0.0));
        assert!(retry_delay(60, 0.99) <= Duration::from_secs(12));
    }
}
