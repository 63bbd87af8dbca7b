//! `cargo xtask lint`: all checks that need no test run.

use crate::root::Result;
use crate::steps::{Steps, cargo, command, run as run_command, succeeds};
use crate::{doc_tests_exist, errors, imports, licences, style};

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    components()?;
    let mut steps = Steps::default();
    steps.step("format", || run_command(&mut cargo("fmt --all -- --check")));
    steps.step("clippy", || run_command(&mut cargo("clippy --workspace --all-targets -- -D warnings")));
    steps.step("rustdoc", rustdoc);
    steps.step("style-check", style::run);
    steps.step("imports", imports::report);
    steps.step("doc-tests-exist", doc_tests_exist::run);
    steps.step("errors", errors::run);
    steps.step("licences", licences::run);
    steps.finish()
}

/// Adds rustfmt and clippy, which a toolchain of the minimal profile missing.
fn components() -> Result<()> {
    let missing: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(cargo_command, _)| !succeeds(&mut cargo(&format!("{cargo_command} --version"))))
        .map(|(_, component)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing from the toolchain: {}", missing.join(", "));
    run_command(&mut command("rustup", [&["component", "add"], &missing[..]].concat()))
        .map_err(|error| format!("{error}; install {}", missing.join(" and ")))
}

/// The program and the library are both called `mitogen` and write the same pages, so the program goes first.
fn rustdoc() -> Result<()> {
    for line in
        ["doc --package mitogen-cli --bins --no-deps", "doc --workspace --exclude mitogen-cli --no-deps"]
    {
        run_command(cargo(line).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}
