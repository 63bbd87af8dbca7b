//! The limit on open descriptors.

use std::io;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The limits that this process was started with. This is a fact about the process, which started
/// programs get back: some of them (`select`, loops that close every number) suffer from a high one.
static STARTED_WITH: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Raises the soft limit on open descriptors to the hard one (at most a million, which some systems
/// refuse to exceed) and returns it. Children that this crate starts get the old limit back.
///
/// # Errors
/// What the system reports; the limit is then as it was.
pub fn raise_nofile_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(CEILING);
    if wanted <= soft {
        return Ok(soft);
    }
    let _ = STARTED_WITH.set((soft, hard));
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
        // Systems with a per-process ceiling below an "unlimited" hard limit.
        let modest = hard.min(MODEST);
        if modest <= soft {
            return Ok(soft);
        }
        setrlimit(Resource::RLIMIT_NOFILE, modest, hard)?;
        return Ok(modest);
    }
    Ok(wanted)
}

const CEILING: rlim_t = 1 << 20;
const MODEST: rlim_t = 10_240;

/// The limits to give back to a child, when ours were changed.
pub(super) fn started_with() -> Option<(rlim_t, rlim_t)> {
    STARTED_WITH.get().copied()
}
