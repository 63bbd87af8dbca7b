//! `cargo xtask packages`: checks that every published crate can be packaged and says what a registry shows.

use std::path::Path;

use serde_json::Value;

use crate::licences::workspace;
use crate::root::Result;
use crate::steps::{cargo, run as run_command};

/// What each manifest must have.
const FIELDS: [&str; 8] =
    ["description", "license", "repository", "readme", "keywords", "categories", "rust_version", "edition"];
/// Both licences reach each package, as links to the files at the top.
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    let metadata = workspace()?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let published: Vec<&Value> = packages.iter().filter(|package| !is_private(package)).collect();
    let faults: Vec<String> = published.iter().flat_map(|package| faults(package)).collect();
    if !faults.is_empty() {
        return Err(faults.join("\n  "));
    }
    let names: Vec<String> =
        published.iter().filter_map(|package| Some(format!("-p {}", package["name"].as_str()?))).collect();
    // Compiling the packages again would take minutes; `cargo publish` does it.
    let line = format!("package --no-verify --allow-dirty --offline --quiet {}", names.join(" "));
    run_command(&mut cargo(&line))?;
    println!("{} packages", names.len());
    Ok(())
}

/// Whether the manifest has `publish = false`.
fn is_private(package: &Value) -> bool {
    package["publish"].as_array().is_some_and(Vec::is_empty)
}

fn faults(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let mut faults: Vec<String> = FIELDS
        .iter()
        .filter(|field| is_empty(&package[**field]))
        .map(|field| format!("{name}: its manifest has no {field}"))
        .collect();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let missing = LICENCES.iter().filter(|file| !manifest.with_file_name(file).is_file());
    faults.extend(missing.map(|file| format!("{name}: link {file} from the top directory into the crate's")));
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let is_unversioned = !dependency["path"].is_null() && dependency["req"] == "*";
        // A dependency for tests that has no version is left out of the package.
        if is_unversioned && dependency["kind"] != "dev" {
            faults.push(format!("{name}: the dependency {} has a path and no version", dependency["name"]));
        }
    }
    faults
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_fields_licences_and_versions_are_named() {
        let package = json!({
            "name": "a",
            "manifest_path": "/nowhere/Cargo.toml",
            "description": "d", "license": "MIT", "repository": "r", "readme": "README.md",
            "categories": ["c"], "keywords": [], "rust_version": "1.88", "edition": "2024",
            "dependencies": [
                {"name": "b", "path": "/b", "req": "*", "kind": null},
                {"name": "c", "path": "/c", "req": "^0.1", "kind": null},
                {"name": "d", "path": "/d", "req": "*", "kind": "dev"},
            ],
        });
        let faults = faults(&package);
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert_eq!(faults[0], "a: its manifest has no keywords");
        assert!(faults[1].contains("LICENSE-MIT") && faults[2].contains("LICENSE-APACHE"));
        assert!(faults[3].contains("\"b\""));
    }

    #[test]
    fn unpublished_crates_are_recognized() {
        assert!(is_private(&json!({"publish": []})));
        assert!(!is_private(&json!({"publish": null})));
    }
}
