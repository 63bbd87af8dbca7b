//! Waiting for a condition with a deadline; fixtures wait in no other way.

use std::time::{Duration, Instant};

/// How long a fixture waits for another program before it fails.
///
/// Long, because a loaded two-core machine is slow, and a wait that succeeds ends early.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Polls `condition` until it returns a value; `None` if `limit` passes first.
pub fn until<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
