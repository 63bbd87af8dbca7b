//! Tests of the latch with real threads; `model.rs` checks all schedules.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::{Closed, Latch, LatchError};

const LONG: Duration = Duration::from_secs(20);

fn wait_for_waiters<T>(latch: &Latch<T>, count: usize) {
    let deadline = Instant::now() + LONG;
    while latch.waiting() != count {
        assert!(Instant::now() < deadline, "no thread waits");
        thread::yield_now();
    }
}

#[test]
fn values_are_returned_in_order() {
    let latch = Latch::new();
    assert_eq!(latch.try_get(), Ok(None));
    for n in 0..5 {
        latch.put(n).unwrap();
    }
    assert_eq!(latch.len(), 5);
    assert_eq!(latch.try_get(), Ok(Some(0)));
    assert_eq!(latch.get(), Ok(1));
    assert_eq!(latch.get_timeout(Duration::ZERO), Ok(2));
    assert_eq!(latch.get_deadline(Instant::now()), Ok(3));
    assert_eq!(latch.get_timeout(Duration::MAX), Ok(4));
    assert!(latch.is_empty());
}

#[test]
fn waiting_threads_are_served_in_order() {
    let latch = Latch::new();
    let mut threads = Vec::new();
    for n in 0..4 {
        let getter = latch.clone();
        threads.push(thread::spawn(move || getter.get_timeout(LONG)));
        wait_for_waiters(&latch, n + 1);
    }
    for n in 0..4 {
        latch.put(n).unwrap();
    }
    // A value that was handed to a thread cannot be taken by another one.
    assert_eq!(latch.try_get(), Ok(None));
    let got: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect();
    assert_eq!(got, [0, 1, 2, 3]);
}

#[test]
fn a_timeout_loses_no_value() {
    let latch = Latch::new();
    let start = Instant::now();
    assert_eq!(latch.get_timeout(Duration::from_millis(15)), Err(LatchError::TimedOut));
    assert!(start.elapsed() >= Duration::from_millis(15));
    assert_eq!(latch.waiting(), 0);
    latch.put("late").unwrap();
    assert_eq!(latch.get(), Ok("late"));
}

#[test]
fn a_closed_latch_returns_queued_values_and_then_fails() {
    let latch = Latch::new();
    latch.put(1).unwrap();
    latch.close();
    latch.close();
    assert!(latch.is_closed());
    assert_eq!(latch.put(2), Err(Closed(2)));
    assert_eq!(latch.get(), Ok(1));
    assert_eq!(latch.get(), Err(LatchError::Closed));
    assert_eq!(latch.try_get(), Err(LatchError::Closed));
    assert_eq!(latch.get_timeout(LONG), Err(LatchError::Closed));
}

#[test]
fn closing_ends_all_waits() {
    let latch = Latch::<()>::new();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let getter = latch.clone();
            thread::spawn(move || getter.get_timeout(LONG))
        })
        .collect();
    wait_for_waiters(&latch, 3);
    latch.close();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Err(LatchError::Closed));
    }
}

#[test]
fn concurrent_puts_and_gets_neither_lose_nor_duplicate_values() {
    const EACH: usize = 5_000;
    let latch = Latch::new();
    let getters: Vec<_> = (0..3)
        .map(|n| {
            let latch = latch.clone();
            thread::spawn(move || {
                let mut got = Vec::new();
                loop {
                    // The first one times out most of the time.
                    let timeout = if n == 0 { Duration::from_micros(5) } else { LONG };
                    match latch.get_timeout(timeout) {
                        Ok(value) => got.push(value),
                        Err(LatchError::TimedOut) => {}
                        Err(LatchError::Closed) => return got,
                    }
                }
            })
        })
        .collect();
    let putters: Vec<_> = (0..3)
        .map(|n| {
            let latch = latch.clone();
            thread::spawn(move || (0..EACH).for_each(|m| latch.put(n * EACH + m).unwrap()))
        })
        .collect();
    for putter in putters {
        putter.join().unwrap();
    }
    latch.close();
    let mut all: Vec<_> = getters.into_iter().flat_map(|getter| getter.join().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..3 * EACH).collect::<Vec<_>>());
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_is_woken_by_a_put_and_by_closing() {
    let latch = Latch::new();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    assert_eq!(latch.poll_get(&mut cx), Poll::Pending);
    assert_eq!(latch.poll_get(&mut cx), Poll::Pending);
    latch.put(1).unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "one wake for any number of polls");
    assert_eq!(latch.poll_get(&mut cx), Poll::Ready(Ok(1)));
    latch.put(2).unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "no poll is pending");
    assert_eq!(latch.poll_get(&mut cx), Poll::Ready(Ok(2)));
    assert_eq!(latch.poll_get(&mut cx), Poll::Pending);
    latch.close();
    assert_eq!(count.0.load(Ordering::SeqCst), 2);
    assert_eq!(latch.poll_get(&mut cx), Poll::Ready(Err(LatchError::Closed)));
}

#[test]
fn the_listener_runs_after_puts_and_closing_without_a_lock() {
    let latch = Latch::new();
    let heard = Arc::new(AtomicUsize::new(0));
    let (count, inner) = (Arc::clone(&heard), latch.clone());
    let old = latch.set_listener(Some(Arc::new(move || {
        inner.len();
        count.fetch_add(1, Ordering::SeqCst);
    })));
    assert!(old.is_none());
    latch.put(1).unwrap();
    latch.put(2).unwrap();
    latch.close();
    latch.close();
    assert!(latch.put(3).is_err());
    assert_eq!(heard.load(Ordering::SeqCst), 3);
    assert!(latch.set_listener(None).is_some());
}

#[test]
fn a_latch_is_send_and_sync_if_its_values_are_send() {
    fn check<T: Send + Sync>() {}
    check::<Latch<std::cell::Cell<u8>>>();
}
