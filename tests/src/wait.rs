//! Waiting for a condition, with a deadline: the only way the fixtures wait.

use std::time::{Duration, Instant};

/// How long a fixture waits for another program before it gives up.
///
/// Generous, because a loaded two-core machine is slow and a wait that succeeds costs nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `condition` again and again until it gives a value; `None` when `limit` has passed.
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
