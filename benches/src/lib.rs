//! What the benchmarks and the measuring programs share: a master with a child, and a clock.

pub mod library;
mod listening;

use std::time::Instant;

pub use listening::Listening;

/// Seconds that one of `times` runs of `work` takes on average, after one that is not counted.
pub fn each(times: u32, mut work: impl FnMut()) -> f64 {
    work();
    let start = Instant::now();
    for _ in 0..times {
        work();
    }
    start.elapsed().as_secs_f64() / f64::from(times)
}
