//! `cargo xtask features`: checks that `mitogen` compiles without its features, and with each of them alone.

use crate::licences::workspace;
use crate::root::Result;
use crate::steps::{cargo, run as run_command};

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    let metadata = workspace()?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let package = packages.iter().find(|package| package["name"] == "mitogen").ok_or("no crate `mitogen`")?;
    let features = package["features"].as_object().ok_or("`mitogen` has no features")?;
    run_command(&mut check("--lib"))?;
    for feature in features.keys().filter(|feature| *feature != "default") {
        run_command(&mut check(&format!("--lib --features {feature}")))?;
    }
    Ok(())
}

/// Warnings of this crate fail the check; those of its dependencies are the business of other checks.
fn check(flags: &str) -> std::process::Command {
    cargo(&format!("clippy --quiet -p mitogen --no-deps --no-default-features {flags} -- -D warnings"))
}
