//! Decides whether the loop polls without sleeping. It does not read the clock: time is an argument.
//!
//! Waking a sleeping thread takes longer than a short reply takes to arrive, in particular when the sender
//! runs on another processor. Under request/response load (events in quick succession) the loop therefore
//! polls for a short time before it sleeps. Measured with local calls on two processors: a round trip takes
//! 42 us instead of 88.

use std::time::{Duration, Instant};

/// The longest gap between two events of a streak.
const MAX_GAP: Duration = Duration::from_micros(200);
/// The number of events in a row, after the first, that start busy polling. A single burst, such as a
/// connection causes, is shorter.
const MIN_STREAK: u32 = 8;
/// How long the loop polls after the last event of a streak.
const SPIN_FOR: Duration = Duration::from_micros(60);

/// The state of busy polling.
#[derive(Debug)]
pub(super) struct BusyPoll {
    /// False with a single processor, where polling would take time from the process that replies.
    enabled: bool,
    last_event: Option<Instant>,
    streak: u32,
    until: Option<Instant>,
}

impl BusyPoll {
    /// The state at the start of a loop, for a machine with this number of processors.
    pub(super) fn new(processors: usize) -> Self {
        Self { enabled: processors > 1, last_event: None, streak: 0, until: None }
    }

    /// Records that the loop had an event at `now`.
    pub(super) fn record_event(&mut self, now: Instant) {
        let close = self.last_event.is_some_and(|last| now.saturating_duration_since(last) <= MAX_GAP);
        self.streak = if close { (self.streak + 1).min(MIN_STREAK) } else { 0 };
        self.last_event = Some(now);
        self.until = (self.enabled && self.streak == MIN_STREAK).then(|| now + SPIN_FOR);
    }

    /// Whether to poll without sleeping at `now`.
    pub(super) fn is_active(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_of_events_starts_busy_polling_for_a_short_time() {
        let mut busy_poll = BusyPoll::new(2);
        let mut now = Instant::now();
        for _ in 0..MIN_STREAK {
            busy_poll.record_event(now);
            assert!(!busy_poll.is_active(now), "the streak is too short");
            now += MAX_GAP;
        }
        busy_poll.record_event(now);
        assert!(busy_poll.is_active(now) && !busy_poll.is_active(now + SPIN_FOR));
        now += MAX_GAP * 2;
        busy_poll.record_event(now);
        assert!(!busy_poll.is_active(now), "a gap ends the streak");
    }

    #[test]
    fn a_single_processor_disables_busy_polling() {
        let mut busy_poll = BusyPoll::new(1);
        let now = Instant::now();
        for _ in 0..2 * MIN_STREAK {
            busy_poll.record_event(now);
        }
        assert!(!busy_poll.is_active(now));
    }
}
