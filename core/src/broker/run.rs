//! The loop; the one place of the crate's reactor that reads the clock.

use std::num::NonZero;
use std::time::{Duration, Instant};

use super::BrokerHandle;
use super::event::Event;
use super::shutdown::Phase;
use super::turn::Turn;
use super::vigil::Vigil;
use crate::io::{Interest, Poller};

/// Runs until a shutdown is over.
pub(super) fn run(handle: &BrokerHandle, poller: Box<dyn Poller>) {
    let mut turn = Turn::new(handle.clone(), poller, Instant::now());
    let mut phase = Phase::Running;
    // Both keep their room, so that a round allocates nothing.
    let mut ready = Vec::new();
    let mut inbox = Vec::new();

    let mut vigil = Vigil::new(std::thread::available_parallelism().map_or(1, NonZero::get));

    while !phase.is_over(&turn) {
        let deadline = earlier(turn.timers.next_deadline(), phase.deadline());
        let before = Instant::now();
        let awake = vigil.is_on(before);
        let timeout = if awake {
            Some(Duration::ZERO)
        } else {
            deadline.map(|deadline| deadline.saturating_duration_since(before))
        };
        if let Err(err) = turn.poller.poll(&mut ready, timeout) {
            // Nothing that is retried would help: without a poller there is no loop.
            tracing::error!(%err, "poller failed; broker ends");
            break;
        }
        turn.now = Instant::now();
        for &event in &ready {
            act(&mut turn, handle, &mut phase, Event::Ready(event));
        }
        let newest = turn.timers.newest();
        while let Some(task) = turn.timers.pop_due(turn.now, newest) {
            act(&mut turn, handle, &mut phase, Event::Timer(task));
        }
        // What these leave behind is for the next round, so that ready streams get their turn.
        handle.take_events(&mut inbox);
        if !ready.is_empty() || !inbox.is_empty() {
            vigil.worked(turn.now);
        } else if awake {
            // Others may need the processor for what is being waited for.
            std::thread::yield_now();
        }
        for event in inbox.drain(..) {
            act(&mut turn, handle, &mut phase, event);
        }
    }
    super::shutdown::finish(&mut turn, handle);
}

fn act(turn: &mut Turn, handle: &BrokerHandle, phase: &mut Phase, event: Event) {
    match event {
        Event::Ready(ready) => {
            let (token, now) = (ready.token, |turn: &mut Turn| {
                turn.slots.get_mut(ready.token).map(|entry| entry.interest).unwrap_or_default()
            });
            // Earlier callbacks of this round may have ended the stream or its interest.
            if ready.readable && now(turn).read {
                let left = turn.visit(token, |stream, reactor| {
                    stream.on_receive(reactor, token);
                    stream.receive_residual()
                });
                turn.note_residual(token, Interest::READ, left.unwrap_or_default());
            }
            if ready.writable && now(turn).write {
                let left = turn.visit(token, |stream, reactor| {
                    stream.on_transmit(reactor, token);
                    stream.transmit_residual()
                });
                turn.note_residual(token, Interest::WRITE, left.unwrap_or_default());
            }
        }
        Event::Timer(task) => turn.perform("timer", task),
        Event::Deferred(task) => turn.perform("deferred call", task),
        Event::Shutdown { grace } => phase.begin(turn, handle, grace),
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
