//! The `[group]` table.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::super::document::{Entry, Node};
use super::super::inventory::Profile;
use super::super::options::Fault;
use super::{Checker, arrows, name_fault};
use crate::targets::{Atom, Catalog, Entry as Machine, Expression, TargetError, Term};

/// A member of a group as it was written.
struct Member<'n> {
    group: &'n str,
    span: Range<usize>,
    terms: Expression,
}

/// The catalog of all machines and groups. Unknown members are faults only if `complete`: else they
/// may be machines of profiles that have faults.
pub(super) fn check(
    checker: &mut Checker<'_>,
    table: &[Entry],
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
        // A group with faults stays known, so that those who name it are not at fault, too.
        let terms = Expression { terms };
        if !found.is_empty() && !terms.has_includes() {
            let fault = Fault::new(
                "a group must have members before it can leave some out",
                "name what to take them from, such as \"*\"",
            );
            checker.report(entry.node.span.clone(), key(&entry.key), fault);
        }
        groups.insert(entry.key.clone(), terms);
        members.extend(found);
    }
    let entries = profiles.iter().flat_map(|profile| {
        profile.hosts.iter().map(|host| Machine {
            profile: profile.name.clone(),
            host: host.clone(),
            owner: profile.owner,
        })
    });
    let catalog = Catalog::new(entries.collect(), groups);
    for member in &members {
        for error in catalog.check(&member.terms) {
            if complete || matches!(error, TargetError::UnknownGroup { .. }) {
                let hint = "name a profile, a host of one, @group or a glob".to_owned();
                let fault = Fault { message: error.to_string(), hint: Some(hint) };
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

fn read<'n>(checker: &mut Checker<'_>, entry: &'n Entry) -> Vec<Member<'n>> {
    use super::super::document::Value;
    let one;
    let nodes: &[Node] = match &entry.node.value {
        Value::List(nodes) => nodes,
        Value::Text(_) => {
            one = [entry.node.clone()];
            &one
        }
        _ => &[],
    };
    if nodes.is_empty() {
        let what = super::described(&entry.node);
        let fault = Fault::new(
            format!("a group must be a list of its members, not {what}"),
            format!("write {} = [\"web\", \"db*\"]", entry.key),
        );
        checker.report(entry.node.span.clone(), key(&entry.key), fault);
    }
    let mut members = Vec::new();
    for node in nodes {
        let parsed = match node.text() {
            Some(text) => Expression::parse(text).map_err(|error| error.to_string()),
            None => Err(format!("a member must be a text, not {}", node.kind())),
        };
        match parsed {
            Ok(terms) => members.push(Member { group: &entry.key, span: node.span.clone(), terms }),
            Err(message) => {
                let fault = Fault::new(message, "name a profile, a host of one, @group or a glob");
                checker.report(node.span.clone(), key(&entry.key), fault);
            }
        }
    }
    members
}

/// Reports each cycle once, at its first group.
fn cycles(checker: &mut Checker<'_>, table: &[Entry], catalog: &Catalog) {
    let mut reported: HashSet<Vec<&str>> = HashSet::new();
    for entry in table {
        let mut path = vec![entry.key.as_str()];
        let Some(cycle) = find_cycle(catalog, &mut path, &mut HashSet::new()) else { continue };
        let mut names = cycle.clone();
        names.sort_unstable();
        names.dedup();
        if reported.insert(names) {
            let message = format!("groups contain each other: {}", arrows(&cycle, "@"));
            let fault = Fault::new(message, "take one of these members out");
            checker.report(entry.key_span.clone(), key(&entry.key), fault);
        }
    }
}

/// A cycle that goes through the first group of the path.
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
