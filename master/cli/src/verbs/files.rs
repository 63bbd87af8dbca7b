//! `put` and `get`: what the words mean; the run itself is that of all verbs.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use mitogen::files::{Distribution, Sources};
use mitogen::transports::Registry;

use super::fleet::{Act, perform};
use crate::args::{Get, Global, Placing, Put};
use crate::fleet::{Copy, Direction, Task};
use crate::logs::Loudness;
use crate::output::Wishes;

/// `mitogen put`. The exit status.
///
/// # Errors
/// What prevents all of it, and errors of our own output.
pub fn put(global: &Global, loudness: Loudness, registry: &Registry, asked: &Put) -> anyhow::Result<u8> {
    let (sources, dest) = split(&asked.paths);
    // A source that is not there is said before anybody is connected.
    let sources = Sources::scan(sources)?;
    let all = Distribution::new(&sources, &asked.placing.options());
    let direction = Direction::Put { sources, all, dest: dest.into_os_string().into_vec() };
    perform(
        global,
        loudness,
        registry,
        &asked.targets,
        act(direction, &asked.placing),
        wishes(asked.placing.json),
    )
}

/// `mitogen get`. The exit status.
///
/// # Errors
/// What prevents all of it, and errors of our own output.
pub fn get(global: &Global, loudness: Loudness, registry: &Registry, asked: &Get) -> anyhow::Result<u8> {
    let (sources, dest) = split(&asked.paths);
    let sources = sources.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    let direction = Direction::Get { sources, dests: vec![dest] };
    perform(
        global,
        loudness,
        registry,
        &asked.targets,
        act(direction, &asked.placing),
        wishes(asked.placing.json),
    )
}

fn split(paths: &[PathBuf]) -> (&[PathBuf], PathBuf) {
    match paths.split_last() {
        Some((dest, sources)) => (sources, dest.clone()),
        // The command line asks for two at least.
        None => (&[], PathBuf::new()),
    }
}

fn act(direction: Direction, placing: &Placing) -> Act {
    Act { task: Task::Copy(Copy::new(direction, placing.options())), input: None, sources: Vec::new() }
}

fn wishes(json: bool) -> Wishes {
    Wishes { json, no_fold: true, plain: true, ..Wishes::default() }
}
