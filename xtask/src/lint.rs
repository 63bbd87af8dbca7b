//! `cargo xtask lint`: all checks that need no test run.

use crate::root::Result;
use crate::steps::{Steps, cargo, command, run as run_command, succeeds};
use crate::{
    cli_docs, doc_tests_exist, documents, errors, features, imports, licences, packages, prepare, style,
};

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    components()?;
    prepare::build_tools()?;
    let mut steps = Steps::default();
    steps.step("format", || run_command(&mut cargo("fmt --all -- --check")));
    steps.step("clippy", || run_command(&mut cargo("clippy --workspace --all-targets -- -D warnings")));
    steps.step("features", features::run);
    steps.step("rustdoc", rustdoc);
    steps.step("style-check", style::run);
    steps.step("errors", errors::run);
    steps.step("imports", imports::run);
    document_steps(&mut steps);
    steps.step("licences", licences::run);
    steps.step("packages", packages::run);
    steps.finish()
}

/// The steps that concern documents, as a task.
pub(crate) fn documents() -> Result<()> {
    let mut steps = Steps::default();
    document_steps(&mut steps);
    steps.finish()
}

fn document_steps(steps: &mut Steps) {
    steps.step("doc-tests-exist", doc_tests_exist::run);
    steps.step("links and citations", documents::run);
    steps.step("help and documents", cli_docs::run);
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
