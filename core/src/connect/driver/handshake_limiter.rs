//! Limits the connections that are being made at the same time: in all, because they slow each other on this machine,
//! and with one destination, because sshd drops connections beyond its `MaxStartups` and penalizes the client.
//!
//! Both limits adapt. The one in all grows while starts take about as long as the fastest, and shrinks when they take
//! several times as long. That of a destination is halved when a connection is dropped, and grows with each that comes
//! up; a connection that was dropped gives up its turn, so that those which were dropped together are not repeated
//! together.
//!
//! It only decides which connection may start; it has no clock, and the driver starts it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The limit of concurrent handshakes with one destination.
pub const HANDSHAKES_PER_DESTINATION: usize = 8;

/// How often in a row a handshake that the server dropped is retried while no other succeeds.
pub(super) const RETRIES: u32 = 4;

/// The limits of all starts together: the first, and between which it adapts.
const FIRST: usize = 16;
const LEAST: usize = 12;
const MOST: usize = 128;
/// Starts that take so many times as long as the fastest slow each other.
const SLOWED: u32 = 4;
/// Shorter starts are not a measure, on this machine and on others: most of the time is the scheduler's, or hosts differ
/// by as much.
const SHORTEST: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];
/// By how much the fastest ages with each start, so that one that was exceptional does not count for ever.
const AGEING: f64 = 1.05;

/// A start that takes longer than this waits for something else than this machine's processors, such as a host that does
/// not answer, and does not count any more.
pub(super) const OCCUPIES: Duration = Duration::from_secs(5);

/// How a start ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The context is up, after this time.
    Up(Duration),
    /// The server dropped the connection.
    Dropped,
    /// In another way.
    Failed,
}

/// Where a connection leads to; `None` for programs on this machine.
pub(super) type Key = Option<String>;

/// The starts in progress and those that wait. `T` is a connection that waits to start.
#[derive(Debug)]
pub(super) struct HandshakeLimiter<T> {
    per_destination: usize,
    limit: usize,
    active: usize,
    /// The fastest starts, on this machine and on others.
    fastest: [Option<Duration>; 2],
    destinations: HashMap<Key, Destination<T>>,
    /// The destinations that have waiting work and room for it, each once.
    ready: VecDeque<Key>,
}

#[derive(Debug)]
struct Destination<T> {
    limit: usize,
    active: usize,
    waiting: VecDeque<T>,
    /// Whether it is in `ready`.
    listed: bool,
    /// The number of handshakes that have succeeded.
    successes: u64,
}

impl<T> HandshakeLimiter<T> {
    pub(super) fn new(per_destination: usize) -> Self {
        Self {
            per_destination: per_destination.max(1),
            limit: FIRST,
            active: 0,
            fastest: [None; 2],
            destinations: HashMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Adds work that wants to start. [`next`](Self::next) returns it when it may.
    pub(super) fn enter(&mut self, key: &Key, work: T) {
        // What runs on this machine is limited only together with everything else.
        let limit = if key.is_some() { self.per_destination } else { usize::MAX };
        let entry = self.destinations.entry(key.clone()).or_insert_with(|| Destination {
            limit,
            active: 0,
            waiting: VecDeque::new(),
            listed: false,
            successes: 0,
        });
        entry.waiting.push_back(work);
        self.list(key);
    }

    /// The next work that may start now. It has started when this returns.
    pub(super) fn next(&mut self) -> Option<T> {
        while self.active < self.limit {
            let key = self.ready.pop_front()?;
            let Some(entry) = self.destinations.get_mut(&key) else { continue };
            entry.listed = false;
            let room = entry.active < entry.limit;
            if let Some(work) = room.then(|| entry.waiting.pop_front()).flatten() {
                entry.active += 1;
                self.active += 1;
                self.list(&key);
                return Some(work);
            }
        }
        None
    }

    /// A start in progress does not count any more among all: it waits for something else than this machine.
    pub(super) fn idles(&mut self) {
        self.active = self.active.saturating_sub(1);
    }

    /// A start has ended; `counted` is whether it counted among all until now.
    pub(super) fn leave(&mut self, key: &Key, counted: bool, ended: Ended) {
        if counted {
            self.active = self.active.saturating_sub(1);
        }
        // One that did not count any more has waited for something else.
        if let (Ended::Up(took), true) = (ended, counted) {
            self.adapt(usize::from(key.is_some()), took);
        }
        let Some(entry) = self.destinations.get_mut(key) else { return };
        entry.active = entry.active.saturating_sub(1);
        if key.is_some() {
            match ended {
                Ended::Up(_) => {
                    entry.successes += 1;
                    entry.limit = (entry.limit + 1).min(self.per_destination);
                }
                Ended::Dropped => entry.limit = (entry.limit / 2).max(1),
                Ended::Failed => {}
            }
        }
        // A destination that drops connections is remembered while they wait for their next try.
        if entry.active == 0 && entry.waiting.is_empty() && ended != Ended::Dropped {
            self.destinations.remove(key);
        } else {
            self.list(key);
        }
    }

    /// The number of handshakes with a destination that have succeeded, as far as it is remembered.
    pub(super) fn successes(&self, key: &Key) -> u64 {
        self.destinations.get(key).map_or(0, |entry| entry.successes)
    }

    fn adapt(&mut self, place: usize, took: Duration) {
        let took = took.max(SHORTEST[place]);
        let fastest = self.fastest[place].map_or(took, |fastest| fastest.mul_f64(AGEING).min(took));
        self.fastest[place] = Some(fastest);
        self.limit = if took > fastest * SLOWED { self.limit - 1 } else { self.limit + 1 }.clamp(LEAST, MOST);
    }

    fn list(&mut self, key: &Key) {
        if let Some(entry) = self.destinations.get_mut(key)
            && !entry.listed
            && !entry.waiting.is_empty()
            && entry.active < entry.limit
        {
            entry.listed = true;
            self.ready.push_back(key.clone());
        }
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

    fn to(name: &str) -> Key {
        Some(name.to_owned())
    }

    fn up(milliseconds: u64) -> Ended {
        Ended::Up(Duration::from_millis(milliseconds))
    }

    fn started<T>(limiter: &mut HandshakeLimiter<T>) -> Vec<T> {
        std::iter::from_fn(|| limiter.next()).collect()
    }

    #[test]
    fn the_limit_of_a_destination_is_kept_and_its_queue_is_in_order() {
        let mut limiter = HandshakeLimiter::new(2);
        for work in 1..=4 {
            limiter.enter(&to("a"), work);
        }
        limiter.enter(&to("b"), 5);
        limiter.enter(&None, 6);
        assert_eq!(started(&mut limiter), [1, 5, 6, 2]);
        limiter.leave(&to("a"), true, Ended::Failed);
        assert_eq!(started(&mut limiter), [3]);
        limiter.leave(&to("b"), true, Ended::Failed);
        limiter.leave(&None, true, Ended::Failed);
        assert!(started(&mut limiter).is_empty());
        for _ in 0..2 {
            limiter.leave(&to("a"), true, up(100));
        }
        assert_eq!(started(&mut limiter), [4]);
        limiter.leave(&to("a"), true, up(100));
        assert!(limiter.destinations.is_empty() && limiter.active == 0 && limiter.ready.is_empty());
    }

    #[test]
    fn all_starts_together_are_limited() {
        let mut limiter = HandshakeLimiter::new(2);
        for work in 0..100 {
            limiter.enter(&None, work);
        }
        assert_eq!(started(&mut limiter), (0..FIRST).collect::<Vec<_>>());
        // Starts that take the same time let the limit grow, slow ones let it shrink.
        for _ in 0..4 {
            limiter.leave(&None, true, up(100));
        }
        assert_eq!(started(&mut limiter).len(), 8);
        for _ in 0..4 {
            limiter.leave(&None, true, up(1000));
        }
        assert_eq!(started(&mut limiter).len(), 0);
        // A start that waits for a silent host makes room, once.
        for _ in 0..6 {
            limiter.idles();
        }
        let now = started(&mut limiter).len();
        assert_eq!(now, 6);
        limiter.leave(&None, false, Ended::Failed);
        assert_eq!(started(&mut limiter).len(), 0);
    }

    #[test]
    fn the_limit_stays_within_its_bounds() {
        let mut limiter = HandshakeLimiter::<()>::new(2);
        for _ in 0..1000 {
            limiter.adapt(0, Duration::from_millis(100));
        }
        assert_eq!(limiter.limit, MOST);
        // As the load grows, starts take ever longer.
        for start in 0..200 {
            limiter.adapt(0, Duration::from_secs_f64(0.1 * 1.1_f64.powi(start)));
        }
        assert_eq!(limiter.limit, LEAST);
        // Very short starts differ by chance.
        let mut limiter = HandshakeLimiter::<()>::new(2);
        limiter.adapt(0, Duration::from_millis(1));
        limiter.adapt(0, Duration::from_millis(150));
        assert_eq!(limiter.limit, FIRST + 2);
        // A fast start on this machine, or one on a fast host, is no measure for slow hosts.
        limiter.adapt(1, Duration::from_millis(1));
        for _ in 0..200 {
            limiter.adapt(1, Duration::from_millis(700));
        }
        assert_eq!(limiter.limit, MOST);
    }

    /// A server that takes two connections at once and drops the others: all come up, and few are dropped.
    #[test]
    fn connections_that_were_dropped_together_are_not_repeated_together() {
        const STARTUPS: usize = 2;
        let mut limiter = HandshakeLimiter::new(HANDSHAKES_PER_DESTINATION);
        for work in 0..40_usize {
            limiter.enter(&to("a"), work);
        }
        let (mut up_now, mut drops, mut rounds) = (0, 0, 0);
        while up_now < 40 {
            rounds += 1;
            assert!(rounds < 100);
            let batch = started(&mut limiter);
            for (index, work) in batch.into_iter().enumerate() {
                if index < STARTUPS {
                    up_now += 1;
                    limiter.leave(&to("a"), true, up(100));
                } else {
                    drops += 1;
                    limiter.leave(&to("a"), true, Ended::Dropped);
                    limiter.enter(&to("a"), work);
                }
            }
        }
        assert!(drops < 40, "{drops} dropped in {rounds} rounds");
        assert_eq!(limiter.successes(&to("a")), 0, "the destination is forgotten with its last connection");
    }

    #[test]
    fn a_destination_that_drops_connections_is_remembered() {
        let mut limiter = HandshakeLimiter::new(8);
        limiter.enter(&to("a"), ());
        assert_eq!(started(&mut limiter).len(), 1);
        limiter.leave(&to("a"), true, Ended::Dropped);
        for _ in 0..8 {
            limiter.enter(&to("a"), ());
        }
        assert_eq!(started(&mut limiter).len(), 4);
        limiter.leave(&to("a"), true, up(100));
        assert_eq!(started(&mut limiter).len(), 2);
        assert_eq!(limiter.successes(&to("a")), 1);
    }

    #[test]
    fn delays_grow_and_are_spread() {
        assert!(retry_delay(1, 0.0) < retry_delay(1, 0.9));
        assert!(retry_delay(1, 0.9) < retry_delay(3, 0.0));
        assert!(retry_delay(60, 0.99) <= Duration::from_secs(12));
    }
}
