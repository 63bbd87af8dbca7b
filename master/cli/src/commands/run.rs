//! `mitogen run`: a command on every target.

use mitogen::command::Command;

use crate::cli::RunArgs;
use crate::fleet::{InputSource, Task};
use crate::session::{Env, Job, run_job};

/// Runs the command. Returns the exit status.
///
/// # Errors
/// Anything that prevents the run as a whole, and errors of standard output.
pub fn run(env: Env<'_>, args: &RunArgs) -> anyhow::Result<u8> {
    let input = if args.exec.no_stdin { None } else { InputSource::standard() };
    let command = args.exec.apply(Command::new(args.argv()), input.is_some());
    let job = Job { input, ..Job::new(Task::Run(command)) };
    run_job(env, &args.targets.join(" "), job, args.exec.prefs())
}
