//! Reading a profile file as a whole: all faults at once, or an inventory's content.

mod groups;
mod keepalive;
mod profiles;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mitogen_core::connect::{Registry, TransportKind};

use super::diagnostic::{Diagnostic, Diagnostics, Origin};
use super::discover::Source;
use super::document::{self, Entry, Node};
use super::inventory::{Defaults, Profile};
use super::options::Fault;
use crate::targets::{Catalog, did_you_mean};
use keepalive::keepalive;

/// The tables of a profile file.
const TABLES: &[&str] = &["defaults", "profile", "group"];
/// The keys of `[defaults]`.
const DEFAULTS: &[&str] = &["python", "timeout", "keepalive", "forks"];
/// The keys of a profile that are ours and not its transport's.
const COMMON: &[&str] = &["method", "via", "extends", "hostname", "python", "stock", "timeout", "keepalive"];

/// What a faultless file says.
pub(super) struct Checked {
    pub(super) defaults: Defaults,
    /// In the order of the file.
    pub(super) profiles: Vec<Profile>,
    pub(super) catalog: Catalog,
}

/// Reads and checks a file.
pub(super) fn check(source: &Source, registry: &Registry) -> Result<Checked, Diagnostics> {
    let mut checker = Checker::new(source, registry);
    let checked = match document::parse(source.text()) {
        Ok(entries) => Some(checker.document(&entries)),
        Err(errors) => {
            for error in errors {
                checker.report(error.span, None, Fault { message: error.message, hint: None });
            }
            None
        }
    };
    match checked {
        Some(checked) if checker.found.is_empty() => Ok(checked),
        _ => Err(checker.into_diagnostics()),
    }
}

struct Checker<'a> {
    source: &'a Source,
    path: Arc<Path>,
    registry: &'a Registry,
    /// Keys whose values are never shown.
    secrets: Vec<&'a str>,
    found: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    fn new(source: &'a Source, registry: &'a Registry) -> Self {
        let mut secrets = vec!["password", "passphrase"];
        secrets.extend(
            registry
                .iter()
                .flat_map(TransportKind::options)
                .filter(|spec| spec.is_secret())
                .map(|spec| spec.name.as_str()),
        );
        Self { source, path: source.path().into(), registry, secrets, found: Vec::new() }
    }

    fn into_diagnostics(mut self) -> Diagnostics {
        self.found.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
        self.found.dedup_by(|a, b| (a.line, a.column, &a.message) == (b.line, b.column, &b.message));
        Diagnostics(self.found)
    }

    fn report(&mut self, span: Range<usize>, key: Option<String>, fault: Fault) {
        let place = Diagnostic::at(self.source, span, &self.secrets);
        self.found.push(Diagnostic { key, message: fault.message, hint: fault.hint, ..place });
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::File { path: Arc::clone(&self.path), line: self.source.place(span.start).line }
    }

    fn document(&mut self, entries: &[Entry]) -> Checked {
        let (mut defaults, mut profiles, mut groups): (_, &[Entry], &[Entry]) =
            (Defaults::default(), &[], &[]);
        for entry in entries {
            if !TABLES.contains(&entry.key.as_str()) {
                let guess = did_you_mean(&entry.key, TABLES.iter().copied());
                let hint = guess.map_or_else(
                    || "a profile file has the tables [defaults], [profile.NAME] and [group]".to_owned(),
                    |name| format!("did you mean `{name}`?"),
                );
                let fault = Fault::new("unknown key at the top of the file", hint);
                self.report(entry.key_span.clone(), Some(entry.key.clone()), fault);
                continue;
            }
            let Some(table) = entry.node.table() else {
                let fault = Fault::new(
                    format!("this must be a table, not {}", entry.node.kind()),
                    "write [defaults], [profile.NAME] or [group] on a line of its own",
                );
                self.report(entry.node.span.clone(), Some(entry.key.clone()), fault);
                continue;
            };
            match entry.key.as_str() {
                "defaults" => defaults = self.defaults(table),
                "profile" => profiles = table,
                _ => groups = table,
            }
        }
        let (profiles, complete) = profiles::check(self, profiles);
        let catalog = groups::check(self, groups, &profiles, complete);
        Checked { defaults, profiles, catalog }
    }

    fn defaults(&mut self, table: &[Entry]) -> Defaults {
        let mut defaults = Defaults::default();
        for entry in table {
            let key = || Some(format!("defaults.{}", entry.key));
            let origin = self.origin(&entry.key_span);
            let fault = match entry.key.as_str() {
                "python" => python(&entry.node).map(|argv| defaults.python = Some((argv, origin))),
                "timeout" => timeout(&entry.node).map(|seconds| defaults.timeout = Some((seconds, origin))),
                "keepalive" => {
                    keepalive(&entry.node).map(|keepalive| defaults.keepalive = Some((keepalive, origin)))
                }
                "forks" => forks(&entry.node).map(|forks| defaults.forks = Some(forks)),
                other => {
                    let guess = did_you_mean(other, DEFAULTS.iter().copied());
                    let hint = guess.map_or_else(
                        || "defaults are python, timeout, keepalive and forks".to_owned(),
                        |name| format!("did you mean `{name}`?"),
                    );
                    self.report(entry.key_span.clone(), key(), Fault::new("unknown key", hint));
                    continue;
                }
            };
            if let Err(fault) = fault {
                self.report(entry.node.span.clone(), key(), fault);
            }
        }
        defaults
    }
}

/// An interpreter's command line: a list, or a text that is split at blanks.
fn python(node: &Node) -> Result<Vec<String>, Fault> {
    let argv = match node.text() {
        Some(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
        None => node.texts(),
    };
    argv.filter(|argv| argv.first().is_some_and(|program| !program.is_empty())).ok_or_else(|| {
        Fault::new(
            format!("this must be the interpreter's command line, not {}", described(node)),
            "write python = \"/usr/bin/python3\" or python = [\"/usr/bin/env\", \"python3\"]",
        )
    })
}

/// Where stock Mitogen is: an interpreter or a directory, on this machine.
fn stock(node: &Node) -> Result<PathBuf, Fault> {
    const FORM: &str = "write stock = \"/opt/venv/bin/python\", an interpreter of this machine that has stock \
                        Mitogen, or the directory that it is installed in";
    match node.text().map(Path::new) {
        Some(path) if path.is_absolute() => Ok(path.to_owned()),
        Some(path) => Err(Fault::new(format!("`{}` is not a whole path", path.display()), FORM)),
        None => Err(Fault::new(format!("this must be a path, not {}", described(node)), FORM)),
    }
}

/// Seconds: above zero, and no more than a day.
fn timeout(node: &Node) -> Result<f64, Fault> {
    node.number().filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0).ok_or_else(|| {
        Fault::new(
            format!("this must be a number of seconds, not {}", described(node)),
            "write timeout = 30, at most 86400",
        )
    })
}

fn forks(node: &Node) -> Result<usize, Fault> {
    let number = node.number().filter(|n| *n >= 1.0 && *n <= 100_000.0 && n.fract() == 0.0);
    // Checked to be a whole number in range.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    number.map(|n| n as usize).ok_or_else(|| {
        Fault::new(
            format!("this must be a number of connections, not {}", described(node)),
            "write forks = 50; at least 1",
        )
    })
}

fn described(node: &Node) -> String {
    match node.number() {
        Some(number) => number.to_string(),
        None => match (node.text(), node.texts()) {
            (Some(text), _) if text.trim().is_empty() => "an empty text".to_owned(),
            (_, Some(texts)) if texts.is_empty() => "an empty list".to_owned(),
            _ => node.kind().to_owned(),
        },
    }
}

/// What a name of a profile or group may not have, so that it can be told apart in target expressions.
fn name_fault(name: &str) -> Option<Fault> {
    let odd = name.chars().find(|c| c.is_whitespace() || c.is_control() || "@!&,*?[]/:".contains(*c));
    let what = match odd {
        Some(c) => format!("a name cannot have `{}` in it", c.escape_debug()),
        None if name.is_empty() => "a name cannot be empty".to_owned(),
        None if name.starts_with('-') => "a name cannot begin with a dash".to_owned(),
        None => return None,
    };
    Some(Fault::new(what, "use letters, digits, `-`, `_` and `.`"))
}

/// Follows single steps from `start` until they end or come back: the names passed, and the closed
/// part if they came back.
fn follow<'n>(
    start: &'n str,
    next: impl Fn(&str) -> Option<&'n str>,
) -> (Vec<&'n str>, Option<Vec<&'n str>>) {
    let mut passed = vec![start];
    while let Some(step) = passed.last().and_then(|last| next(last)) {
        if let Some(at) = passed.iter().position(|name| *name == step) {
            let mut cycle = passed[at..].to_vec();
            cycle.push(step);
            return (passed, Some(cycle));
        }
        passed.push(step);
    }
    (passed, None)
}

/// The names of a cycle, joined by arrows.
fn arrows(cycle: &[&str], sign: &str) -> String {
    cycle.iter().map(|name| format!("{sign}{name}")).collect::<Vec<_>>().join(" -> ")
}

/// Entries of a table by key.
fn by_key(table: &[Entry]) -> BTreeMap<&str, &Entry> {
    table.iter().map(|entry| (entry.key.as_str(), entry)).collect()
}
