//! Starts a program whose standard input and output are the link.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

use super::opener::OpenedLink;
use super::process::Processes;
use crate::connect::start::{Spawn, Stdio};
use crate::error::with_causes;
use crate::io::{FdSide, Reactor, Side, sides};
use crate::sys::{self, ChildSpec, ChildStdio, Spawned};

/// Starts the program and watches its process.
///
/// # Errors
/// Why it was not started, with all causes. No process is left.
pub(super) fn start(
    spawn: &Spawn,
    processes: &Processes,
    reactor: &mut dyn Reactor,
) -> Result<OpenedLink, String> {
    let spawned = spawn_child(spawn).map_err(|error| with_causes(&error).to_string())?;
    let process =
        processes.watch(spawned.pid).map_err(|error| format!("cannot watch the process: {error}"))?;
    match wrap(spawned) {
        Ok((ends, stderr)) => Ok(OpenedLink::of_process(ends, stderr, process)),
        Err(error) => {
            process.terminate(reactor);
            Err(format!("cannot use its descriptors: {error}"))
        }
    }
}

fn spawn_child(spawn: &Spawn) -> Result<Spawned, sys::SpawnError> {
    let argv: Vec<OsString> = spawn.argv.iter().map(OsString::from).collect();
    let env: BTreeMap<OsString, Option<OsString>> =
        spawn.env.iter().map(|(key, value)| (key.into(), value.as_ref().map(OsString::from))).collect();
    let stdio = match spawn.stdio {
        Stdio::Socketpair => ChildStdio::Socketpair,
        Stdio::Pipes => ChildStdio::Pipes,
        Stdio::Tty => ChildStdio::Tty,
        Stdio::HybridTty => ChildStdio::HybridTty,
    };
    sys::spawn(&ChildSpec { argv: &argv, env: &env, stdio })
}

type Wrapped = ((FdSide, FdSide), Option<Box<dyn Side>>);

fn wrap(spawned: Spawned) -> io::Result<Wrapped> {
    let ends = sides(spawned.receive, spawned.transmit)?;
    let stderr = match spawned.stderr {
        None => None,
        Some(fd) => Some(Box::new(FdSide::new(fd)?) as Box<dyn Side>),
    };
    Ok((ends, stderr))
}
