//! Helpers of the benchmarks and the measuring programs.

pub mod library;
mod listening;

use std::time::Instant;

pub use listening::Listening;

/// The mean time of `times` runs of `work` in seconds, after one warm-up run.
pub fn each(times: u32, mut work: impl FnMut()) -> f64 {
    work();
    let start = Instant::now();
    for _ in 0..times {
        work();
    }
    start.elapsed().as_secs_f64() / f64::from(times)
}
