//! `mitogen script`: a local Python program, read here and run on every target.

use std::io::{self, Read};
use std::path::Path;

use mitogen::command::Command;
use thiserror::Error;

use crate::cli::ScriptArgs;
use crate::fleet::{InputSource, Task};
use crate::session::{Env, Job, run_job, sources};

/// The name of a program that is read from standard input.
const STANDARD_INPUT: &str = "-";

/// The program cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the program {name}")]
pub struct UnreadableProgram {
    name: String,
    source: io::Error,
}

/// Runs the program. Returns the exit status.
///
/// # Errors
/// Anything that prevents the run as a whole, and errors of standard output.
pub fn script(env: Env<'_>, args: &ScriptArgs) -> anyhow::Result<u8> {
    // clap requires the file, so the default is never used.
    let name = args.program.first().map_or(STANDARD_INPUT, String::as_str);
    let source = read(name)?;
    let from_input = name == STANDARD_INPUT;
    let input = if args.exec.no_stdin || from_input { None } else { InputSource::standard() };
    let command = Command::script(source, args.program.clone());
    let command = args.exec.apply(command, input.is_some());
    let program = if from_input { "." } else { name };
    let sources = sources(&args.modules, Some(Path::new(program)))?;
    run_job(env, &args.targets, Job { task: Task::Run(command), input, sources }, args.exec.prefs())
}

fn read(name: &str) -> Result<Vec<u8>, UnreadableProgram> {
    let read = if name == STANDARD_INPUT {
        let mut source = Vec::new();
        io::stdin().lock().read_to_end(&mut source).map(|_| source)
    } else {
        std::fs::read(name)
    };
    let shown = if name == STANDARD_INPUT { "from standard input" } else { name };
    read.map_err(|source| UnreadableProgram { name: shown.to_owned(), source })
}
