//! `cargo xtask loc`: lines by crate and language, blank and comment lines apart. Advises, never fails.

use std::collections::BTreeMap;

use crate::root::Result;
use crate::tree;

/// Runs the chore.
pub(crate) fn run() -> Result<()> {
    let manifests: Vec<String> = tree::files()?
        .into_iter()
        .filter(|file| file.ends_with("Cargo.toml") && file.contains('/'))
        .collect();
    let rooms: Vec<&str> = manifests.iter().filter_map(|file| file.strip_suffix("/Cargo.toml")).collect();
    let mut totals: BTreeMap<(&str, &str), [usize; 3]> = BTreeMap::new();
    let files = tree::files()?;
    for file in &files {
        let Some((_, language)) = file.rsplit_once('.').filter(|(_, end)| ["rs", "py"].contains(end)) else {
            continue;
        };
        // The longest match: a crate may stand inside another's folder.
        let room =
            rooms.iter().filter(|room| file.starts_with(&format!("{room}/"))).max_by_key(|room| room.len());
        let Some(text) = tree::text(file)? else { continue };
        let count = totals.entry((room.unwrap_or(&"."), language)).or_default();
        count[0] += 1;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            count[if line.starts_with("//") || line.starts_with('#') { 2 } else { 1 }] += 1;
        }
    }
    println!("{:24} {:4} {:>6} {:>8} {:>8}", "room", "", "files", "code", "comment");
    for ((room, language), [files, code, comment]) in &totals {
        println!("{room:24} {language:4} {files:6} {code:8} {comment:8}");
    }
    Ok(())
}
