//! `mitogen call`: a Python function on every target, with JSON arguments and results.

use mitogen_core::call::FunctionName;

use crate::call_args;
use crate::cli::CallArgs;
use crate::fleet::Task;
use crate::json;
use crate::session::{Env, Job, run_job, sources};

/// Calls the function. Returns the exit status.
///
/// # Errors
/// Arguments that are not JSON, anything that prevents the run as a whole, and errors of standard output.
pub fn call(env: Env<'_>, args: &CallArgs) -> anyhow::Result<u8> {
    let job = Job { sources: sources(&args.modules, None)?, ..Job::new(task(args)?) };
    run_job(env, &args.targets, job, args.output.prefs())
}

fn task(args: &CallArgs) -> anyhow::Result<Task> {
    let given = call_args::parse(&args.arguments)?;
    let function: FunctionName = args.function.parse()?;
    Ok(Task::Call {
        function,
        positional: given.positional.iter().map(json::from_json).collect(),
        keywords: given.keywords.iter().map(|(name, value)| (name.clone(), json::from_json(value))).collect(),
    })
}
