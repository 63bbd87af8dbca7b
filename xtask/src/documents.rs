//! Checks what documents and comments refer to: linked files and sections exist, and so do the documents that code cites.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::root::Result;
use crate::tree;

/// A fault is text that begins with `file:line`.
type Faults = Vec<String>;

/// Runs the check.
pub(crate) fn run() -> Result<()> {
    let mut texts = BTreeMap::new();
    let files = tree::files()?;
    for file in &files {
        let is_read = [".md", ".rs", ".py", ".toml"].iter().any(|end| file.ends_with(end));
        if let (true, Some(text)) = (is_read, tree::text(file)?) {
            texts.insert(file.clone(), text);
        }
    }
    let project = Project::new(files, &texts);
    let mut faults = Faults::new();
    for (file, text) in &texts {
        if file.ends_with(".md") {
            faults.extend(project.links(file, text));
            faults.extend(project.paths(file, text));
        }
        // The tests of this file contain wrong citations.
        if file != "xtask/src/documents.rs" {
            faults.extend(project.citations(file, text));
        }
    }
    if faults.is_empty() {
        println!("all links and citations lead somewhere");
        Ok(())
    } else {
        Err(format!("{} faults\n  {}", faults.len(), faults.join("\n  ")))
    }
}

/// The files of the project, and the sections of its documents.
struct Project {
    files: BTreeSet<String>,
    sections: BTreeMap<String, BTreeSet<String>>,
}

impl Project {
    fn new(files: Vec<String>, texts: &BTreeMap<String, String>) -> Self {
        let documents = texts.iter().filter(|(file, _)| file.ends_with(".md"));
        let sections = documents.map(|(file, text)| (file.clone(), anchors(text))).collect();
        Self { files: files.into_iter().collect(), sections }
    }

    fn exists(&self, path: &str) -> bool {
        self.files.contains(path)
            || self.files.iter().any(|file| file.starts_with(&format!("{}/", path.trim_end_matches('/'))))
    }

    /// What is wrong with a link from `file` to `target`.
    fn fault(&self, file: &str, target: &str) -> Option<String> {
        let (path, section) = target.split_once('#').map_or((target, None), |(path, at)| (path, Some(at)));
        let path = if path.is_empty() { file.to_owned() } else { relative_to(file, path) };
        if !self.exists(&path) {
            return Some(format!("no such file: {path}"));
        }
        let section = section?;
        let known = self.sections.get(&path).is_some_and(|sections| sections.contains(section));
        (!known).then(|| format!("{path} has no section #{section}"))
    }

    /// Links in a document.
    fn links(&self, file: &str, text: &str) -> Faults {
        let mut faults = Faults::new();
        for (number, line) in prose(text) {
            for (at, _) in line.match_indices("](") {
                let Some((target, _)) = line[at + 2..].split_once(')') else { continue };
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                if let Some(fault) = self.fault(file, target) {
                    faults.push(format!("{file}:{number}: {fault}"));
                }
            }
        }
        faults
    }

    /// Source files that a document names, in full or from some directory on, as in `wire/decoder.rs`.
    fn paths(&self, file: &str, text: &str) -> Faults {
        let mut faults = Faults::new();
        for (number, line) in prose(text) {
            for path in line.split('`').skip(1).step_by(2) {
                let is_path =
                    path.contains('/') && [".rs", ".py", ".toml"].iter().any(|end| path.ends_with(end));
                let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
                let from_here = relative_to(file, path);
                let end = format!("/{path}");
                let found = self
                    .files
                    .iter()
                    .any(|known| known == path || known.ends_with(&end) || *known == from_here);
                // An absolute path and one in the user's home are those of the machine that runs the command.
                if is_path && is_plain && !path.starts_with('/') && !path.ends_with("mitogen.toml") && !found
                {
                    faults.push(format!("{file}:{number}: no such file: {path}"));
                }
            }
        }
        faults
    }

    /// Documents that are named in code and comments by their path from the top directory.
    fn citations(&self, file: &str, text: &str) -> Faults {
        let mut faults = Faults::new();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(at) = line.find("(protocol ")
                && line[at + 10..].starts_with(|c: char| c.is_ascii_digit())
            {
                faults.push(format!("{file}:{number}: cite docs/protocol.md#SECTION instead of a number"));
            }
            for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || "_-/.#".contains(c))) {
                let word = word.trim_end_matches('.');
                let path = word.split('#').next().unwrap_or(word);
                let cites = path.ends_with(".md")
                    && (path.starts_with("docs/") || matches!(path, "ARCHITECTURE.md" | "CHANGELOG.md"));
                if cites
                    && let Some(fault) = self.fault("", word).filter(|_| self.fault(file, word).is_some())
                {
                    faults.push(format!("{file}:{number}: {fault}"));
                }
            }
        }
        faults
    }
}

/// A path that is written in `file`, from the top directory.
fn relative_to(file: &str, path: &str) -> String {
    let mut whole = PathBuf::from(file);
    whole.pop();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            Component::Normal(name) => whole.push(name),
            _ => {}
        }
    }
    whole.to_string_lossy().into_owned()
}

/// The lines of a document that are not in a block of code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let headings = prose(text).filter_map(|(_, line)| line.strip_prefix('#'));
    for heading in headings.map(|line| line.trim_start_matches('#').trim()) {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String =
            kept.map(|c| if c == ' ' { '-' } else { c.to_lowercase().next().unwrap_or(c) }).collect();
        let mut numbered = anchor.clone();
        let mut number = 0;
        while !found.insert(numbered.clone()) {
            number += 1;
            numbered = format!("{anchor}-{number}");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        let text = "# The Title\n## `RUN_PLAN`, and more\n## Same\n## Same\n```sh\n# not a heading\n```\n";
        let texts = BTreeMap::from([("docs/a.md".to_owned(), text.to_owned())]);
        Project::new(vec!["docs/a.md".into(), "README.md".into(), "core/src/lib.rs".into()], &texts)
    }

    #[test]
    fn headings_have_anchors() {
        let anchors = &project().sections["docs/a.md"];
        let wanted = ["run_plan-and-more", "same", "same-1", "the-title"];
        assert_eq!(anchors.iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn links_are_checked() {
        let links = |text| project().links("docs/b.md", text).join(" ");
        assert_eq!(
            links("[a](a.md) [b](a.md#same-1) [c](../README.md) [d](../core/src) [e](https://x/y)"),
            ""
        );
        assert_eq!(links("```\n[a](nothing)\n```"), "");
        assert_eq!(links("one\n[a](../a.md)"), "docs/b.md:2: no such file: a.md");
        assert_eq!(links("[a](a.md#other)"), "docs/b.md:1: docs/a.md has no section #other");
    }

    #[test]
    fn named_files_are_checked() {
        let paths = |text| project().paths("docs/b.md", text).join(" ");
        assert_eq!(
            paths("`core/src/lib.rs`, `src/lib.rs`, `lib.rs`, `other.rs`, `/etc/x/y.toml`, `a/*.rs`"),
            ""
        );
        assert_eq!(paths("`a`\n`core/lib.rs`"), "docs/b.md:2: no such file: core/lib.rs");
    }

    #[test]
    fn citations_are_checked() {
        let cited = |text| project().citations("core/src/lib.rs", text).join(" ");
        assert_eq!(cited("//! See docs/a.md#same, docs/a.md."), "");
        assert_eq!(cited("// docs/b.md"), "core/src/lib.rs:1: no such file: docs/b.md");
        assert_eq!(cited("// (docs/a.md#none)"), "core/src/lib.rs:1: docs/a.md has no section #none");
        assert!(cited("/// Handles (protocol 4.6)").contains("instead of a number"));
        assert_eq!(cited("/// A pickle (protocol two)"), "");
    }
}
