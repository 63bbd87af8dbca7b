//! The `[group]` table.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::super::document::{KeyValue, Node, Value};
use super::super::options::Fault;
use super::super::profile::Profile;
use super::checker::Checker;
use super::names::{arrows, name_fault};
use super::values::described;
use crate::targets::{Atom, Catalog, CatalogEntry, Expression, TargetError, Term};

const MEMBERS: &str = "a member is a profile, a host, @group or a glob";

/// A member of a group as written in the file.
struct Member<'n> {
    group: &'n str,
    span: Range<usize>,
    terms: Expression,
}

/// The catalog of all targets and groups. Unknown members are errors only if `complete`: otherwise they
/// may be hosts of profiles that have errors.
pub(super) fn check(
    checker: &mut Checker<'_>,
    table: &[KeyValue],
    profiles: &[Profile],
    complete: bool,
) -> Catalog {
    let mut members: Vec<Member<'_>> = Vec::new();
    let mut groups: BTreeMap<String, Expression> = BTreeMap::new();
    for entry in table {
        if let Some(fault) = name_fault(&entry.key) {
            checker.report(entry.key_span.clone(), key(&entry.key), fault);
            continue;
        }
        let found = read(checker, entry);
        let terms: Vec<Term> = found.iter().flat_map(|member| member.terms.terms.clone()).collect();
        // A group with errors is added, too, so that references to it are not reported as errors.
        let terms = Expression { terms };
        if !found.is_empty() && !terms.has_includes() {
            let fault =
                Fault::new("the group only excludes members", "start with an inclusion, such as \"*\"");
            checker.report(entry.node.span.clone(), key(&entry.key), fault);
        }
        groups.insert(entry.key.clone(), terms);
        members.extend(found);
    }
    let entries = profiles.iter().flat_map(|profile| {
        profile.hosts.iter().map(|host| CatalogEntry::new(&profile.name, host, profile.owner))
    });
    let catalog = Catalog::new(entries.collect(), groups);
    for member in &members {
        for error in catalog.check(&member.terms) {
            if complete || matches!(error, TargetError::UnknownGroup { .. }) {
                let fault = Fault::new(error.to_string(), MEMBERS);
                checker.report(member.span.clone(), key(member.group), fault);
            }
        }
    }
    cycles(checker, table, &catalog);
    catalog
}

fn key(group: &str) -> Option<String> {
    Some(format!("group.{group}"))
}

fn read<'n>(checker: &mut Checker<'_>, entry: &'n KeyValue) -> Vec<Member<'n>> {
    let one;
    let nodes: &[Node] = match &entry.node.value {
        Value::Array(nodes) => nodes,
        Value::String(_) => {
            one = [entry.node.clone()];
            &one
        }
        _ => &[],
    };
    if nodes.is_empty() {
        let what = described(&entry.node);
        let fault = Fault::new(
            format!("expected an array of members, found {what}"),
            format!("write {} = [\"web\", \"db*\"]", entry.key),
        );
        checker.report(entry.node.span.clone(), key(&entry.key), fault);
    }
    let mut members = Vec::new();
    for node in nodes {
        let parsed = match node.string() {
            Some(text) => Expression::parse(text).map_err(|error| error.to_string()),
            None => Err(format!("expected a string, found {}", node.kind())),
        };
        match parsed {
            Ok(terms) => members.push(Member { group: &entry.key, span: node.span.clone(), terms }),
            Err(message) => {
                let fault = Fault::new(message, MEMBERS);
                checker.report(node.span.clone(), key(&entry.key), fault);
            }
        }
    }
    members
}

/// Reports each cycle once, at its first group.
fn cycles(checker: &mut Checker<'_>, table: &[KeyValue], catalog: &Catalog) {
    let mut reported: HashSet<Vec<&str>> = HashSet::new();
    for entry in table {
        let mut path = vec![entry.key.as_str()];
        let Some(cycle) = find_cycle(catalog, &mut path, &mut HashSet::new()) else { continue };
        let mut names = cycle.clone();
        names.sort_unstable();
        names.dedup();
        if reported.insert(names) {
            let message = format!("group cycle: {}", arrows(&cycle, "@"));
            let fault = Fault::new(message, "remove one of these members");
            checker.report(entry.key_span.clone(), key(&entry.key), fault);
        }
    }
}

/// A cycle that contains the first group of the path.
fn find_cycle<'n>(
    catalog: &'n Catalog,
    path: &mut Vec<&'n str>,
    done: &mut HashSet<&'n str>,
) -> Option<Vec<&'n str>> {
    let terms = path.last().and_then(|group| catalog.groups().get(*group))?;
    for term in &terms.terms {
        let Atom::Groups(groups) = &term.atom else { continue };
        for group in groups {
            if group == path[0] {
                let mut cycle = path.clone();
                cycle.push(path[0]);
                return Some(cycle);
            }
            if done.insert(group) {
                path.push(group);
                if let Some(cycle) = find_cycle(catalog, path, done) {
                    return Some(cycle);
                }
                path.pop();
            }
        }
    }
    None
}
