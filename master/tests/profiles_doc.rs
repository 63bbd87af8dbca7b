//! `docs/profiles.md` describes what profiles accept: its option tables are generated from the transports' option
//! specifications, and its examples are loaded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use mitogen::profiles::{Inventory, ProfileFile};
use mitogen::transports::{OptionKind, OptionSpec, TransportKind, builtin};

const DOCUMENT: &str = include_str!("../../docs/profiles.md");

/// When this variable is set, the generated tables are written anew.
const BLESS: &str = "MITOGEN_BLESS";

const END: &str = "<!-- end of options -->";

fn table(kind: &TransportKind) -> String {
    let mut text = "| option | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    for spec in kind.options() {
        let (default, doc) = (spec.default_text(), &spec.doc);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{}` | {} | {default} | {doc} |", spec.name, spec.kind);
    }
    text
}

/// The document with every generated table written anew, and the transports that have one.
fn generated() -> (String, Vec<String>) {
    let registry = builtin();
    let (mut text, mut names) = (String::new(), Vec::new());
    let mut parts = DOCUMENT.split("<!-- options: ");
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").expect("a marker with a name");
        let (_, rest) = rest.split_once(END).expect("a marker for the end of the table");
        let kind = registry.get(name).unwrap_or_else(|| panic!("there is no transport {name}"));
        let _ = write!(text, "<!-- options: {name} -->\n{}{END}{rest}", table(kind));
        names.push(name.to_owned());
    }
    names.sort_unstable();
    (text, names)
}

#[test]
fn option_tables_are_up_to_date() {
    let (text, names) = generated();
    // `ssh2` takes the options of `ssh`, and is there only if its feature is.
    let registry = builtin();
    let tables = registry.names().filter(|name| *name != "ssh2");
    assert_eq!(names, tables.collect::<Vec<_>>(), "one table for each transport");
    if std::env::var_os(BLESS).is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/profiles.md");
        std::fs::write(path, &text).unwrap();
        return;
    }
    for (old, new) in DOCUMENT.lines().zip(text.lines()) {
        assert_eq!(
            old, new,
            "run `{BLESS}=1 cargo test -p mitogen --test profiles_doc` to update the tables"
        );
    }
    assert_eq!(
        DOCUMENT, text,
        "run `{BLESS}=1 cargo test -p mitogen --test profiles_doc` to update the tables"
    );
}

/// A value of the type, as TOML.
fn sample(kind: &OptionKind) -> String {
    match kind {
        OptionKind::String => "\"x\"".to_owned(),
        OptionKind::Integer { min, .. } => (min + 1).to_string(),
        OptionKind::Number | OptionKind::Seconds => "2.5".to_owned(),
        OptionKind::Boolean => "true".to_owned(),
        OptionKind::StringArray => "[]".to_owned(),
        OptionKind::Enum(values) => format!("{:?}", values[0]),
        OptionKind::Secret => "{ env = \"X\" }".to_owned(),
        other => panic!("no sample for {other:?}"),
    }
}

fn check(text: &str) {
    if let Err(faults) = Inventory::parse(&ProfileFile::from_text("m.toml", text), &builtin()) {
        panic!("{faults}\n{text}");
    }
}

#[test]
fn every_option_is_accepted_in_a_profile() {
    for kind in builtin().iter() {
        let line = |spec: &OptionSpec| format!("{} = {}\n", spec.name, sample(&spec.kind));
        let lines: String = kind.options().iter().map(line).collect();
        check(&format!("[profile.x]\nmethod = \"{}\"\nvia = \"local\"\n{lines}", kind.name()));
    }
}

/// The keys and types of the hand-written tables, by section.
fn key_tables() -> BTreeMap<&'static str, Vec<[&'static str; 2]>> {
    let mut tables: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut section = "";
    for line in DOCUMENT.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.trim_matches('`');
        } else if let Some(row) = line.strip_prefix("| `").filter(|_| section.starts_with('[')) {
            let cells: Vec<&str> = row.split(" | ").collect();
            let key = cells[0].strip_suffix('`').unwrap_or_else(|| panic!("{line}"));
            assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.trim().is_empty()), "{line}");
            tables.entry(section).or_default().push([key, cells[1]]);
        }
    }
    tables
}

#[test]
fn every_documented_key_is_accepted() {
    let tables = key_tables();
    let lines = |section: &str| -> String {
        let sample = |[key, kind]: &[&str; 2]| match (*key, *kind) {
            ("method", _) => "\"sudo\"",
            ("mitogen_package", _) => "\"/opt/mitogen\"",
            ("via" | "extends", _) => "\"base\"",
            (_, "keep-alive") => "{ interval = 15, count = 3 }",
            (_, "string") => "\"x\"",

            (_, "integer") => "7",
            (_, "seconds") => "2.5",
            (_, "array of strings") => "[\"python3\"]",
            (key, kind) => panic!("{key} is of type {kind}, of which there is no sample"),
        };
        tables[section].iter().map(|row| format!("{} = {}\n", row[0], sample(row))).collect()
    };
    check(&format!("[defaults]\n{}", lines("[defaults]")));
    let base = "[profile.base]\nmethod = \"local\"\n";
    check(&format!("{base}[profile.x]\n{}", lines("[profile.NAME]")));
}

#[test]
fn examples_are_valid() {
    let examples: Vec<&str> =
        DOCUMENT.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 5);
    for example in examples {
        check(example);
    }
}
