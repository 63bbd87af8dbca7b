//! Keep-alive: detects a dead link that the system does not report (a cable that was pulled, a host that
//! was switched off, a process that was stopped).
//!
//! When no byte has come by a link for an interval, a probe is sent: a message to a handle that no
//! context ever registers. Every router, upstream Mitogen's too, answers that there is no such handle,
//! so the other end needs neither state nor code for this. Any byte counts as an answer, so a link
//! that is in use costs nothing. Only links to children are checked.
//!
//! Runs on the broker's thread, by its timers. Known limit: a child whose interpreter is held by one
//! call into C that never releases it (no I/O, no sleep, no bytecode) cannot answer.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::router::WeakRouter;
use crate::ids::ContextId;
use crate::io::{Reactor, TimerId, Token};
use crate::wire::{Encoding, Message, WellKnownHandle};

/// An interval in the range of every clock, which stands for longer ones.
const FOREVER: Duration = Duration::from_secs(1 << 30);

/// When a silent link is given up. Off when either number is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepalive {
    /// The time without traffic after which a probe is sent, and between probes. Serialized as seconds.
    #[serde(with = "crate::seconds")]
    pub interval: Duration,
    /// How many probes in a row may stay unanswered.
    pub count: u32,
}

impl Default for Keepalive {
    /// The setting of ssh links: 15 s, 3 probes.
    fn default() -> Self {
        Self { interval: Duration::from_secs(15), count: 3 }
    }
}

impl Keepalive {
    /// No probes: a link is lost when the system reports it.
    pub const OFF: Self = Self { interval: Duration::ZERO, count: 0 };

    /// Whether probes are sent.
    pub fn is_on(self) -> bool {
        self.count > 0 && !self.interval.is_zero()
    }

    /// The time after which a cut link is detected at the latest: the interval of the last traffic, the
    /// silent one before the first probe, and one for each probe.
    pub fn detection_time(self) -> Duration {
        self.interval.saturating_mul(self.count.saturating_add(2))
    }
}

impl fmt::Display for Keepalive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_on() {
            true => write!(f, "{{ interval = {}, count = {} }}", self.interval.as_secs_f64(), self.count),
            false => f.write_str("false"),
        }
    }
}

/// Checks one link. The stream records its activity here.
#[derive(Debug)]
pub(super) struct KeepaliveMonitor {
    keepalive: Keepalive,
    router: WeakRouter,
    remote: ContextId,
    name: String,
    /// Bytes have come or gone since the last check.
    is_active: AtomicBool,
    /// How many congested links the stream waits for before it reads on: the silence is then our own.
    paused: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    unanswered: u32,
    timer: Option<TimerId>,
    /// Why the link was given up.
    verdict: Option<String>,
}

impl KeepaliveMonitor {
    /// Checks the link to `remote`, whose stream is `token`.
    pub(super) fn start(
        keepalive: Keepalive,
        router: WeakRouter,
        remote: ContextId,
        name: &str,
        reactor: &mut dyn Reactor,
        token: Token,
    ) -> Arc<Self> {
        let monitor = Arc::new(Self {
            keepalive,
            router,
            remote,
            name: name.to_owned(),
            is_active: AtomicBool::new(true),
            paused: AtomicU32::new(0),
            state: Mutex::default(),
        });
        monitor.schedule(reactor, token);
        monitor
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A byte has come, or the kernel has taken one that it had no room for before.
    pub(super) fn record_activity(&self) {
        self.is_active.store(true, Ordering::Relaxed);
    }

    /// The stream is not read for a while.
    pub(super) fn pause(&self) {
        self.paused.fetch_add(1, Ordering::Relaxed);
    }

    /// One of the links that it was not read for has room.
    pub(super) fn resume(&self) {
        self.paused.fetch_sub(1, Ordering::Relaxed);
        self.record_activity();
    }

    /// Ends the checks. Gives the reason if they have given the link up.
    pub(super) fn stop(&self, reactor: &mut dyn Reactor) -> Option<String> {
        let mut state = self.lock();
        if let Some(timer) = state.timer.take() {
            reactor.cancel(timer);
        }
        state.verdict.take()
    }

    fn schedule(self: &Arc<Self>, reactor: &mut dyn Reactor, token: Token) {
        let monitor = Arc::clone(self);
        let when = reactor.now() + self.keepalive.interval.min(FOREVER);
        let timer = reactor.schedule(when, Box::new(move |reactor| monitor.check(reactor, token)));
        self.lock().timer = Some(timer);
    }

    fn check(self: &Arc<Self>, reactor: &mut dyn Reactor, token: Token) {
        let is_active = self.is_active.swap(false, Ordering::Relaxed);
        let mut state = self.lock();
        state.timer = None;
        if is_active || self.paused.load(Ordering::Relaxed) > 0 {
            state.unanswered = 0;
            drop(state);
        } else if state.unanswered < self.keepalive.count {
            state.unanswered += 1;
            drop(state);
            self.send_probe();
        } else {
            let silence = self.keepalive.interval.saturating_mul(state.unanswered + 1).as_secs_f64();
            state.verdict = Some(format!(
                "the link to {} was lost: no traffic for {silence} s, {} keep-alive probes unanswered",
                self.name, state.unanswered
            ));
            drop(state);
            reactor.disconnect(token);
            return;
        }
        self.schedule(reactor, token);
    }

    fn send_probe(&self) {
        let Some(router) = self.router.upgrade() else { return };
        let probe = Message::new(self.remote, WellKnownHandle::Probe, Encoding::Legacy, Bytes::new());
        // A probe that cannot be sent counts as unanswered.
        let _ = router.send(Message { reply_to: WellKnownHandle::Probe.handle(), ..probe });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_on_the_wire() {
        let keepalive = Keepalive { interval: Duration::from_millis(1500), count: 3 };
        let text = serde_json::to_string(&keepalive).unwrap();
        assert_eq!(text, r#"{"interval":1.5,"count":3}"#);
        assert_eq!(serde_json::from_str::<Keepalive>(&text).unwrap(), keepalive);
        for bad in [r#"{"interval":-1.0,"count":3}"#, r#"{"interval":1e300,"count":3}"#] {
            assert!(serde_json::from_str::<Keepalive>(bad).is_err(), "{bad}");
        }
        assert_eq!(keepalive.detection_time(), Duration::from_millis(7500));
        assert!(keepalive.is_on() && !Keepalive::OFF.is_on());
    }
}
