//! Names of profiles and groups, and cycles of them.

use std::collections::BTreeMap;

use super::super::document::KeyValue;
use super::super::options::Fault;

/// The keys that all profiles have, whatever their transport.
pub(super) const COMMON: &[&str] =
    &["method", "via", "extends", "hostname", "python", "mitogen_package", "timeout", "keepalive"];

/// Keys with a new name: the old name is accepted with a warning.
pub(super) const RENAMED: &[(&str, &str)] = &[("stock", "mitogen_package")];

/// Whether no transport can have an option of this name, because every profile has such a key. `hostname` is such a key
/// too, and its value is given to transports that have an option of this name.
pub(super) fn reserved_option(name: &str) -> bool {
    name != "hostname" && (COMMON.contains(&name) || RENAMED.iter().any(|(old, _)| *old == name))
}

/// The current name of a key.
pub(super) fn current_name(key: &str) -> &str {
    RENAMED.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| new)
}

/// What is wrong with the name of a profile or group. Characters that have a meaning in target expressions
/// are not allowed.
pub(super) fn name_fault(name: &str) -> Option<Fault> {
    let odd = name.chars().find(|c| c.is_whitespace() || c.is_control() || "@!&,*?[]/:".contains(*c));
    let what = match odd {
        Some(c) => format!("a name cannot contain `{}`", c.escape_debug()),
        None if name.is_empty() => "a name cannot be empty".to_owned(),
        None if name.starts_with('-') => "a name cannot begin with a dash".to_owned(),
        None => return None,
    };
    Some(Fault::new(what, "use letters, digits, `-`, `_` and `.`"))
}

/// Follows a chain of names from `start` until it ends or repeats. Returns the names of the chain and, if
/// it repeats, the cycle.
pub(super) fn follow<'n>(
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
pub(super) fn arrows(cycle: &[&str], sign: &str) -> String {
    cycle.iter().map(|name| format!("{sign}{name}")).collect::<Vec<_>>().join(" -> ")
}

/// The entries of a table by key.
pub(super) fn by_key(table: &[KeyValue]) -> BTreeMap<&str, &KeyValue> {
    table.iter().map(|entry| (entry.key.as_str(), entry)).collect()
}
