//! Checks that the tests which documents name exist.

use std::collections::BTreeSet;

use crate::root::Result;
use crate::tree;

/// Documents that name tests, after the word `Tests:` or `Test:` up to the end of the paragraph, as `suite: name` or
/// `module::name` in backticks; further tests of the same suite without `suite: `.
const DOCUMENTS: [&str; 3] = ["docs/interop.md", "docs/security.md", "docs/upstream-limitations.md"];

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

/// The tests that a document names, with their lines.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        // A new list entry is a new paragraph.
        if line.trim().is_empty() || line.trim_start().starts_with("- ") {
            inside = false;
        }
        let start = ["Tests: ", "Test: "].iter().find_map(|mark| line.find(mark).map(|at| at + mark.len()));
        let rest = match start {
            Some(at) => &line[at..],
            None if inside => line,
            None => continue,
        };
        inside = true;
        for words in rest.split('`').skip(1).step_by(2) {
            let name = words.rsplit_once(':').map_or(words, |(_, name)| name.trim_start());
            found.push((number, name.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_word_tests() {
        let text = "`not: this_one`\n- a. Tests: `x: a_b`,\n  `c_d` and `e::f`.\n- `nor_this`\n\nTest: `test_f.py: test_g`.\n\n`nor`";
        let found: Vec<String> =
            named(text).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
        assert_eq!(found, ["2 a_b", "3 c_d", "3 f", "6 test_g"]);
        let found: Vec<String> = functions("fn a() {}\n    def b(self):\n// fn c\nlet fn_d = 1;").collect();
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn tests_named_in_documents_exist() {
        run().unwrap();
    }

    #[test]
    fn every_limitation_has_an_entry() {
        let text = tree::text("docs/upstream-limitations.md").unwrap().unwrap();
        let first = |line: &str| line.strip_prefix("**")?.split('.').next()?.parse::<u32>().ok();
        let entries: Vec<u32> = text.lines().filter_map(first).collect();
        assert_eq!(entries, (1..=41).collect::<Vec<u32>>());
    }
}
