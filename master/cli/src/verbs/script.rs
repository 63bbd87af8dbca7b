//! `mitogen script`: a program of this machine, read here and run there.

use std::io::{self, Read};
use std::path::Path;

use mitogen::command::Command;
use mitogen::transports::Registry;
use thiserror::Error;

use super::fleet::{Act, execution_wishes, perform, prepare, sources};
use crate::args::{Global, Script};
use crate::fleet::{InputSource, Task};
use crate::logs::Loudness;

/// The name of a program that comes from standard input.
const STANDARD_INPUT: &str = "-";

/// The program cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the program {name}")]
pub struct UnreadableProgram {
    name: String,
    source: io::Error,
}

/// `mitogen script`. The exit status.
///
/// # Errors
/// What prevents all of it, and errors of our own output.
pub fn script(
    global: &Global,
    loudness: Loudness,
    registry: &Registry,
    asked: &Script,
) -> anyhow::Result<u8> {
    // The command line has at least the file: clap sees to that.
    let name = asked.program.first().map_or(STANDARD_INPUT, String::as_str);
    let source = read(name)?;
    let from_input = name == STANDARD_INPUT;
    let input = if asked.execution.no_stdin || from_input { None } else { InputSource::standard() };
    let command = Command::script(source, asked.program.clone());
    let command = prepare(command, &asked.execution, input.is_some());
    let beside = if from_input { "." } else { name };
    let sources = sources(&asked.modules, Some(Path::new(beside)))?;
    let wishes = execution_wishes(&asked.execution);
    let act = Act { task: Task::Run(command), input, sources };
    perform(global, loudness, registry, &asked.targets, act, wishes)
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
