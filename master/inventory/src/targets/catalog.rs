//! All machines that can be named, and the choice among them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use thiserror::Error;

use super::adhoc::AdHoc;
use super::expression::{Atom, Expression, ExpressionError, NamePattern, Operator, Term, glob};
use super::nodeset::MAX_NODES;
use mitogen_core::suggest::did_you_mean;

/// Why an expression does not choose machines.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The text itself is at fault.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// No profile and no host is called so.
    #[error("`{name}` is neither a profile nor a host of one{}", hint(.suggestion.as_deref(), ""))]
    UnknownName {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// No group is called so.
    #[error("there is no group `@{name}`{}", hint(.suggestion.as_deref(), "@"))]
    UnknownGroup {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// Several machines are called so.
    #[error("`{name}` may be {}; write which", alternatives(.candidates))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// How each of them is named without doubt.
        candidates: Vec<String>,
    },
    /// A glob without a match.
    #[error("`{0}` matches no profile and no host")]
    NoMatch(String),
    /// Only `!` and `&` terms.
    #[error("`{0}` takes machines away from nothing; begin with what to take them from, such as `*`")]
    OnlyFilters(String),
    /// All machines were filtered away.
    #[error("no machine is left of {0}")]
    NothingLeft(String),
    /// More than [`MAX_NODES`] machines.
    #[error("{0} chooses more than {MAX_NODES} machines; choose fewer at once")]
    TooMany(String),
    /// Groups that contain each other.
    #[error("groups contain each other: {}", .0.iter().map(|g| format!("@{g}")).collect::<Vec<_>>().join(" -> "))]
    GroupCycle(Vec<String>),
}

fn hint(suggestion: Option<&str>, sign: &str) -> String {
    suggestion.map(|name| format!("; did you mean `{sign}{name}`?")).unwrap_or_default()
}

fn alternatives(candidates: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut names: Vec<String> = candidates.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if candidates.len() > SHOWN {
        names.push(format!("{} others", candidates.len() - SHOWN));
    }
    names.join(" or ")
}

/// A machine as a profile reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The profile's name.
    pub profile: String,
    /// The host's name.
    pub host: String,
    /// Whether the profile itself names the host, rather than taking it over from another profile: a
    /// host's bare name means the machine as its owner reaches it.
    pub owner: bool,
}

/// A machine that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its name in everything that is printed; no two targets of a catalog share it, and as a target
    /// expression it chooses this machine.
    pub label: String,
    /// Where it is described.
    pub kind: TargetKind,
}

/// Where a target is described.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetKind {
    /// In a profile.
    Listed {
        /// The profile's name.
        profile: String,
        /// The host's name.
        host: String,
    },
    /// In the target expression.
    AdHoc(AdHoc),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Pick {
    Listed(usize),
    AdHoc(AdHoc),
}

/// How bare host names are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The host as its owner reaches it.
    Choose,
    /// The host however it is reached: what `!`, `&` and a limit mean.
    Filter,
}

/// All machines that can be named.
#[derive(Clone, Debug)]
pub struct Catalog {
    entries: Vec<Entry>,
    labels: Vec<String>,
    by_profile: HashMap<String, Vec<usize>>,
    by_host: HashMap<String, Vec<usize>>,
    by_short: HashMap<String, Vec<usize>>,
    groups: BTreeMap<String, Expression>,
    /// The entry of a `local` that no profile describes; globs do not match it.
    implicit_local: Option<usize>,
}

impl Catalog {
    /// Makes a catalog. `local` is added where no entry has that profile.
    pub fn new(mut entries: Vec<Entry>, groups: BTreeMap<String, Expression>) -> Self {
        let implicit_local = if entries.iter().any(|entry| entry.profile == "local") {
            None
        } else {
            entries.push(Entry { profile: "local".into(), host: "local".into(), owner: false });
            Some(entries.len() - 1)
        };
        let (mut by_profile, mut by_host, mut by_short) = (HashMap::new(), HashMap::new(), HashMap::new());
        let add = |map: &mut HashMap<String, Vec<usize>>, key: &str, i| {
            map.entry(key.to_owned()).or_default().push(i);
        };
        for (i, entry) in entries.iter().enumerate() {
            add(&mut by_profile, &entry.profile, i);
            add(&mut by_host, &entry.host, i);
            if let Some(short) = short_name(&entry.host) {
                add(&mut by_short, short, i);
            }
        }
        let mut catalog =
            Self { entries, labels: Vec::new(), by_profile, by_host, by_short, groups, implicit_local };
        catalog.labels = (0..catalog.entries.len()).map(|i| catalog.make_label(i)).collect();
        catalog
    }

    /// A profile with one machine lends it its name; one of several machines has its host's name where
    /// that is unmistakable, else `profile/host`.
    fn make_label(&self, i: usize) -> String {
        let entry = &self.entries[i];
        if self.by_profile[&entry.profile].len() == 1 {
            return entry.profile.clone();
        }
        let owners = self.by_host[&entry.host].iter().filter(|j| self.entries[**j].owner).count();
        if entry.owner && owners == 1 && !self.by_profile.contains_key(&entry.host) {
            entry.host.clone()
        } else {
            format!("{}/{}", entry.profile, entry.host)
        }
    }

    /// Every machine, in the order of the profiles; `local` last unless a profile describes it.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The groups and what they stand for.
    pub fn groups(&self) -> &BTreeMap<String, Expression> {
        &self.groups
    }

    /// What may be typed as a target: profiles, then groups with their `@`, then the machines of
    /// profiles that have several.
    pub fn names(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut names: Vec<String> = self.entries.iter().map(|entry| entry.profile.clone()).collect();
        names.extend(self.groups.keys().map(|group| format!("@{group}")));
        names.extend(self.labels.iter().cloned());
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// The machines that `wanted` means, without those that `limit` leaves out, each once, in the
    /// order of the terms. In a limit, and behind `!` and `&`, a bare host name means that host
    /// through whichever profile; a limit of `!` terms only keeps the rest.
    ///
    /// # Errors
    /// Names that mean nothing or too many things, and a choice of nothing.
    pub fn select(
        &self,
        wanted: &Expression,
        limit: Option<&Expression>,
    ) -> Result<Vec<Target>, TargetError> {
        let mut picks = self.union(wanted, Mode::Choose, &[], &mut Vec::new())?;
        self.filter(&mut picks, wanted)?;
        let mut text = format!("`{wanted}`");
        if let Some(limit) = limit {
            if limit.has_includes() {
                let kept: HashSet<Pick> =
                    self.union(limit, Mode::Filter, &picks, &mut Vec::new())?.into_iter().collect();
                picks.retain(|pick| kept.contains(pick));
            }
            self.filter(&mut picks, limit)?;
            text = format!("{text} limited to `{limit}`");
        }
        match picks.len() {
            0 => Err(TargetError::NothingLeft(text)),
            n if n > MAX_NODES => Err(TargetError::TooMany(text)),
            _ => Ok(picks.into_iter().map(|pick| self.target(pick)).collect()),
        }
    }

    /// What is wrong with the names of a group's members, looking at these terms only and not into
    /// the groups that they name. A glob without a match is no fault in a group.
    pub fn check(&self, members: &Expression) -> Vec<TargetError> {
        let mut errors = Vec::new();
        for term in &members.terms {
            match &term.atom {
                Atom::Groups(groups) => errors.extend(groups.iter().filter_map(|g| self.group(g).err())),
                Atom::Names(names) => {
                    let mode = mode_of(term);
                    let faults = names.iter().filter_map(|name| self.named(name, mode, &[]).err());
                    errors.extend(faults);
                }
                Atom::AdHoc(_) => {}
            }
        }
        errors
    }

    fn target(&self, pick: Pick) -> Target {
        match pick {
            Pick::Listed(i) => {
                let Entry { profile, host, .. } = self.entries[i].clone();
                Target { label: self.labels[i].clone(), kind: TargetKind::Listed { profile, host } }
            }
            Pick::AdHoc(adhoc) => Target { label: label_adhoc(&adhoc), kind: TargetKind::AdHoc(adhoc) },
        }
    }

    /// All that the plain terms mean. `among` are the ad-hoc machines that a bare host name may mean
    /// in a filter; `path` are the groups on the way here.
    fn union(
        &self,
        expression: &Expression,
        mode: Mode,
        among: &[Pick],
        path: &mut Vec<String>,
    ) -> Result<Vec<Pick>, TargetError> {
        if !expression.has_includes() {
            return Err(TargetError::OnlyFilters(expression.to_string()));
        }
        let (mut picks, mut seen) = (Vec::new(), HashSet::new());
        for term in expression.terms.iter().filter(|term| term.operator == Operator::Include) {
            let found = self.term(term, mode, among, path)?;
            // In a group a glob may wait for profiles to come.
            if found.is_empty()
                && mode == Mode::Choose
                && path.is_empty()
                && matches!(term.atom, Atom::Names(_))
            {
                return Err(TargetError::NoMatch(term.text.clone()));
            }
            picks.extend(found.into_iter().filter(|pick| seen.insert(pick.clone())));
        }
        Ok(picks)
    }

    /// Applies the `&` and `!` terms.
    fn filter(&self, picks: &mut Vec<Pick>, expression: &Expression) -> Result<(), TargetError> {
        self.filter_within(picks, expression, &mut Vec::new())
    }

    fn filter_within(
        &self,
        picks: &mut Vec<Pick>,
        expression: &Expression,
        path: &mut Vec<String>,
    ) -> Result<(), TargetError> {
        for term in &expression.terms {
            let keep = match term.operator {
                Operator::Include => continue,
                Operator::Intersect => true,
                Operator::Exclude => false,
            };
            let named: HashSet<Pick> = self.term(term, Mode::Filter, picks, path)?.into_iter().collect();
            picks.retain(|pick| named.contains(pick) == keep);
        }
        Ok(())
    }

    fn term(
        &self,
        term: &Term,
        mode: Mode,
        among: &[Pick],
        path: &mut Vec<String>,
    ) -> Result<Vec<Pick>, TargetError> {
        let mut picks = Vec::new();
        match &term.atom {
            Atom::AdHoc(addresses) => picks.extend(addresses.iter().cloned().map(Pick::AdHoc)),
            Atom::Names(names) => {
                for name in names {
                    picks.extend(self.named(name, mode, among)?);
                }
            }
            Atom::Groups(groups) => {
                for name in groups {
                    if let Some(start) = path.iter().position(|on_way| on_way == name) {
                        let mut cycle = path[start..].to_vec();
                        cycle.push(name.clone());
                        return Err(TargetError::GroupCycle(cycle));
                    }
                    let members = self.group(name)?;
                    path.push(name.clone());
                    let mut found = self.union(members, mode, among, path)?;
                    self.filter_within(&mut found, members, path)?;
                    path.pop();
                    picks.append(&mut found);
                }
            }
        }
        Ok(picks)
    }

    fn group(&self, name: &str) -> Result<&Expression, TargetError> {
        self.groups.get(name).ok_or_else(|| TargetError::UnknownGroup {
            name: name.to_owned(),
            suggestion: did_you_mean(name, self.groups.keys().map(String::as_str)).map(str::to_owned),
        })
    }

    fn named(&self, wanted: &NamePattern, mode: Mode, among: &[Pick]) -> Result<Vec<Pick>, TargetError> {
        let name = wanted.name.as_str();
        let listed = |found: Vec<usize>| found.into_iter().map(Pick::Listed).collect::<Vec<_>>();
        if let Some(profile) = &wanted.profile {
            let found: Vec<usize> = (0..self.entries.len())
                .filter(|i| {
                    let entry = &self.entries[*i];
                    glob(profile, &entry.profile) && matches_host(name, &entry.host)
                })
                .collect();
            return match found.is_empty() {
                true if wanted.is_glob() || profile.contains(['*', '?']) => Ok(Vec::new()),
                true => Err(self.unknown(&format!("{profile}/{name}"))),
                false => Ok(listed(found)),
            };
        }
        if wanted.is_glob() {
            let found = (0..self.entries.len()).filter(|i| {
                let entry = &self.entries[*i];
                let host = (mode == Mode::Filter || entry.owner) && matches_host(name, &entry.host);
                Some(*i) != self.implicit_local && (host || glob(name, &entry.profile))
            });
            let mut picks = listed(found.collect());
            if mode == Mode::Filter {
                picks.extend(among.iter().filter(|pick| adhoc_host(pick, |host| glob(name, host))).cloned());
            }
            return Ok(picks);
        }
        if let Some(entries) = self.by_profile.get(name) {
            return Ok(listed(entries.clone()));
        }
        let all = |map: &HashMap<String, Vec<usize>>| map.get(name).cloned().unwrap_or_default();
        if mode == Mode::Filter {
            let (mut found, shorts) = (all(&self.by_host), all(&self.by_short));
            found.extend(shorts);
            let mut picks = listed(found);
            picks.extend(among.iter().filter(|pick| adhoc_host(pick, |host| host == name)).cloned());
            return if picks.is_empty() { Err(self.unknown(name)) } else { Ok(picks) };
        }
        let owners = |map| all(map).into_iter().filter(|i| self.entries[*i].owner).collect::<Vec<_>>();
        let mut found = owners(&self.by_host);
        if found.is_empty() {
            found = owners(&self.by_short);
        }
        match found.len() {
            0 => Err(self.unknown(name)),
            1 => Ok(listed(found)),
            _ => {
                let candidates = found.iter().map(|i| self.labels[*i].clone()).collect();
                Err(TargetError::Ambiguous { name: name.to_owned(), candidates })
            }
        }
    }

    fn unknown(&self, name: &str) -> TargetError {
        let names = self.names();
        let shorts = self.entries.iter().filter_map(|entry| short_name(&entry.host));
        let groups = self.groups.keys().map(String::as_str);
        // The name of a group without its sign is the likeliest slip of all.
        let suggestion = if self.groups.contains_key(name) {
            Some(format!("@{name}"))
        } else {
            let candidates = names.iter().map(String::as_str).chain(shorts);
            did_you_mean(name, candidates)
                .map(str::to_owned)
                .or_else(|| did_you_mean(name, groups).map(|group| format!("@{group}")))
        };
        TargetError::UnknownName { name: name.to_owned(), suggestion }
    }
}

fn mode_of(term: &Term) -> Mode {
    if term.operator == Operator::Include { Mode::Choose } else { Mode::Filter }
}

fn adhoc_host(pick: &Pick, matches: impl Fn(&str) -> bool) -> bool {
    match pick {
        Pick::AdHoc(adhoc) => matches(&adhoc.host) || short_name(&adhoc.host).is_some_and(matches),
        Pick::Listed(_) => false,
    }
}

/// Such that it is read back as an ad-hoc address.
fn label_adhoc(adhoc: &AdHoc) -> String {
    if adhoc.user.is_some() { adhoc.to_string() } else { format!("ssh:{adhoc}") }
}

fn matches_host(pattern: &str, host: &str) -> bool {
    glob(pattern, host) || short_name(host).is_some_and(|short| glob(pattern, short))
}

/// The first label of a host's name, if it has several and is no address.
fn short_name(host: &str) -> Option<&str> {
    let (short, _) = host.split_once('.')?;
    let address = host.contains(':') || host.bytes().all(|b| b == b'.' || b.is_ascii_digit());
    (!address && !short.is_empty()).then_some(short)
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
