//! Noticing that a link is dead though nobody says so: a cable that was pulled, a host that was
//! switched off, a process that was stopped.
//!
//! A link that was silent for an interval is sent a message to a handle at which nobody ever listens.
//! The answer, that there is no such handle, comes from any router, stock ones included, and needs
//! neither state nor code at the other end. What counts is any byte from there, so a link that is
//! in use costs nothing. Only children are asked; a lost parent is none of our business to judge.
//!
//! Runs on the broker's thread, by its timers. Known limit: a child whose interpreter is held by one
//! call into C that never lets go of it (no I/O, no sleep, no bytecode) cannot answer.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::route::WeakRouter;
use crate::ids::ContextId;
use crate::io::{Reactor, TimerId, Token};
use crate::wire::{Encoding, Message, WellKnownHandle};

/// How long a link may be silent. Off when either number is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepalive {
    /// The silence after which the other end is asked whether it is there; in data, in seconds.
    #[serde(with = "seconds")]
    pub interval: Duration,
    /// How many questions may stay without an answer, one an interval.
    pub count: u32,
}

impl Default for Keepalive {
    /// What ssh links have: every 15 s, 3 questions.
    fn default() -> Self {
        Self { interval: Duration::from_secs(15), count: 3 }
    }
}

impl Keepalive {
    /// A link is lost when the system says so, and not before.
    pub const OFF: Self = Self { interval: Duration::ZERO, count: 0 };

    /// Whether links are watched at all.
    pub fn is_on(self) -> bool {
        self.count > 0 && !self.interval.is_zero()
    }

    /// How late, at most, a cut link is noticed: the interval in which it was last heard, the one
    /// whose silence makes us ask, and one for each question.
    pub fn bound(self) -> Duration {
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

mod seconds {
    use super::{Deserialize, Duration};

    pub(super) fn serialize<S: serde::Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(input)?).map_err(serde::de::Error::custom)
    }
}

/// What a stream notes, and the watch over it.
#[derive(Debug)]
pub(super) struct Pulse {
    keepalive: Keepalive,
    router: WeakRouter,
    remote: ContextId,
    name: String,
    /// Something came, or went, since the last look.
    moved: AtomicBool,
    /// How many wait for room elsewhere before we read on: silence is then our own doing.
    paused: AtomicU32,
    watch: Mutex<Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    asked: u32,
    timer: Option<TimerId>,
    verdict: Option<String>,
}

impl Pulse {
    /// Watches the link to `remote`, whose stream is `token`.
    pub(super) fn start(
        keepalive: Keepalive,
        router: WeakRouter,
        remote: ContextId,
        name: &str,
        reactor: &mut dyn Reactor,
        token: Token,
    ) -> Arc<Self> {
        let pulse = Arc::new(Self {
            keepalive,
            router,
            remote,
            name: name.to_owned(),
            moved: AtomicBool::new(true),
            paused: AtomicU32::new(0),
            watch: Mutex::default(),
        });
        pulse.again(reactor, token);
        pulse
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A byte has come, or the kernel has taken one that it had no room for before.
    pub(super) fn beat(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// The stream is not read for a while.
    pub(super) fn pause(&self) {
        self.paused.fetch_add(1, Ordering::Relaxed);
    }

    /// One of those that it was not read for is done.
    pub(super) fn resume(&self) {
        self.paused.fetch_sub(1, Ordering::Relaxed);
        self.beat();
    }

    /// Ends the watch; why it has given the link up, if it has.
    pub(super) fn stop(&self, reactor: &mut dyn Reactor) -> Option<String> {
        let mut watch = self.lock();
        if let Some(timer) = watch.timer.take() {
            reactor.cancel(timer);
        }
        watch.verdict.take()
    }

    fn again(self: &Arc<Self>, reactor: &mut dyn Reactor, token: Token) {
        let pulse = Arc::clone(self);
        let when = reactor.now() + self.keepalive.interval;
        let timer = reactor.schedule(when, Box::new(move |reactor| pulse.look(reactor, token)));
        self.lock().timer = Some(timer);
    }

    fn look(self: &Arc<Self>, reactor: &mut dyn Reactor, token: Token) {
        let moved = self.moved.swap(false, Ordering::Relaxed);
        let mut watch = self.lock();
        watch.timer = None;
        if moved || self.paused.load(Ordering::Relaxed) > 0 {
            watch.asked = 0;
            drop(watch);
        } else if watch.asked < self.keepalive.count {
            watch.asked += 1;
            drop(watch);
            self.ask();
        } else {
            let silence = self.keepalive.interval.as_secs_f64() * f64::from(watch.asked + 1);
            watch.verdict = Some(format!(
                "the link to {} was lost: it was silent for {silence} s and left {} questions whether it is \
                 there unanswered",
                self.name, watch.asked
            ));
            drop(watch);
            reactor.disconnect(token);
            return;
        }
        self.again(reactor, token);
    }

    fn ask(&self) {
        let Some(router) = self.router.upgrade() else { return };
        let probe = Message::new(self.remote, WellKnownHandle::Probe, Encoding::Legacy, Bytes::new());
        // What cannot be sent stays unanswered.
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
        assert_eq!(keepalive.bound(), Duration::from_millis(7500));
        assert!(keepalive.is_on() && !Keepalive::OFF.is_on());
    }
}
