//! `cargo xtask licences`: checks that every dependency has a licence that `deny.toml` allows.
//!
//! `cargo deny` checks more (advisories, sources) and is used if it is installed. The check here needs only cargo.

use serde_json::Value;

use crate::root::Result;
use crate::steps::{cargo, output, run as run_command, succeeds};
use crate::{spdx, tree};

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    if succeeds(&mut cargo("deny --version")) {
        return run_command(&mut cargo("deny check licenses bans sources"));
    }
    let allowed = allowed()?;
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut refused = Vec::new();
    for package in packages {
        let name = format!("{} {}", text(package, "name"), text(package, "version"));
        let licence = text(package, "license");
        let is_allowed = |id: &str| allowed.iter().any(|allowed| allowed == id);
        match spdx::satisfied(licence, is_allowed) {
            Ok(true) => {}
            Ok(false) => refused.push(format!("{name}: {licence}")),
            Err(error) => refused.push(format!("{name}: {licence:?}: {error}")),
        }
    }
    if refused.is_empty() {
        println!("{} packages, all under allowed licences", packages.len());
        Ok(())
    } else {
        Err(format!("not allowed by deny.toml:\n  {}", refused.join("\n  ")))
    }
}

/// What cargo says about the members of the workspace alone.
pub(crate) fn workspace() -> Result<Value> {
    let text = output(&mut cargo("metadata --format-version 1 --no-deps"))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

/// What cargo says about the workspace and its dependencies. Fails when `Cargo.lock` is not in step with the manifests.
pub(crate) fn metadata() -> Result<Value> {
    let text = output(&mut cargo("metadata --format-version 1 --locked"))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

fn allowed() -> Result<Vec<String>> {
    let text = tree::text("deny.toml")?.ok_or("deny.toml is not text")?;
    let rules: toml::Table = text.parse().map_err(|error| format!("deny.toml: {error}"))?;
    let list = rules.get("licenses").and_then(|table| table.get("allow")).and_then(toml::Value::as_array);
    let list = list.ok_or("deny.toml has no licenses.allow")?;
    Ok(list.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect())
}
