//! Minimizes several sources in parallel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::Error;
use crate::minimize::minimize_source;

/// Calls [`minimize_source`] for each of `sources` on all processors, and returns the results in the same order.
///
/// # Panics
/// Only if [`minimize_source`] panics, which would be a bug.
pub fn minimize_all<S: AsRef<[u8]> + Sync>(sources: &[S]) -> Vec<Result<Vec<u8>, Error>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(source) = sources.get(at) else { return done };
            done.push((at, minimize_source(source.as_ref())));
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..processors.min(sources.len())).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, minimized)| minimized).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_their_sources() {
        let sources: Vec<String> =
            (0..500).map(|at| format!("x{at} = 1 # comment\n{}", ")".repeat(at % 2))).collect();
        let minimized = minimize_all(&sources);
        assert_eq!(minimized.len(), sources.len());
        for (source, minimized) in sources.iter().zip(minimized) {
            assert_eq!(minimized, minimize_source(source.as_bytes()));
        }
        assert!(minimize_all::<&[u8]>(&[]).is_empty());
    }
}
