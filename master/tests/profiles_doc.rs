//! `PROFILES.md` says what the transports take, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use mitogen::profiles::{Inventory, Source};
use mitogen::transports::builtin;

const DOCUMENT: &str = include_str!("../PROFILES.md");

/// The rows of each section's table: key, type, default and meaning.
fn tables() -> BTreeMap<&'static str, Vec<[&'static str; 4]>> {
    let mut tables: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut section = "";
    for line in DOCUMENT.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.trim_matches('`');
        } else if let Some(cells) = line.strip_prefix("| `").and_then(|row| row.strip_suffix(" |")) {
            let cells: Vec<&str> = cells.split(" | ").collect();
            let [key, kind, default, meaning] = cells[..] else { panic!("{line}") };
            let key = key.strip_suffix('`').unwrap_or_else(|| panic!("{line}"));
            tables.entry(section).or_default().push([key, kind, default, meaning]);
        }
    }
    tables
}

#[test]
fn every_option_of_every_transport_is_there() {
    let tables = tables();
    for kind in builtin().iter() {
        let name = kind.name();
        let rows = tables.get(name).unwrap_or_else(|| panic!("no section for {name}"));
        let told: Vec<&str> = rows.iter().map(|row| row[0]).collect();
        let (told_set, taken): (BTreeSet<_>, BTreeSet<_>) =
            (told.iter().copied().collect(), kind.option_names().collect());
        assert_eq!(told_set, taken, "{name}");
        assert_eq!(told.len(), taken.len(), "{name}: a key twice");
        let secrets: BTreeSet<&str> =
            rows.iter().filter(|row| row[1] == "secret").map(|row| row[0]).collect();
        assert_eq!(
            secrets,
            kind.options().iter().filter(|spec| spec.is_secret()).map(|spec| spec.name.as_str()).collect(),
            "{name}"
        );
        assert!(rows.iter().all(|row| row.iter().all(|cell| !cell.trim().is_empty())), "{name}");
    }
    let sections: BTreeSet<&str> = tables.keys().copied().collect();
    let known = builtin();
    let mut expected: BTreeSet<&str> = known.names().collect();
    expected.extend(["[defaults]", "[profile.NAME]"]);
    assert_eq!(sections, expected, "a section for what does not exist");
}

/// A value of the type that the document names, as TOML.
fn sample(key: &str, kind: &str) -> &'static str {
    match (key, kind) {
        ("method", _) => "\"sudo\"",
        ("via", _) => "\"base\"",
        ("extends", _) => "\"base\"",
        ("check_host_keys", _) => "\"accept\"",
        ("ssh_args" | "sudo_args", _) => "[]",
        ("python", _) => "[\"python3\"]",
        ("ssh_debug_level", _) => "3",
        ("keepalive", _) => "{ interval = 15, count = 3 }",
        (_, "text") => "\"x\"",
        (_, "integer") => "7",
        (_, "number") => "2.5",
        (_, "truth value") => "true",
        (_, "list of texts") => "[\"x\"]",
        (_, "secret") => "{ env = \"X\" }",
        (key, kind) => panic!("{key} is of type {kind}, of which there is no sample"),
    }
}

fn check(text: &str) {
    if let Err(faults) = Inventory::parse(&Source::from_text("m.toml", text), &builtin()) {
        panic!("{faults}\n{text}");
    }
}

#[test]
fn every_type_is_right() {
    let tables = tables();
    let lines = |section: &str| -> String {
        tables[section].iter().map(|[key, kind, ..]| format!("{key} = {}\n", sample(key, kind))).collect()
    };
    for kind in builtin().iter() {
        check(&format!("[profile.x]\nmethod = \"{}\"\nvia = \"local\"\n{}", kind.name(), lines(kind.name())));
    }
    check(&format!("[defaults]\n{}", lines("[defaults]")));
    let base = "[profile.base]\nmethod = \"local\"\n";
    check(&format!("{base}[profile.x]\n{}", lines("[profile.NAME]")));
    let example =
        DOCUMENT.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    check(&example.replace("\"db*\"", "\"web-root\""));
}
