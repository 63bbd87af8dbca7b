//! The latch under every schedule that loom finds.

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::{Latch, LatchError, WakeState};

#[test]
fn a_put_wakes_a_thread_that_is_about_to_sleep() {
    loom::model(|| {
        let latch = Latch::new();
        let putter = latch.clone();
        let thread = thread::spawn(move || putter.put(7).unwrap());
        assert_eq!(latch.get(), Ok(7));
        thread.join().unwrap();
    });
}

#[test]
fn two_puts_reach_two_threads() {
    loom::model(|| {
        let latch = Latch::new();
        let (first, second) = (latch.clone(), latch.clone());
        let threads = [first, second].map(|getter| thread::spawn(move || getter.get().unwrap()));
        latch.put(1).unwrap();
        latch.put(2).unwrap();
        let mut got = threads.map(|thread| thread.join().unwrap());
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn closing_wakes_a_thread_that_is_about_to_sleep() {
    loom::model(|| {
        let latch = Latch::<()>::new();
        let closer = latch.clone();
        let thread = thread::spawn(move || closer.close());
        assert_eq!(latch.get(), Err(LatchError::Closed));
        thread.join().unwrap();
    });
}

#[test]
fn a_value_put_before_closing_is_returned() {
    loom::model(|| {
        let latch = Latch::new();
        let putter = latch.clone();
        let thread = thread::spawn(move || {
            putter.put(7).unwrap();
            putter.close();
        });
        assert_eq!(latch.get(), Ok(7));
        assert_eq!(latch.get(), Err(LatchError::Closed));
        thread.join().unwrap();
    });
}

#[test]
fn a_timeout_during_a_put_neither_loses_nor_duplicates_the_value() {
    let (got, timed_out) = (StdArc::new(AtomicUsize::new(0)), StdArc::new(AtomicUsize::new(0)));
    let counters = (StdArc::clone(&got), StdArc::clone(&timed_out));
    loom::model(move || {
        let latch = Latch::new();
        let (putter, getter) = (latch.clone(), latch.clone());
        // Each in a thread of its own: the putter may unpark a getter that has left, and the model
        // checker takes that amiss of a thread that waits in `join`.
        let putter = thread::spawn(move || putter.put(7).unwrap());
        // In the model a deadline is over at once.
        let getter = thread::spawn(move || getter.get_deadline(Instant::now()));
        putter.join().unwrap();
        match getter.join().unwrap() {
            Ok(value) => {
                assert_eq!(value, 7);
                counters.0.fetch_add(1, Ordering::Relaxed);
                assert_eq!(latch.try_get(), Ok(None));
            }
            Err(error) => {
                assert_eq!(error, LatchError::TimedOut);
                counters.1.fetch_add(1, Ordering::Relaxed);
                assert_eq!(latch.try_get(), Ok(Some(7)));
            }
        }
    });
    // The model would prove nothing if it only ever saw one of the two.
    assert!(got.load(Ordering::Relaxed) > 0 && timed_out.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_value_goes_to_a_waiting_thread_when_another_times_out() {
    loom::model(|| {
        let latch = Latch::new();
        let (patient, hasty) = (latch.clone(), latch.clone());
        let patient = thread::spawn(move || patient.get());
        let hasty = thread::spawn(move || hasty.get_deadline(Instant::now()));
        latch.put(1).unwrap();
        match hasty.join().unwrap() {
            Ok(value) => {
                assert_eq!(value, 1);
                latch.put(2).unwrap();
                assert_eq!(patient.join().unwrap(), Ok(2));
            }
            Err(error) => {
                assert_eq!(error, LatchError::TimedOut);
                assert_eq!(patient.join().unwrap(), Ok(1));
            }
        }
    });
}

/// A loop that sleeps on a bell, and two threads that leave work for it.
#[test]
fn a_sleeping_loop_misses_no_notification() {
    #[derive(Default)]
    struct Bell(Mutex<bool>, Condvar);
    // With every number of preemptions it takes minutes; three find all that is known to go wrong.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let state = Arc::new(WakeState::new());
        let bell = Arc::new(Bell::default());
        let work = Arc::new(Mutex::new(0));
        let callers = [1, 2].map(|n| {
            let (state, bell, work) = (Arc::clone(&state), Arc::clone(&bell), Arc::clone(&work));
            thread::spawn(move || {
                *work.lock().unwrap() += n;
                if state.notify() {
                    *bell.0.lock().unwrap() = true;
                    bell.1.notify_one();
                }
            })
        });
        // If a ring were missed, the model would find that all threads sleep.
        let mut done = 0;
        while done < 3 {
            if state.begin_sleep() {
                let mut rung = bell.0.lock().unwrap();
                while !*rung {
                    rung = bell.1.wait(rung).unwrap();
                }
                *rung = false;
            }
            state.end_sleep();
            done += std::mem::take(&mut *work.lock().unwrap());
        }
        for caller in callers {
            caller.join().unwrap();
        }
    });
}
