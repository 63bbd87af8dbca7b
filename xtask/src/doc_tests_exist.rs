//! Checks that the tests which documents name exist.

use std::collections::BTreeSet;

use crate::root::Result;
use crate::tree;

/// Documents whose tables have tests in their last column, as `suite: name` in backticks; further tests of the same
/// suite without `suite: `.
const DOCUMENTS: [&str; 2] = ["docs/SECURITY.md", "docs/WEAKNESSES.md"];

/// Runs the check.
pub(crate) fn run() -> Result<()> {
    let mut known = BTreeSet::new();
    for file in tree::files()?.iter().filter(|file| file.ends_with(".rs") || file.ends_with(".py")) {
        known.extend(functions(&tree::text(file)?.unwrap_or_default()));
    }
    let mut missing = Vec::new();
    let mut count = 0;
    for document in DOCUMENTS {
        let text = tree::text(document)?.ok_or(format!("{document}: not text"))?;
        for (line, name) in named(&text) {
            count += 1;
            if !known.contains(&name) {
                missing.push(format!("{document}:{line}: no such test: {name}"));
            }
        }
    }
    if missing.is_empty() {
        println!("{count} tests that documents name exist");
        Ok(())
    } else {
        Err(missing.join("\n  "))
    }
}

/// The functions that a source defines.
fn functions(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("def "))?;
        rest.split_once('(').map(|(name, _)| name.to_owned())
    })
}

/// The tests that the last cells of tables name, with their lines.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|')) else {
            continue;
        };
        let Some((_, cell)) = row.rsplit_once(" | ") else { continue };
        for words in cell.split('`').skip(1).step_by(2) {
            let (place, name) = words.rsplit_once(": ").map_or(("", words), |(place, name)| (place, name));
            let is_name = name.contains('_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if is_name || !place.is_empty() {
                found.push((number, name.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_last_cells() {
        let text =
            "`not: this_one`\n| a | `nor_this` | `x: a_b`, `c_d` and `e`, `test_f.py: test_g` |\n| - | - |\n";
        let found: Vec<String> =
            named(text).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
        assert_eq!(found, ["2 a_b", "2 c_d", "2 test_g"]);
        let found: Vec<String> = functions("fn a() {}\n    def b(self):\n// fn c\nlet fn_d = 1;").collect();
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn tests_named_in_documents_exist() {
        run().unwrap();
    }

    #[test]
    fn every_weakness_has_its_row() {
        let text = tree::text("docs/WEAKNESSES.md").unwrap().unwrap();
        let first = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse::<u32>().ok();
        let rows: Vec<u32> = text.lines().filter_map(first).collect();
        assert_eq!(rows, (1..=41).collect::<Vec<u32>>());
    }
}
