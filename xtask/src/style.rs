//! `cargo xtask style`: style rules that no compiler checks. The rules are in `xtask/style.toml`.

use std::collections::BTreeMap;

use crate::root::Result;
use crate::tree;

const RULES: &str = "xtask/style.toml";

/// Whether unwanted words are only reported, until they are gone everywhere.
const WORDS_ONLY_REPORTED: bool = false;

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    let rules = Rules::read()?;
    let mut faults = Vec::new();
    let mut words = Vec::new();
    let mut seen = 0;
    let mut long = Vec::new();
    for file in tree::files()?.iter().filter(|file| !rules.is_exempt(file)) {
        let Some(text) = tree::text(file)? else { continue };
        seen += 1;
        faults.extend(rules.faults(file, &text).into_iter().map(|fault| format!("{file}{fault}")));
        words.extend(rules.unwanted_words(file, &text).into_iter().map(|fault| format!("{file}{fault}")));
        if is_source(file) && text.lines().count() > rules.limit {
            long.push(file.clone());
        }
    }
    let stale = rules.long.keys().filter(|file| !long.contains(file));
    faults.extend(stale.map(|file| format!("{file}: listed as long in {RULES}, but is not")));
    if WORDS_ONLY_REPORTED && !words.is_empty() {
        println!("{} words, not counted as faults yet\n  {}", words.len(), words.join("\n  "));
    } else {
        faults.extend(words);
    }
    if faults.is_empty() {
        println!("{seen} files follow the rules");
        Ok(())
    } else {
        Err(format!("{} faults\n  {}", faults.len(), faults.join("\n  ")))
    }
}

/// The rules as read from the file.
struct Rules {
    exempt: Vec<String>,
    limit: usize,
    unsafe_dirs: Vec<String>,
    forbidden: Vec<String>,
    /// Words that the project does not use, with what to write instead.
    words: BTreeMap<String, String>,
    /// Words that a file, or all files of a directory, may use although they are in `words`, e.g. in a quotation.
    allowed: BTreeMap<String, Vec<String>>,
    long: BTreeMap<String, String>,
}

impl Rules {
    fn read() -> Result<Self> {
        let text = tree::text(RULES)?.ok_or("not text")?;
        let table: toml::Table = text.parse().map_err(|error| format!("{RULES}: {error}"))?;
        Self::from_table(&table).map_err(|error| format!("{RULES}: {error}"))
    }

    fn from_table(table: &toml::Table) -> Result<Self> {
        let list = |name: &str| -> Result<Vec<String>> {
            let array = table.get(name).and_then(toml::Value::as_array).ok_or(format!("no list {name}"))?;
            let word =
                |value: &toml::Value| value.as_str().map(str::to_owned).ok_or(format!("{name}: not text"));
            array.iter().map(word).collect()
        };
        let texts = |name: &str| -> Result<BTreeMap<String, String>> {
            let table =
                table.get(name).and_then(toml::Value::as_table).ok_or(format!("no table [{name}]"))?;
            let text = |(key, value): (&String, &toml::Value)| {
                let text = value.as_str().filter(|text| !text.trim().is_empty());
                Ok((key.clone(), text.ok_or(format!("{key}: no text"))?.to_owned()))
            };
            table.iter().map(text).collect()
        };
        let mut allowed = BTreeMap::new();
        for (path, words) in
            table.get("allowed").and_then(toml::Value::as_table).ok_or("no table [allowed]")?
        {
            let words: Option<Vec<String>> = words
                .as_array()
                .and_then(|words| words.iter().map(|word| word.as_str().map(str::to_owned)).collect());
            allowed.insert(path.clone(), words.ok_or(format!("{path}: not a list of words"))?);
        }
        let limit = table.get("limit").and_then(toml::Value::as_integer);
        Ok(Self {
            exempt: list("exempt")?,
            limit: limit.and_then(|limit| usize::try_from(limit).ok()).ok_or("no number `limit`")?,
            unsafe_dirs: list("unsafe_dirs")?,
            forbidden: list("forbidden")?,
            words: texts("words")?,
            allowed,
            long: texts("long")?,
        })
    }

    fn is_exempt(&self, file: &str) -> bool {
        // The rules contain the words that they forbid.
        file == RULES || is_under(file, &self.exempt)
    }

    fn allows(&self, file: &str, word: &str) -> bool {
        self.allowed.iter().any(|(path, words)| {
            is_under(file, std::slice::from_ref(path)) && words.iter().any(|allowed| allowed == word)
        })
    }

    /// Words in one file that the project does not use; each begins with `:line`.
    fn unwanted_words(&self, file: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        if !is_text(file) {
            return found;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.to_lowercase();
            for (word, instead) in self.words.iter().filter(|(word, _)| has_word(&line, word)) {
                if !self.allows(file, word) {
                    found.push(format!(":{number}: write {instead:?} instead of {word:?}"));
                }
            }
        }
        found
    }

    /// The faults of one file; each begins with `:line` if it concerns a line.
    fn faults(&self, file: &str, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if is_source(file) {
            if !has_header(file, text) {
                faults.push(": must begin with a comment that says what the file is for".into());
            }
            let lines = text.lines().count();
            if lines > self.limit && !self.long.contains_key(file) {
                faults.push(format!(": {lines} lines; split it, or give a reason in {RULES}"));
            }
        }
        let rust = file.ends_with(".rs");
        let may_be_unsafe = is_under(file, &self.unsafe_dirs);
        for (number, line) in (1..).zip(text.lines()) {
            if rust && !may_be_unsafe && has_word(&without_texts(line), "unsafe") {
                faults.push(format!(":{number}: unsafe outside of unsafe_dirs"));
            }
            for word in self.forbidden.iter().filter(|word| has_word(line, word)) {
                faults.push(format!(":{number}: {word:?} is forbidden"));
            }
        }
        faults
    }
}

/// Whether the words of the file are checked.
fn is_text(file: &str) -> bool {
    is_source(file) || file.ends_with(".md")
}

fn is_source(file: &str) -> bool {
    file.ends_with(".rs") || file.ends_with(".py")
}

fn is_under(file: &str, paths: &[String]) -> bool {
    paths.iter().any(|path| if path.ends_with('/') { file.starts_with(path) } else { file == path })
}

fn has_header(file: &str, text: &str) -> bool {
    // Only a Rust shebang needs care: `#![` opens an attribute, which comes after the header.
    let shebang = |line: &str| line.starts_with("#!") && !line.starts_with("#![");
    let coding = |line: &str| line.starts_with('#') && line.contains("coding");
    let mut lines = text
        .lines()
        .skip_while(|line| shebang(line) || (file.ends_with(".py") && coding(line)) || line.is_empty());
    match lines.next() {
        // An empty file marks a Python package.
        None => file.ends_with("__init__.py"),
        Some(first) if file.ends_with(".rs") => first.starts_with("//!") || first.starts_with("/*!"),
        Some(first) => ["\"\"\"", "r\"\"\"", "'''", "# "].iter().any(|start| first.starts_with(start)),
    }
}

/// A line of Rust without comments and the contents of string literals. Literals over several lines are not
/// recognized.
fn without_texts(line: &str) -> String {
    let mut code = String::new();
    let mut chars = line.chars().peekable();
    let mut inside = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if inside => drop(chars.next()),
            '"' => inside = !inside,
            '/' if !inside && chars.peek() == Some(&'/') => break,
            c if !inside => code.push(c),
            _ => {}
        }
    }
    code
}

/// Whether the line contains the word, not as part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    // Only an end that is itself a letter can be part of a longer word.
    let starts = word.starts_with(part);
    let ends = word.ends_with(part);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !(starts && before.is_some_and(part) || ends && after.is_some_and(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            exempt: vec!["data/".into()],
            limit: 3,
            unsafe_dirs: vec!["core/src/sys/".into()],
            forbidden: vec!["OWED".into(), "/home/".into()],
            words: BTreeMap::from([("far end".into(), "remote side".into())]),
            allowed: BTreeMap::from([("quoted/".into(), vec!["far end".into()])]),
            long: BTreeMap::from([("long.rs".into(), "one table".into())]),
        }
    }

    #[test]
    fn one_fault_each() {
        let unsafe_line = "//! A.\nunsafe { x() }";
        for (file, text, wanted) in [
            ("a.rs", "//! A.\n", ""),
            ("a.rs", "#![allow(x)]\n//! A.", "must begin"),
            ("a.rs", "fn main() {}", "must begin"),
            ("a.rs", "", "must begin"),
            ("a.py", "#!/usr/bin/env python\n# coding: utf-8\n\"\"\"A.\"\"\"", ""),
            ("a.py", "import os", "must begin"),
            ("pkg/__init__.py", "", ""),
            ("a.rs", "//! A.\n\n\n\n", "4 lines"),
            ("long.rs", "//! A.\n\n\n\n", ""),
            ("a.rs", unsafe_line, ":2: unsafe"),
            ("core/src/sys/a.rs", unsafe_line, ""),
            ("a.rs", "//! A.\n#![deny(unsafe_code)] // unsafe\nlet x = \"unsafe \\\" unsafe\";", ""),
            ("a.md", "OWEDs are fine", ""),
            ("a.md", "one\na OWED.", ":2: \"OWED\""),
            ("a.md", "The Far end", "remote side"),
            ("quoted/a.md", "the far end", ""),
            ("a.toml", "the far end", ""),
            ("a.toml", "x = '/home/me'", "\"/home/\""),
        ] {
            let rules = rules();
            let faults = [rules.faults(file, text), rules.unwanted_words(file, text)].concat().join("\n");
            assert_eq!(faults.is_empty(), wanted.is_empty(), "{file}: {text:?}: {faults}");
            assert!(faults.contains(wanted), "{file}: {text:?}: {faults}");
        }
    }

    #[test]
    fn the_rules_of_the_project_can_be_read() {
        Rules::read().unwrap();
    }

    #[test]
    fn a_long_file_needs_a_reason() {
        let text = "exempt = []\nlimit = 1\nunsafe_dirs = []\nforbidden = []\n[words]\n[allowed]\n[long]\n'a.rs' = ' '";
        assert!(Rules::from_table(&text.parse().unwrap()).is_err());
    }
}
