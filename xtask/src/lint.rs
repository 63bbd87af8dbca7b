//! `cargo xtask lint`: what can be said of the text without running it.

use crate::root::Result;
use crate::steps::{Steps, cargo, command, run as run_command, succeeds};
use crate::{claims, imports, licences, tidy};

/// Runs the chore.
pub(crate) fn run() -> Result<()> {
    components()?;
    let mut steps = Steps::default();
    steps.step("format", || run_command(&mut cargo("fmt --all -- --check")));
    steps.step("clippy", || run_command(&mut cargo("clippy --workspace --all-targets -- -D warnings")));
    steps.step("rustdoc", rustdoc);
    steps.step("tidy", tidy::run);
    steps.step("imports", imports::report);
    steps.step("documents", claims::run);
    steps.step("licences", licences::run);
    steps.finish()
}

/// A toolchain of the minimal profile lacks the formatter and clippy; rustup can add them.
fn components() -> Result<()> {
    let lacks: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(cargo_command, _)| !succeeds(&mut cargo(&format!("{cargo_command} --version"))))
        .map(|(_, component)| component)
        .collect();
    if lacks.is_empty() {
        return Ok(());
    }
    println!("missing from the toolchain: {}", lacks.join(", "));
    run_command(&mut command("rustup", [&["component", "add"], &lacks[..]].concat()))
        .map_err(|error| format!("{error}; install {}", lacks.join(" and ")))
}

/// The command and the library have one name and would write over each other's pages, so the command goes first.
fn rustdoc() -> Result<()> {
    for line in
        ["doc --package mitogen-cli --bins --no-deps", "doc --workspace --exclude mitogen-cli --no-deps"]
    {
        run_command(cargo(line).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}
