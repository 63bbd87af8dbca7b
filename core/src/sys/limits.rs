//! `RLIMIT_NOFILE`, the limit on open descriptors.

use std::io;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The limits that this process was started with; global because the limit is. Started programs get them back, since
/// a high limit breaks or slows down some programs (`select`, loops that close every descriptor).
static STARTED_WITH: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Raises the soft limit on open descriptors to the hard limit, at most 1,048,576, and returns it. Children that
/// [`spawn`](super::spawn) starts get the original limit.
///
/// # Errors
/// The error of the system call; the limit is then unchanged.
pub fn raise_nofile_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(MAX_LIMIT);
    if wanted <= soft {
        return Ok(count(soft));
    }
    let _ = STARTED_WITH.set((soft, hard));
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
        // Some systems report an unlimited hard limit but have a lower maximum for each process.
        let fallback = hard.min(FALLBACK_LIMIT);
        if fallback <= soft {
            return Ok(count(soft));
        }
        setrlimit(Resource::RLIMIT_NOFILE, fallback, hard)?;
        return Ok(count(fallback));
    }
    Ok(count(wanted))
}

/// Converts a limit, whose type differs between systems. Limits are never negative.
fn count(limit: rlim_t) -> u64 {
    #[allow(clippy::unnecessary_cast, reason = "it is signed on some systems")]
    let count = limit as u64;
    count
}

const MAX_LIMIT: rlim_t = 1 << 20;
/// The highest limit that macOS accepts.
const FALLBACK_LIMIT: rlim_t = 10_240;

/// The limits to restore in a child, if [`raise_nofile_limit`] has changed them.
pub(super) fn started_with() -> Option<(rlim_t, rlim_t)> {
    STARTED_WITH.get().copied()
}
