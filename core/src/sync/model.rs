//! Checks the latch and the wake protocol under every schedule that loom explores.

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
        // The getter needs its own thread: the putter may unpark it after it has returned, which the model
        // checker does not accept for a thread that waits in `join`.
        let putter = thread::spawn(move || putter.put(7).unwrap());
        // In the model a deadline has always passed.
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
    // Both outcomes must occur, otherwise the model would prove nothing.
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

/// A loop that sleeps, and two threads that notify it.
#[test]
fn a_sleeping_loop_misses_no_notification() {
    #[derive(Default)]
    struct Flag(Mutex<bool>, Condvar);
    // Without a bound it takes minutes; three preemptions are enough to find all known errors.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let state = Arc::new(WakeState::new());
        let flag = Arc::new(Flag::default());
        let work = Arc::new(Mutex::new(0));
        let notifiers = [1, 2].map(|n| {
            let (state, flag, work) = (Arc::clone(&state), Arc::clone(&flag), Arc::clone(&work));
            thread::spawn(move || {
                *work.lock().unwrap() += n;
                if state.notify() {
                    *flag.0.lock().unwrap() = true;
                    flag.1.notify_one();
                }
            })
        });
        // If a wake-up were missed, the model would report a deadlock.
        let mut done = 0;
        while done < 3 {
            if state.begin_sleep() {
                let mut set = flag.0.lock().unwrap();
                while !*set {
                    set = flag.1.wait(set).unwrap();
                }
                *set = false;
            }
            state.end_sleep();
            done += std::mem::take(&mut *work.lock().unwrap());
        }
        for notifier in notifiers {
            notifier.join().unwrap();
        }
    });
}
