//! Modules on demand: real packages that targets lack, served through several contexts, once per link.
//!
//! Every test runs in its own process and must leak no descriptor, thread, process or file.

#[path = "../frame_log.rs"]
mod frame_log;
mod link;
#[path = "../loads.rs"]
mod loads;
mod packages;
mod resources;
mod rules;
mod upstream;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mitogen::modules::{Finder, FinderOptions, ModuleSource};
use mitogen::transports::local::Local;
use mitogen::{ChildSettings, ConnectRequest, Context, Master, MasterOptions, Python};

/// Longer than any step of a test takes, so that a hang is an error.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A source of the modules in these directories.
fn finder(paths: &[&Path]) -> Arc<dyn ModuleSource> {
    let options = paths.iter().fold(FinderOptions::default(), |options, path| options.path(*path));
    Arc::new(Finder::new(&options).expect("a finder"))
}

/// A master that serves the modules of these directories.
fn master(paths: &[&Path]) -> Master {
    let options = MasterOptions::default().modules(vec![finder(paths)]);
    Master::start(options).expect("a master starts")
}

/// Settings for children whose interpreter is this command line.
fn started_by(argv: &[&str]) -> ChildSettings {
    ChildSettings::new(Python::with_interpreter(argv.iter().copied()))
}

/// A chain of `length` contexts on this machine, each a child of the previous one; not waited for.
fn chain(master: &Master, settings: &ChildSettings, length: usize) -> Vec<Context> {
    let mut contexts: Vec<Context> = Vec::new();
    for _ in 0..length {
        let transport = Local::default();
        let request = ConnectRequest { transport: &transport, name: None, via: contexts.last(), settings };
        let connecting = master.connector().connect(&request).expect("a plan");
        contexts.push(connecting.context().clone());
    }
    contexts
}

/// Calls `module.function` and returns its result, or panics with the error.
fn call<T: mitogen_core::call::FromMessage>(
    context: &Context,
    function: &str,
    args: impl serde::Serialize,
) -> T {
    let request = context.request(function.parse().expect("a function's name")).args(args);
    request.timeout(TIMEOUT).call().unwrap_or_else(|error| panic!("{function}: {error}"))
}
