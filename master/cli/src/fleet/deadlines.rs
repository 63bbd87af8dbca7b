//! At most one deadline per host, ordered by time.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::output::HostId;

/// The deadlines of all hosts.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Instant, HostId)>,
    by_host: HashMap<HostId, Instant>,
}

impl Deadlines {
    /// Sets the host's deadline, replacing an earlier one.
    pub(super) fn set(&mut self, host: HostId, when: Instant) {
        self.clear(host);
        self.by_host.insert(host, when);
        self.by_time.insert((when, host));
    }

    /// Removes the host's deadline.
    pub(super) fn clear(&mut self, host: HostId) {
        if let Some(when) = self.by_host.remove(&host) {
            self.by_time.remove(&(when, host));
        }
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(when, _)| *when)
    }

    /// Removes and returns a host whose deadline is not after `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<HostId> {
        let (_, host) = *self.by_time.first().filter(|(when, _)| *when <= now)?;
        self.clear(host);
        Some(host)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_are_due_in_order() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::default();
        for (host, seconds) in [(0, 3), (1, 1), (2, 2), (1, 5), (3, 1)] {
            deadlines.set(HostId(host), at(seconds));
        }
        deadlines.clear(HostId(2));
        assert_eq!(deadlines.next(), Some(at(1)));
        assert_eq!(deadlines.pop_due(at(4)), Some(HostId(3)));
        assert_eq!(deadlines.pop_due(at(4)), Some(HostId(0)));
        assert_eq!(deadlines.pop_due(at(4)), None);
        assert_eq!(deadlines.pop_due(at(5)), Some(HostId(1)));
        assert_eq!(deadlines.next(), None);
    }
}
