//! `mitogen ping`: how long connecting takes, and a round trip.

use crate::cli::PingArgs;
use crate::fleet::Task;
use crate::output::OutputPrefs;
use crate::session::{Env, Job, run_job};

/// Connects and measures. Returns the exit status.
///
/// # Errors
/// Anything that prevents the run as a whole, and errors of standard output.
pub fn ping(env: Env<'_>, args: &PingArgs) -> anyhow::Result<u8> {
    // Times always differ, so results are folded on request only.
    let prefs = OutputPrefs { no_fold: !args.output.fold, ..args.output.prefs() };
    run_job(env, &args.targets.join(" "), Job::new(Task::Ping { json: args.output.json }), prefs)
}
