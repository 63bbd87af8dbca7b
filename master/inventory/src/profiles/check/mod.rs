//! Checking a whole profile file: its content, or all of its errors at once.

mod checker;
mod excerpt;
mod groups;
mod names;
mod plugins;
mod profiles;
mod templates;
mod values;

use std::collections::BTreeMap;

use mitogen_core::connect::Registry;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::document::{self, KeyValue};
use super::options::Fault;
use super::profile::{Defaults, Profile};
use super::profile_file::ProfileFile;
use crate::targets::{Catalog, did_you_mean};
use checker::Checker;
pub use plugins::PluginLoader;
use values::{forks, keepalive, python, timeout};

/// The tables of a profile file.
const TABLES: &[&str] = &["defaults", "profile", "group", "transport", "plugins"];
/// The keys of `[defaults]`.
const DEFAULTS: &[&str] = &["python", "timeout", "keepalive", "forks"];

/// The content of a file without errors.
pub(super) struct Checked {
    /// The given transports and those of the file.
    pub(super) registry: Registry,
    pub(super) defaults: Defaults,
    /// In the order of the file.
    pub(super) profiles: Vec<Profile>,
    pub(super) catalog: Catalog,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Parses and checks a file. `load` loads the plugins that it names.
pub(super) fn check(
    file: &ProfileFile,
    registry: &Registry,
    load: Option<&PluginLoader<'_>>,
) -> Result<Checked, Diagnostics> {
    let document = document::parse(file.text());
    let entries = document.as_deref().unwrap_or_default();
    let mut registry = registry.clone();
    let mut faults = Vec::new();
    let loaded = plugins::read(file, &registry, entries, load);
    loaded.kinds.into_iter().for_each(|kind| drop(registry.add(kind)));
    faults.extend(loaded.faults);
    let defined = templates::read(file, &registry, entries);
    defined.kinds.into_iter().for_each(|kind| drop(registry.add(kind)));
    faults.extend(defined.faults);
    let mut checker = Checker::new(file, &registry, defined.broken, loaded.incomplete);
    for (span, key, fault) in faults {
        checker.report(span, key, fault);
    }
    let (defaults, profiles, catalog) = match document {
        Ok(entries) => tables(&mut checker, &entries),
        Err(errors) => {
            for error in errors {
                checker.report(error.span, None, Fault { message: error.message, hint: None });
            }
            (Defaults::default(), Vec::new(), Catalog::new(Vec::new(), BTreeMap::new()))
        }
    };
    let warnings = checker.finish()?;
    Ok(Checked { registry, defaults, profiles, catalog, warnings })
}

fn tables(checker: &mut Checker<'_>, entries: &[KeyValue]) -> (Defaults, Vec<Profile>, Catalog) {
    let (mut defaults, mut profiles, mut groups): (_, &[KeyValue], &[KeyValue]) =
        (Defaults::default(), &[], &[]);
    for entry in entries {
        if !TABLES.contains(&entry.key.as_str()) {
            let guess = did_you_mean(&entry.key, TABLES.iter().copied());
            let hint = guess.map_or_else(
                || {
                    "the top-level tables are [defaults], [profile.NAME], [group], [transport.NAME] and [plugins]"
                        .to_owned()
                },
                |name| format!("did you mean `{name}`?"),
            );
            let fault = Fault::new("unknown top-level key", hint);
            checker.report(entry.key_span.clone(), Some(entry.key.clone()), fault);
            continue;
        }
        let Some(table) = entry.node.table() else {
            let fault = Fault::new(
                format!("expected a table, found {}", entry.node.kind()),
                "write [defaults], [profile.NAME], [group], [transport.NAME] or [plugins] on a line of its own",
            );
            checker.report(entry.node.span.clone(), Some(entry.key.clone()), fault);
            continue;
        };
        match entry.key.as_str() {
            "defaults" => defaults = read_defaults(checker, table),
            "profile" => profiles = table,
            "group" => groups = table,
            // Read before everything else, because profiles name them.
            _ => {}
        }
    }
    let (profiles, complete) = profiles::check(checker, profiles);
    let catalog = groups::check(checker, groups, &profiles, complete);
    (defaults, profiles, catalog)
}

fn read_defaults(checker: &mut Checker<'_>, table: &[KeyValue]) -> Defaults {
    let mut defaults = Defaults::default();
    for entry in table {
        let key = || Some(format!("defaults.{}", entry.key));
        let origin = checker.origin(&entry.key_span);
        let fault = match entry.key.as_str() {
            "python" => python(&entry.node).map(|argv| defaults.python = Some((argv, origin))),
            "timeout" => timeout(&entry.node).map(|limit| defaults.timeout = Some((limit, origin))),
            "keepalive" => {
                keepalive(&entry.node).map(|keepalive| defaults.keepalive = Some((keepalive, origin)))
            }
            "forks" => forks(&entry.node).map(|forks| defaults.forks = Some(forks)),
            other => {
                let guess = did_you_mean(other, DEFAULTS.iter().copied());
                let hint = guess.map_or_else(
                    || "the keys of [defaults] are python, timeout, keepalive and forks".to_owned(),
                    |name| format!("did you mean `{name}`?"),
                );
                checker.report(entry.key_span.clone(), key(), Fault::new("unknown key", hint));
                continue;
            }
        };
        if let Err(fault) = fault {
            checker.report(entry.node.span.clone(), key(), fault);
        }
    }
    defaults
}
