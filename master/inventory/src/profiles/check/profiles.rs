//! The `[profile.NAME]` tables.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use mitogen_core::connect::{OptionSpec, TransportKind};
use serde_json::{Map, Value as Json};

use super::super::document::KeyValue;
use super::super::options::{self, Fault, Given, SecretContext, Setting};
use super::super::profile::Profile;
use super::checker::Checker;
use super::names::{COMMON, RENAMED, arrows, by_key, current_name, follow, name_fault};
use super::values::{described, keepalive, mitogen_package, python, timeout};
use crate::targets::{MAX_NODES, NodeSet, did_you_mean};

/// Methods that copy the context that `via` names.
const COPIES: &[&str] = &["fork"];

/// A key that applies to a profile, and the profile whose table has it.
#[derive(Clone, Copy)]
struct Held<'n> {
    entry: &'n KeyValue,
    from: &'n str,
}

impl Held<'_> {
    fn key(&self) -> Option<String> {
        Some(format!("profile.{}.{}", self.from, self.entry.key))
    }
}

/// A profile with the keys that it inherits, not yet checked against its transport.
struct Draft<'n> {
    entry: &'n KeyValue,
    held: BTreeMap<&'n str, Held<'n>>,
    /// Whether other profiles extend it.
    extended: bool,
    /// An error was reported that is likely to cause others, which are then not reported.
    broken: bool,
}

impl<'n> Draft<'n> {
    fn text(&self, key: &str) -> Option<&'n str> {
        self.held.get(key).and_then(|held| held.entry.node.string())
    }

    fn has_method(&self) -> bool {
        self.held.contains_key("method") || self.entry.key == "local"
    }
}

type Drafts<'n> = BTreeMap<&'n str, Draft<'n>>;
/// The hosts of the profiles examined so far, `None` where an error hides them.
type Hosts<'n> = HashMap<&'n str, Option<Rc<Vec<String>>>>;

/// The profiles that have a method, in the order of the file, and whether none is missing because of an
/// error.
pub(super) fn check(checker: &mut Checker<'_>, table: &[KeyValue]) -> (Vec<Profile>, bool) {
    let drafts = draft(checker, table);
    vias(checker, &drafts, table);
    via_cycles(checker, &drafts, table);
    let mut hosts = Hosts::new();
    let (mut profiles, mut complete) = (Vec::new(), true);
    for entry in table {
        let Some(draft) = drafts.get(entry.key.as_str()) else {
            complete = false;
            continue;
        };
        if draft.broken || !draft.has_method() {
            complete &= !draft.broken;
            if !draft.broken && !draft.extended {
                let hint = format!("add method = \"NAME\"; {}", available(checker));
                let fault = Fault::new("the profile has no method", hint);
                checker.report(entry.key_span.clone(), Some(format!("profile.{}", entry.key)), fault);
            }
            continue;
        }
        let names = hosts_of(checker, &drafts, &mut hosts, &entry.key, 0);
        match (finish(checker, draft, names.as_deref()), names) {
            (Some(profile), Some(_)) => profiles.push(profile),
            _ => complete = false,
        }
    }
    connect(checker, &drafts, &mut profiles);
    (profiles, complete)
}

fn draft<'n>(checker: &mut Checker<'_>, table: &'n [KeyValue]) -> Drafts<'n> {
    let mut raw: BTreeMap<&str, BTreeMap<&str, &KeyValue>> = BTreeMap::new();
    for entry in table {
        let key = || Some(format!("profile.{}", entry.key));
        if let Some(fault) = name_fault(&entry.key) {
            checker.report(entry.key_span.clone(), key(), fault);
        } else if let Some(own) = entry.node.table() {
            let own = by_key(own);
            renamed_keys(checker, &entry.key, &own);
            raw.insert(&entry.key, own);
        } else {
            let fault = Fault::new(
                format!("expected a table, found {}", entry.node.kind()),
                format!("write [profile.{}] on a line of its own and its keys below", entry.key),
            );
            checker.report(entry.node.span.clone(), key(), fault);
        }
    }
    let base =
        |name: &str| raw.get(name).and_then(|own| own.get("extends")).and_then(|entry| entry.node.string());
    let mut drafts = Drafts::new();
    let mut extended = HashSet::new();
    for entry in table.iter().filter(|entry| raw.contains_key(entry.key.as_str())) {
        let name = entry.key.as_str();
        let (passed, cycle) = follow(name, base);
        let mut broken = cycle.is_some();
        if let Some(own) = raw[name].get("extends") {
            let key = Some(format!("profile.{name}.extends"));
            match own.node.string() {
                None => {
                    let message = format!("expected the name of a profile, found {}", own.node.kind());
                    checker.report(
                        own.node.span.clone(),
                        key,
                        Fault::new(message, "write extends = \"NAME\""),
                    );
                    broken = true;
                }
                Some(base) if !table.iter().any(|entry| entry.key == base) => {
                    let fault = no_profile(base, table);
                    checker.report(own.node.span.clone(), key, fault);
                }
                Some(_) => {}
            }
            // Each cycle is reported once, at its first profile.
            if let Some(cycle) = cycle.filter(|cycle| is_first(name, cycle, table)) {
                let message = format!("`extends` cycle: {}", arrows(&cycle, ""));
                let fault = Fault::new(message, "remove one of these `extends`");
                checker.report(own.node.span.clone(), Some(format!("profile.{name}.extends")), fault);
            }
        }
        extended.extend(passed[1..].iter().copied());
        let mut held = BTreeMap::new();
        for from in passed.iter().rev() {
            // A base that does not exist was reported above, or is reported where it is named.
            let Some(own) = raw.get(from) else {
                broken = true;
                continue;
            };
            held.extend(own.iter().filter(|(key, _)| **key != "extends").map(|(key, entry)| {
                let from = *from;
                (current_name(key), Held { entry, from })
            }));
        }
        drafts.insert(name, Draft { entry, held, extended: false, broken });
    }
    for (name, draft) in &mut drafts {
        draft.extended = extended.contains(name);
    }
    drafts
}

/// Warns about keys that have a new name.
fn renamed_keys(checker: &mut Checker<'_>, profile: &str, own: &BTreeMap<&str, &KeyValue>) {
    for (old, new) in RENAMED {
        let Some(entry) = own.get(old) else { continue };
        let key = Some(format!("profile.{profile}.{old}"));
        let fault = Fault::new(format!("the key `{old}` is now `{new}`"), format!("write {new} = ..."));
        if own.contains_key(new) {
            let fault =
                Fault::new(format!("`{old}` and `{new}` are the same key"), format!("remove `{old}`"));
            checker.report(entry.key_span.clone(), key, fault);
        } else {
            checker.warn(entry.key_span.clone(), key, fault);
        }
    }
}

fn is_first(name: &str, cycle: &[&str], table: &[KeyValue]) -> bool {
    table.iter().find(|entry| cycle.contains(&entry.key.as_str())).is_some_and(|first| first.key == name)
}

fn available(checker: &Checker<'_>) -> String {
    format!("available methods: {}", checker.registry.names().collect::<Vec<_>>().join(", "))
}

fn no_profile(name: &str, table: &[KeyValue]) -> Fault {
    let guess = did_you_mean(name, table.iter().map(|entry| entry.key.as_str()));
    let hint = guess.map_or_else(
        || format!("add [profile.{name}] or use the name of an existing profile"),
        |near| format!("did you mean `{near}`?"),
    );
    Fault::new(format!("no profile named `{name}`"), hint)
}

/// Reports each `via` that names no profile, or one without a method.
fn vias(checker: &mut Checker<'_>, drafts: &Drafts<'_>, table: &[KeyValue]) {
    for draft in drafts.values().filter(|draft| !draft.broken) {
        let Some(held) = draft.held.get("via") else { continue };
        let Some(via) = held.entry.node.string() else { continue };
        let fault = match drafts.get(via) {
            Some(other) if !other.broken && !other.has_method() => Fault::new(
                format!("profile `{via}` cannot be used as `via`: it has no method"),
                "use a profile that extends it",
            ),
            None if via != "local" && !table.iter().any(|entry| entry.key == via) => no_profile(via, table),
            _ => continue,
        };
        checker.report(held.entry.node.span.clone(), held.key(), fault);
    }
}

fn via_cycles(checker: &mut Checker<'_>, drafts: &Drafts<'_>, table: &[KeyValue]) {
    for entry in table {
        let via = |name: &str| drafts.get(name).and_then(|draft| draft.text("via"));
        let (Some(cycle), Some(draft)) = (follow(&entry.key, via).1, drafts.get(entry.key.as_str())) else {
            continue;
        };
        if let Some(held) = draft.held.get("via").filter(|_| is_first(&entry.key, &cycle, table)) {
            let message = format!("`via` cycle: {}", arrows(&cycle, ""));
            let fault = Fault::new(message, "remove one of these `via`");
            checker.report(held.entry.node.span.clone(), held.key(), fault);
        }
    }
}

/// The hosts of a profile: those of its key `hostname`, else those of its `via`, else one with the name of
/// the profile. `depth` is the number of `via` followed so far.
fn hosts_of<'n>(
    checker: &mut Checker<'_>,
    drafts: &Drafts<'n>,
    known: &mut Hosts<'n>,
    name: &str,
    depth: usize,
) -> Option<Rc<Vec<String>>> {
    if let Some(found) = known.get(name) {
        return found.clone();
    }
    let (name, draft) = drafts.get_key_value(name)?;
    // A chain longer than the number of profiles is a cycle, which is reported elsewhere.
    if draft.broken || depth > drafts.len() {
        return None;
    }
    let found = if let Some(held) = draft.held.get("hostname") {
        own_hosts(held).map_err(|fault| checker.report(held.entry.node.span.clone(), held.key(), fault)).ok()
    } else {
        match draft.text("via") {
            Some("local") if !drafts.contains_key("local") => Some(vec!["local".to_owned()]),
            Some(via) => hosts_of(checker, drafts, known, via, depth + 1).map(|hosts| hosts.to_vec()),
            None => Some(vec![(*name).to_owned()]),
        }
    };
    let found = found.map(Rc::new);
    known.insert(name, found.clone());
    found
}

fn own_hosts(held: &Held<'_>) -> Result<Vec<String>, Fault> {
    const FORM: &str = "write hostname = \"web[01-20].example.org\"";
    let node = &held.entry.node;
    let sets = node.string().map(|text| vec![text.to_owned()]).or_else(|| node.strings());
    let sets = sets.filter(|sets| !sets.is_empty()).ok_or_else(|| {
        Fault::new(format!("expected a host name or an array of host names, found {}", described(node)), FORM)
    })?;
    let (mut hosts, mut seen) = (Vec::new(), HashSet::new());
    for set in &sets {
        let names = NodeSet::parse(set).and_then(|set| set.expand());
        let names = names.map_err(|error| Fault::new(error.to_string(), FORM))?;
        hosts.extend(names.into_iter().filter(|name| seen.insert(name.clone())));
    }
    if hosts.len() > MAX_NODES {
        return Err(Fault::new(format!("more than {MAX_NODES} hosts"), "split the profile"));
    }
    let odd = |host: &&String| {
        host.starts_with('-')
            || host.chars().any(|c| c.is_whitespace() || c.is_control() || "@!&,*?/{}".contains(c))
    };
    match hosts.iter().find(odd) {
        Some(host) if host.contains('@') => {
            Err(Fault::new(format!("`{host}` is not a host name"), "write the user as username = \"...\""))
        }
        Some(host) => Err(Fault::new(format!("`{host}` is not a host name"), FORM)),
        None => Ok(hosts),
    }
}

/// Checks the values of a profile against its transport. `None` if there are errors.
fn finish(checker: &mut Checker<'_>, draft: &Draft<'_>, hosts: Option<&Vec<String>>) -> Option<Profile> {
    let name = draft.entry.key.as_str();
    let errors = checker.error_count();
    let kind = method(checker, draft)?;
    let mut profile = Profile::new(name, kind.name(), checker.origin(&draft.entry.key_span));
    profile.owner = draft.held.get("hostname").is_some_and(|held| held.from == name);
    for (key, held) in &draft.held {
        let node = &held.entry.node;
        let origin = checker.origin(&held.entry.key_span);
        let fault = match *key {
            "method" => {
                profile.method_origin = origin;
                Ok(())
            }
            "hostname" => {
                profile.hostname_origin = Some(origin);
                Ok(())
            }
            "via" => match node.string() {
                Some(via) => {
                    profile.via = Some((via.to_owned(), origin));
                    Ok(())
                }
                None => Err(Fault::new(
                    format!("expected the name of a profile, found {}", node.kind()),
                    "write via = \"NAME\"",
                )),
            },
            "python" => python(node).map(|argv| profile.python = Some((argv, origin))),
            "mitogen_package" => {
                mitogen_package(node).map(|path| profile.mitogen_package = Some((path, origin)))
            }
            "timeout" => timeout(node).map(|limit| profile.timeout = Some((limit, origin))),
            "keepalive" => keepalive(node).map(|keepalive| profile.keepalive = Some((keepalive, origin))),
            key if kind.has_option(key) => {
                let given = if kind.option(key).is_some_and(OptionSpec::is_secret) {
                    let context = SecretContext {
                        path: checker.file.path(),
                        shared: checker.file.is_shared(),
                        question: format!("{key} for profile {}", held.from),
                    };
                    options::secret(node, &context).map(Given::Secret)
                } else {
                    options::plain(node).map(Given::Plain)
                };
                given.map(|value| {
                    profile.settings.insert(key.to_owned(), Setting { value, origin });
                })
            }
            key => {
                let fault = unknown_option(key, kind, held.from != name, name);
                checker.report(held.entry.key_span.clone(), held.key(), fault);
                continue;
            }
        };
        if let Err(fault) = fault {
            checker.report(node.span.clone(), held.key(), fault);
        }
    }
    if kind.has_option("hostname") {
        let origin = profile.hostname_origin.clone().unwrap_or_else(|| profile.origin.clone());
        profile
            .settings
            .insert("hostname".to_owned(), Setting { value: Given::Plain(Json::from("{host}")), origin });
    }
    if let Some(held) = draft.held.get("method").filter(|_| needs_via(kind, draft)) {
        let fault = Fault::new(
            format!(
                "method `{}` copies the context that `via` names, and the profile has no `via`",
                kind.name()
            ),
            "add via = \"NAME\", a profile whose contexts run Python",
        );
        checker.report(held.entry.node.span.clone(), held.key(), fault);
    }
    try_options(checker, draft, kind, &profile, hosts.and_then(|hosts| hosts.first()));
    profile.set_hosts(hosts?.clone());
    (checker.error_count() == errors).then_some(profile)
}

/// Whether the profile lacks a `via` that its method needs. A profile that others extend may leave the key
/// to them.
fn needs_via(kind: &TransportKind, draft: &Draft<'_>) -> bool {
    COPIES.contains(&kind.name()) && !draft.extended && !draft.held.contains_key("via")
}

fn method<'r>(checker: &mut Checker<'r>, draft: &Draft<'_>) -> Option<&'r TransportKind> {
    let Some(held) = draft.held.get("method") else {
        return local_kind(checker, draft);
    };
    let known = || checker.registry.names();
    let fault = match held.entry.node.string() {
        None => Fault::new(
            format!("expected the name of a method, found {}", held.entry.node.kind()),
            available(checker),
        ),
        Some(method) if draft.entry.key == "local" && method != "local" => {
            Fault::new("the method of profile `local` must be `local`", "rename the profile")
        }
        Some(method) => match checker.registry.get(method) {
            Some(kind) => return Some(kind),
            None if checker.is_broken(method) => return None,
            None => {
                let hint = did_you_mean(method, known())
                    .map_or_else(|| available(checker), |near| format!("did you mean `{near}`?"));
                Fault::new(format!("unknown method `{method}`"), hint)
            }
        },
    };
    checker.report(held.entry.node.span.clone(), held.key(), fault);
    None
}

fn local_kind<'r>(checker: &mut Checker<'r>, draft: &Draft<'_>) -> Option<&'r TransportKind> {
    let kind = checker.registry.get("local");
    if kind.is_none() {
        let fault = Fault::new("unknown method `local`", "add the local transport to the registry");
        checker.report(draft.entry.key_span.clone(), Some("profile.local".to_owned()), fault);
    }
    kind
}

fn unknown_option(key: &str, kind: &TransportKind, inherited: bool, name: &str) -> Fault {
    let known = || kind.option_names().chain(COMMON.iter().copied());
    let hint = did_you_mean(key, known()).map_or_else(
        || {
            let mut names: Vec<&str> = known().collect();
            names.sort_unstable();
            names.dedup();
            format!("known keys: {}", names.join(", "))
        },
        |near| format!("did you mean `{near}`?"),
    );
    let user = if inherited { format!(", which profile `{name}` uses") } else { String::new() };
    Fault::new(format!("unknown key for method `{}`{user}", kind.name()), hint)
}

/// Lets the transport parse the options, each time without those that it rejected before, so that all
/// errors are reported at once.
fn try_options(
    checker: &mut Checker<'_>,
    draft: &Draft<'_>,
    kind: &TransportKind,
    profile: &Profile,
    host: Option<&String>,
) {
    let host = host.map_or("host", String::as_str);
    let mut given: Map<String, Json> = profile
        .settings
        .iter()
        .map(|(key, setting)| {
            let value = match &setting.value {
                Given::Plain(value) => options::value_for_host(value, host),
                Given::Secret(_) => Json::from(options::MASK),
            };
            (key.clone(), value)
        })
        .collect();
    while let Err(error) = kind.create(Json::Object(given.clone())) {
        let held = error.key.as_deref().and_then(|key| draft.held.get(key));
        let fault = Fault { message: format!("{}: {}", kind.name(), error.message), hint: None };
        match held {
            Some(held) => checker.report(held.entry.node.span.clone(), held.key(), fault),
            // Rejected because of an option that was removed in an earlier turn and reported then.
            None if error.key.as_ref().is_some_and(|key| draft.held.contains_key(key.as_str())) => return,
            None => {
                let key = error.key.as_ref().map_or_else(String::new, |key| format!(".{key}"));
                let name = &draft.entry.key;
                checker.report(draft.entry.key_span.clone(), Some(format!("profile.{name}{key}")), fault);
                return;
            }
        }
        if error.key.is_none_or(|key| given.remove(&key).is_none()) {
            return;
        }
    }
}

/// Sets for every host of a profile the host of its `via` to connect from.
fn connect(checker: &mut Checker<'_>, drafts: &Drafts<'_>, profiles: &mut [Profile]) {
    let hosts: HashMap<String, Vec<String>> =
        profiles.iter().map(|profile| (profile.name.clone(), profile.hosts.clone())).collect();
    for profile in profiles {
        let (Some((via, _)), Some(draft)) = (&profile.via, drafts.get(profile.name.as_str())) else {
            continue;
        };
        let Some(held) = draft.held.get("via") else { continue };
        if via == "local" && !drafts.contains_key("local") {
            profile.via_hosts = vec![0; profile.hosts.len()];
            continue;
        }
        // Errors in the other profile are reported there.
        let Some(via_hosts) = hosts.get(via.as_str()) else { continue };
        if let Some(paired) = pair(&profile.hosts, via_hosts) {
            profile.via_hosts = paired;
            continue;
        }
        let (count, via_hosts) = (profile.hosts.len(), via_hosts.len());
        let fault = Fault::new(
            format!("`{}` has {count} hosts, but its `via` profile `{via}` has {via_hosts}", profile.name),
            "`via` must name a profile with the same hosts, the same number of hosts, or one host",
        );
        checker.report(held.entry.node.span.clone(), held.key(), fault);
    }
}

/// For each host the position of the host to connect from: the only one, the one of the same name if both
/// profiles have the same hosts, or else the one at the same position.
fn pair(hosts: &[String], via_hosts: &[String]) -> Option<Vec<usize>> {
    if via_hosts.len() == 1 {
        return Some(vec![0; hosts.len()]);
    }
    if hosts.len() != via_hosts.len() {
        return None;
    }
    let positions: HashMap<&str, usize> =
        via_hosts.iter().enumerate().map(|(i, host)| (host.as_str(), i)).collect();
    let same: Option<Vec<usize>> = hosts.iter().map(|host| positions.get(host.as_str()).copied()).collect();
    Some(same.unwrap_or_else(|| (0..hosts.len()).collect()))
}
