//! `mitogen put` and `mitogen get`: files and directories to and from every target.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use mitogen::files::{Distribution, Sources};

use crate::cli::{GetArgs, PutArgs};
use crate::fleet::{Copy, Direction, Task};
use crate::session::{Env, Job, run_job};

/// Copies to the targets. Returns the exit status.
///
/// # Errors
/// A local source that cannot be read, anything that prevents the run as a whole, and errors of standard
/// output.
pub fn put(env: Env<'_>, args: &PutArgs) -> anyhow::Result<u8> {
    let (sources, dest) = split(&args.paths);
    // A missing source is reported before anything is connected.
    let sources = Sources::scan(sources)?;
    let distribution = Distribution::new(&sources, &args.transfer.options());
    let direction = Direction::Put { sources, distribution, dest: dest.into_os_string().into_vec() };
    run_job(env, &args.targets, job(direction), args.transfer.prefs())
}

/// Copies from the targets. Returns the exit status.
///
/// # Errors
/// Anything that prevents the run as a whole, and errors of standard output.
pub fn get(env: Env<'_>, args: &GetArgs) -> anyhow::Result<u8> {
    let (sources, dest) = split(&args.paths);
    let sources = sources.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    let direction = Direction::Get { sources, dests: vec![dest], options: args.transfer.options() };
    run_job(env, &args.targets, job(direction), args.transfer.prefs())
}

fn split(paths: &[PathBuf]) -> (&[PathBuf], PathBuf) {
    match paths.split_last() {
        Some((dest, sources)) => (sources, dest.clone()),
        // clap requires at least two paths.
        None => (&[], PathBuf::new()),
    }
}

fn job(direction: Direction) -> Job {
    Job::new(Task::Copy(Copy::new(direction)))
}
