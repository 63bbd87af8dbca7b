//! The loop itself; the only file of this module that reads the clock.

use std::num::NonZero;
use std::time::{Duration, Instant};

use super::busy_poll::BusyPoll;
use super::handle::{BrokerHandle, LoopEvent};
use super::loop_state::LoopState;
use super::shutdown::Phase;
use super::slots::Entry;
use crate::io::{Event, Interest, Poller};

/// Runs until a shutdown is complete.
pub(super) fn run(handle: &BrokerHandle, poller: Box<dyn Poller>) {
    let mut state = LoopState::new(handle.clone(), poller, Instant::now());
    let mut phase = Phase::Running;
    // Both keep their capacity, so that an iteration does not allocate.
    let mut ready = Vec::new();
    let mut inbox = Vec::new();
    let mut touched = Vec::new();

    let mut busy_poll = BusyPoll::new(std::thread::available_parallelism().map_or(1, NonZero::get));

    while !phase.is_over(&state) {
        let deadline = earlier(state.timers.next_deadline(), phase.deadline());
        let before = Instant::now();
        let spinning = busy_poll.is_active(before);
        let timeout = if spinning || state.has_touched() {
            Some(Duration::ZERO)
        } else {
            deadline.map(|deadline| deadline.saturating_duration_since(before))
        };
        if let Err(err) = state.poller.poll(&mut ready, timeout) {
            // A retry would not help: the loop cannot work without a poller.
            tracing::error!(%err, "poller failed; the broker stops");
            break;
        }
        state.now = Instant::now();
        for &event in &ready {
            dispatch(&mut state, handle, &mut phase, LoopEvent::Ready(event));
        }
        // Streams that these touch are for the next iteration.
        state.take_touched(&mut touched);
        for token in touched.drain(..) {
            let due = state.slots.get_mut(token).map(Entry::take_touched).unwrap_or_default();
            let event = Event { token, readable: due.read, writable: due.write };
            dispatch(&mut state, handle, &mut phase, LoopEvent::Ready(event));
        }
        let newest = state.timers.newest();
        while let Some(task) = state.timers.pop_due(state.now, newest) {
            dispatch(&mut state, handle, &mut phase, LoopEvent::Timer(task));
        }
        // Tasks that these add are for the next iteration, so that they cannot starve ready streams.
        handle.take_events(&mut inbox);
        if !ready.is_empty() || !inbox.is_empty() {
            busy_poll.record_event(state.now);
        } else if spinning {
            // The sender of the next event may need this processor.
            std::thread::yield_now();
        }
        for event in inbox.drain(..) {
            dispatch(&mut state, handle, &mut phase, event);
        }
    }
    super::shutdown::finish(&mut state, handle);
}

fn dispatch(state: &mut LoopState, handle: &BrokerHandle, phase: &mut Phase, event: LoopEvent) {
    match event {
        LoopEvent::Ready(ready) => {
            let (token, interest) = (ready.token, |state: &mut LoopState| {
                state.slots.get_mut(ready.token).map(|entry| entry.interest).unwrap_or_default()
            });
            // Earlier callbacks of this iteration may have disconnected the stream or changed its interest.
            if ready.readable && interest(state).read {
                let residual = state.call_stream(token, |stream, reactor| {
                    stream.on_receive(reactor, token);
                    stream.receive_residual()
                });
                state.note_residual(token, Interest::READ, residual.unwrap_or_default());
            }
            if ready.writable && interest(state).write {
                let residual = state.call_stream(token, |stream, reactor| {
                    stream.on_transmit(reactor, token);
                    stream.transmit_residual()
                });
                state.note_residual(token, Interest::WRITE, residual.unwrap_or_default());
            }
        }
        LoopEvent::Timer(task) => state.run_task("timer", task),
        LoopEvent::Deferred(task) => state.run_task("deferred call", task),
        LoopEvent::Shutdown { grace } => phase.begin(state, handle, grace),
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
