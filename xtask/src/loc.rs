//! `cargo xtask loc`: counts lines by crate and language, code and comments separately.

use std::collections::BTreeMap;

use crate::root::Result;
use crate::tree;

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    let manifests: Vec<String> = tree::files()?
        .into_iter()
        .filter(|file| file.ends_with("Cargo.toml") && file.contains('/'))
        .collect();
    let crates: Vec<&str> = manifests.iter().filter_map(|file| file.strip_suffix("/Cargo.toml")).collect();
    let mut totals: BTreeMap<(&str, &str), [usize; 3]> = BTreeMap::new();
    let files = tree::files()?;
    for file in &files {
        let Some((_, language)) = file.rsplit_once('.').filter(|(_, end)| ["rs", "py"].contains(end)) else {
            continue;
        };
        // The longest match, since crates are nested.
        let krate = crates
            .iter()
            .filter(|krate| file.starts_with(&format!("{krate}/")))
            .max_by_key(|krate| krate.len());
        let Some(text) = tree::text(file)? else { continue };
        let count = totals.entry((krate.unwrap_or(&"."), language)).or_default();
        count[0] += 1;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            count[if line.starts_with("//") || line.starts_with('#') { 2 } else { 1 }] += 1;
        }
    }
    println!("{:24} {:4} {:>6} {:>8} {:>8}", "crate", "", "files", "code", "comment");
    for ((krate, language), [files, code, comment]) in &totals {
        println!("{krate:24} {language:4} {files:6} {code:8} {comment:8}");
    }
    Ok(())
}
