//! All targets of an inventory, and the selection among them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use super::adhoc::AdHoc;
use super::error::TargetError;
use super::expression::{Atom, Expression, NamePattern, Operator, Term};
use super::nodeset::MAX_NODES;
use mitogen_core::glob::glob;
use mitogen_core::suggest::did_you_mean;

/// A host of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogEntry {
    /// The profile's name.
    pub profile: String,
    /// The host's name.
    pub host: String,
    /// Whether the profile itself names the host, rather than using the hosts of its `via`. A bare host
    /// name selects the entry of the profile that names it.
    pub owner: bool,
}

impl CatalogEntry {
    /// An entry for `host`, connected to as `profile` says.
    pub fn new(profile: impl Into<String>, host: impl Into<String>, owner: bool) -> Self {
        Self { profile: profile.into(), host: host.into(), owner }
    }
}

/// A target that was selected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Target {
    /// The name that is printed. It is unique in the catalog, and as a target expression it selects this
    /// target only.
    pub label: String,
    /// Where its options are.
    pub kind: TargetKind,
}

/// Where the options of a target are.
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
    /// In the target expression itself.
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

/// The meaning of a bare host name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The host in the profile that names it.
    Select,
    /// The host in every profile that has it: the meaning after `!` and `&` and in a limit.
    Filter,
}

/// All targets of an inventory, with the groups.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use mitogen_inventory::targets::{Catalog, CatalogEntry, Expression};
///
/// let entries = ["web1", "web2", "db1"].map(|host| CatalogEntry::new(host, host, true));
/// let groups = BTreeMap::from([("web".to_owned(), "web*".parse::<Expression>()?)]);
/// let catalog = Catalog::new(entries.into(), groups);
/// let selected = catalog.select(&"@web,!web2".parse()?, None)?;
/// assert_eq!(selected[0].label, "web1");
/// assert_eq!(selected.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Catalog {
    entries: Vec<CatalogEntry>,
    labels: Vec<String>,
    by_profile: HashMap<String, Vec<usize>>,
    by_host: HashMap<String, Vec<usize>>,
    by_short: HashMap<String, Vec<usize>>,
    groups: BTreeMap<String, Expression>,
    /// The entry of `local` if there is no profile of that name; globs do not match it.
    implicit_local: Option<usize>,
}

impl Catalog {
    /// Creates a catalog. `local` is added if no entry has a profile of that name.
    pub fn new(mut entries: Vec<CatalogEntry>, groups: BTreeMap<String, Expression>) -> Self {
        let implicit_local = if entries.iter().any(|entry| entry.profile == "local") {
            None
        } else {
            entries.push(CatalogEntry::new("local", "local", false));
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

    /// The only host of a profile has the profile's name as its label. Otherwise it is the host's name if
    /// that is unambiguous, else `profile/host`.
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

    /// All entries in the order of the profiles; `local` is last if it has no profile.
    pub fn entries(&self) -> &[CatalogEntry] {
        &self.entries
    }

    /// The groups and their members.
    pub fn groups(&self) -> &BTreeMap<String, Expression> {
        &self.groups
    }

    /// Names for completion: profiles, then groups with their `@`, then the hosts of profiles that have
    /// several.
    pub fn names(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut names: Vec<String> = self.entries.iter().map(|entry| entry.profile.clone()).collect();
        names.extend(self.groups.keys().map(|group| format!("@{group}")));
        names.extend(self.labels.iter().cloned());
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// The targets that `wanted` selects and `limit` does not exclude, each once, in the order of the
    /// terms. In a limit, and after `!` and `&`, a bare host name means that host in every profile. A
    /// limit of `!` terms only excludes.
    ///
    /// # Errors
    /// Unknown and ambiguous names, and an empty selection.
    pub fn select(
        &self,
        wanted: &Expression,
        limit: Option<&Expression>,
    ) -> Result<Vec<Target>, TargetError> {
        let mut picks = self.union(wanted, Mode::Select, &[], &mut Vec::new())?;
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

    /// The errors in the names of a group's members. Groups among the members are not examined further. In
    /// a group, a glob that matches nothing is not an error.
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
                Atom::AdHoc(_) | Atom::Globs(_) => {}
            }
        }
        errors
    }

    fn target(&self, pick: Pick) -> Target {
        match pick {
            Pick::Listed(i) => {
                let CatalogEntry { profile, host, .. } = self.entries[i].clone();
                Target { label: self.labels[i].clone(), kind: TargetKind::Listed { profile, host } }
            }
            Pick::AdHoc(adhoc) => Target { label: label_adhoc(&adhoc), kind: TargetKind::AdHoc(adhoc) },
        }
    }

    /// The targets of all inclusions. `among` has the ad-hoc targets that a bare host name of a filter can
    /// mean; `path` has the groups that are being expanded.
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
            // In a group, a glob may be there for profiles that do not exist yet.
            if found.is_empty()
                && mode == Mode::Select
                && path.is_empty()
                && matches!(term.atom, Atom::Names(_) | Atom::Globs(_))
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
                    match self.named(name, mode, among) {
                        // The members of a group are names only, so that errors in the file are found.
                        Err(error) if mode == Mode::Select && path.is_empty() => {
                            picks.push(Pick::AdHoc(self.address(name, error)?));
                        }
                        found => picks.extend(found?),
                    }
                }
            }
            Atom::Globs(globs) => {
                let of_profile = globs.profile.as_ref().map(|set| move |name: &str| set.matches(name));
                let of_profile = of_profile.as_ref().map(|matches| matches as &dyn Fn(&str) -> bool);
                picks.extend(self.matching(mode, among, of_profile, &|name| globs.name.matches(name)));
            }
            Atom::Groups(groups) => {
                for name in groups {
                    if let Some(start) = path.iter().position(|group| group == name) {
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
        let matches = |host: &str| glob(name, host);
        if let Some(profile) = &wanted.profile {
            let of_profile = |name: &str| glob(profile, name);
            let found = self.matching(mode, among, Some(&of_profile), &matches);
            return match found.is_empty() {
                true if wanted.is_glob() || profile.contains(['*', '?']) => Ok(Vec::new()),
                true => Err(self.unknown(&format!("{profile}/{name}"))),
                false => Ok(found),
            };
        }
        if wanted.is_glob() {
            return Ok(self.matching(mode, among, None, &matches));
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

    /// The entries whose names match; of one profile or several, if `profile` says so.
    fn matching(
        &self,
        mode: Mode,
        among: &[Pick],
        profile: Option<&dyn Fn(&str) -> bool>,
        matches: &dyn Fn(&str) -> bool,
    ) -> Vec<Pick> {
        let host = |host: &str| matches(host) || short_name(host).is_some_and(matches);
        let found = (0..self.entries.len()).filter(|i| {
            let entry = &self.entries[*i];
            match profile {
                Some(of_profile) => of_profile(&entry.profile) && host(&entry.host),
                None => {
                    let by_host = (mode == Mode::Filter || entry.owner) && host(&entry.host);
                    Some(*i) != self.implicit_local && (by_host || matches(&entry.profile))
                }
            }
        });
        let mut picks: Vec<Pick> = found.map(Pick::Listed).collect();
        if mode == Mode::Filter && profile.is_none() {
            picks.extend(among.iter().filter(|pick| adhoc_host(pick, matches)).cloned());
        }
        picks
    }

    /// The host that a name means which is in no profile, unless it resembles one that is.
    fn address(&self, wanted: &NamePattern, error: TargetError) -> Result<AdHoc, TargetError> {
        let TargetError::UnknownName { name, suggestion } = &error else { return Err(error) };
        let like_a_host = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || ".-_:%[]".contains(c);
        if wanted.profile.is_some() || !name.chars().all(like_a_host) {
            return Err(error);
        }
        let Some(address) = AdHoc::parse(name)?.pop() else { return Err(error) };
        if address.host.parse::<IpAddr>().is_ok() {
            return Ok(address);
        }
        let similar = if suggestion.is_some() || address.port.is_none() {
            suggestion.clone()
        } else if self.by_profile.contains_key(&address.host) || self.by_host.contains_key(&address.host) {
            Some(address.host.clone())
        } else {
            match self.unknown(&address.host) {
                TargetError::UnknownName { suggestion, .. } => suggestion,
                _ => None,
            }
        };
        match similar {
            None => Ok(address),
            suggestion => Err(TargetError::UnknownName { name: name.clone(), suggestion }),
        }
    }

    fn unknown(&self, name: &str) -> TargetError {
        let names = self.names();
        let shorts = self.entries.iter().filter_map(|entry| short_name(&entry.host));
        let groups = self.groups.keys().map(String::as_str);
        // The most likely error is the name of a group without its `@`.
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
    if term.operator == Operator::Include { Mode::Select } else { Mode::Filter }
}

fn adhoc_host(pick: &Pick, matches: impl Fn(&str) -> bool) -> bool {
    match pick {
        Pick::AdHoc(adhoc) => matches(&adhoc.host) || short_name(&adhoc.host).is_some_and(matches),
        Pick::Listed(_) => false,
    }
}

/// A label that is parsed as an ad-hoc address again.
fn label_adhoc(adhoc: &AdHoc) -> String {
    if adhoc.user.is_some() { adhoc.to_string() } else { format!("ssh:{adhoc}") }
}

/// The first label of a host name that has several and is not an address.
fn short_name(host: &str) -> Option<&str> {
    let (short, _) = host.split_once('.')?;
    let address = host.contains(':') || host.bytes().all(|b| b == b'.' || b.is_ascii_digit());
    (!address && !short.is_empty()).then_some(short)
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
