//! What a profile file says, and the way to each target.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mitogen_core::connect::{Keepalive, Registry, TransportKind};
use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::chain::{Chain, Hop, HopKey};
use super::check::{self, Checked};
use super::diagnostic::{Diagnostics, Origin};
use super::discover::{ProfilesError, Search, Source};
use super::options::{self, Given, Setting};
use super::secret::SecretSource;
use crate::targets::{AdHoc, Catalog, Expression, Target, TargetError, TargetKind};

/// Methods that stay on the machine where they start, so that its interpreter is theirs, too.
const SAME_MACHINE: &[&str] = &["sudo", "su", "doas"];

/// The options by which a transport watches its own connection.
const KEEPALIVE: &[&str; 3] = &["keepalive_enabled", "keepalive_interval", "keepalive_count"];

/// What `[defaults]` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// The interpreter's command line.
    pub python: Option<(Vec<String>, Origin)>,
    /// Seconds that a connection may take.
    pub timeout: Option<(f64, Origin)>,
    /// When a silent link is given up.
    pub keepalive: Option<(Keepalive, Origin)>,
    /// How many targets are worked on at once.
    pub forks: Option<usize>,
}

/// A profile with all that it takes over from others.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The transport's name.
    pub method: String,
    /// The profile it goes through, and where that is said.
    pub via: Option<(String, Origin)>,
    /// Its hosts, in order; never empty.
    pub hosts: Vec<String>,
    /// Where it stands.
    pub origin: Origin,
    /// Whether its own table names the hosts.
    pub(super) owner: bool,
    /// For each host the position of the one in front of it, among the hosts of `via`.
    pub(super) via_hosts: Vec<usize>,
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) python: Option<(Vec<String>, Origin)>,
    pub(super) stock: Option<(PathBuf, Origin)>,
    pub(super) timeout: Option<(f64, Origin)>,
    pub(super) keepalive: Option<(Keepalive, Origin)>,
    pub(super) method_origin: Origin,
    pub(super) hostname_origin: Option<Origin>,
    positions: HashMap<String, usize>,
}

impl Profile {
    pub(super) fn new(name: &str, method: &str, origin: Origin) -> Self {
        Self {
            name: name.to_owned(),
            method: method.to_owned(),
            via: None,
            hosts: Vec::new(),
            owner: false,
            via_hosts: Vec::new(),
            settings: BTreeMap::new(),
            python: None,
            stock: None,
            timeout: None,
            keepalive: None,
            method_origin: origin.clone(),
            hostname_origin: None,
            positions: HashMap::new(),
            origin,
        }
    }

    pub(super) fn set_hosts(&mut self, hosts: Vec<String>) {
        self.positions = hosts.iter().enumerate().map(|(i, host)| (host.clone(), i)).collect();
        self.hosts = hosts;
    }
}

/// Becoming another user on the target, as the command line asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Become {
    /// The transport, such as `sudo`.
    pub method: String,
    /// The user; `None` leaves it to the transport.
    pub user: Option<String>,
}

/// What the command line changes on the way to every target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// The user to log in as on the last hop that logs in.
    pub user: Option<String>,
    /// Ask for the password of that hop.
    pub ask_pass: bool,
    /// Become another user at the end.
    pub r#become: Option<Become>,
    /// Ask for the password of the last hop, which must be one that becomes another user.
    pub ask_become_pass: bool,
    /// How long each connection may take.
    pub timeout: Option<Duration>,
}

/// Why there is no way to a target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The target was not chosen from this inventory.
    #[error("{0}: there is no such profile and host here")]
    Foreign(String),
    /// The registry has no such transport.
    #[error("{label}: there is no method `{method}`; known are: {known}")]
    UnknownMethod {
        /// The target.
        label: String,
        /// The transport.
        method: String,
        /// All transports.
        known: String,
    },
    /// The command line sets what the transport does not have.
    #[error("{label}: method `{method}` has no option `{option}`, so {flag} cannot apply to it")]
    NoSuchOption {
        /// The target.
        label: String,
        /// The transport.
        method: String,
        /// The option.
        option: &'static str,
        /// The flag that wants it.
        flag: &'static str,
    },
    /// The command line says how to log in where nothing logs in.
    #[error(
        "{label}: nothing logs in on the way there, so {flag} does not apply; leave the target or the flag out"
    )]
    NoLogin {
        /// The target.
        label: String,
        /// The flag.
        flag: &'static str,
    },
    /// A password to become another user, and nobody becomes another user.
    #[error("{0}: nothing becomes another user there, so -K does not apply; add -b")]
    NoBecome(String),
}

/// What a profile file says, checked, and `local`.
#[derive(Clone, Debug)]
pub struct Inventory {
    path: Option<PathBuf>,
    registry: Registry,
    defaults: Defaults,
    profiles: Vec<Profile>,
    by_name: HashMap<String, usize>,
    catalog: Catalog,
}

impl Inventory {
    /// An inventory with nothing but `local` in it.
    pub fn empty(registry: &Registry) -> Self {
        Self {
            path: None,
            registry: registry.clone(),
            defaults: Defaults::default(),
            profiles: Vec::new(),
            by_name: HashMap::new(),
            catalog: Catalog::new(Vec::new(), BTreeMap::new()),
        }
    }

    /// Reads the file that the search finds; none is an [empty](Self::empty) inventory.
    ///
    /// # Errors
    /// A file that cannot be read or trusted, and all faults of one that can.
    pub fn load(search: &Search, registry: &Registry) -> Result<Self, ProfilesError> {
        match search.read()? {
            Some(source) => Ok(Self::parse(&source, registry)?),
            None => Ok(Self::empty(registry)),
        }
    }

    /// Reads and checks a profile file's text.
    ///
    /// # Errors
    /// All of its faults.
    pub fn parse(source: &Source, registry: &Registry) -> Result<Self, Diagnostics> {
        let Checked { defaults, profiles, catalog } = check::check(source, registry)?;
        let by_name = profiles.iter().enumerate().map(|(i, profile)| (profile.name.clone(), i)).collect();
        let path = Some(source.path().to_owned());
        Ok(Self { path, registry: registry.clone(), defaults, profiles, by_name, catalog })
    }

    /// The file it was read from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What holds for all profiles.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// The profiles that can be used, in the order of the file.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// All machines and groups.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The targets that an expression chooses within a limit.
    ///
    /// # Errors
    /// An expression that cannot be read, or chooses nothing.
    pub fn select(&self, wanted: &str, limit: Option<&str>) -> Result<Vec<Target>, TargetError> {
        let limit = limit.map(Expression::parse).transpose()?;
        self.catalog.select(&Expression::parse(wanted)?, limit.as_ref())
    }

    /// The way to a target.
    ///
    /// # Errors
    /// A target of another inventory, and overrides that cannot apply to this one.
    pub fn resolve(&self, target: &Target, overrides: &Overrides) -> Result<Chain, ResolveError> {
        let label = target.label.as_str();
        let hops = match &target.kind {
            TargetKind::AdHoc(address) => vec![self.adhoc_hop(label, address)?],
            TargetKind::Listed { profile, host } => self.listed_hops(label, profile, host)?,
        };
        let mut chain = Chain { label: label.to_owned(), hops };
        self.apply(&mut chain, overrides)?;
        Ok(chain)
    }

    fn kind(&self, label: &str, method: &str) -> Result<&TransportKind, ResolveError> {
        self.registry.get(method).ok_or_else(|| ResolveError::UnknownMethod {
            label: label.to_owned(),
            method: method.to_owned(),
            known: self.registry.names().collect::<Vec<_>>().join(", "),
        })
    }

    fn listed_hops(&self, label: &str, profile: &str, host: &str) -> Result<Vec<Hop>, ResolveError> {
        let foreign = || ResolveError::Foreign(label.to_owned());
        if profile == "local" && !self.by_name.contains_key("local") {
            return Ok(vec![self.local_hop()]);
        }
        let mut profile = &self.profiles[*self.by_name.get(profile).ok_or_else(foreign)?];
        let mut at = *profile.positions.get(host).ok_or_else(foreign)?;
        let mut hops = Vec::new();
        loop {
            hops.push(self.hop(profile, at));
            let Some((via, _)) = &profile.via else { break };
            let Some(front) = self.by_name.get(via) else {
                hops.push(self.local_hop());
                break;
            };
            at = profile.via_hosts[at];
            profile = &self.profiles[*front];
        }
        hops.reverse();
        for i in 0..hops.len() {
            hops[i].via = i.checked_sub(1);
            let same = SAME_MACHINE.contains(&hops[i].method.as_str());
            if let Some(before) = i.checked_sub(1).filter(|_| same && !self.has_python(&hops[i].profile)) {
                let origin = hops[before].origins.get("python").cloned();
                hops[i].python = hops[before].python.clone();
                hops[i].origins.extend(origin.map(|origin| ("python".to_owned(), origin)));
            }
        }
        Ok(hops)
    }

    fn has_python(&self, profile: &str) -> bool {
        self.by_name.get(profile).is_some_and(|i| self.profiles[*i].python.is_some())
    }

    fn hop(&self, profile: &Profile, at: usize) -> Hop {
        let host = profile.hosts[at].as_str();
        let mut hop = self.bare_hop(&profile.name, host, &profile.method);
        hop.origins.insert("method".to_owned(), profile.method_origin.clone());
        if let Some((_, origin)) = &profile.via {
            hop.origins.insert("via".to_owned(), origin.clone());
        }
        if let Some((python, origin)) = &profile.python {
            hop.python = python.iter().map(|word| options::for_host(word, host)).collect();
            hop.origins.insert("python".to_owned(), origin.clone());
        }
        if let Some((path, origin)) = &profile.stock {
            hop.stock = Some(path.clone());
            hop.origins.insert("stock".to_owned(), origin.clone());
        }
        if let Some((seconds, origin)) = &profile.timeout {
            self.set_timeout(&mut hop, Duration::from_secs_f64(*seconds), origin.clone());
        }
        if let Some((keepalive, origin)) = &profile.keepalive {
            self.set_keepalive(&mut hop, *keepalive, origin);
        }
        if profile.settings.keys().any(|key| KEEPALIVE.contains(&key.as_str())) {
            hop.keepalive = None;
            hop.origins.remove("keepalive");
        }
        for (key, Setting { value, origin }) in &profile.settings {
            match value {
                Given::Plain(value) => {
                    hop.options.insert(key.clone(), options::value_for_host(value, host));
                }
                Given::Secret(source) => {
                    let source = source.for_host(|text| options::for_host(text, host));
                    hop.secrets.insert(key.clone(), source);
                }
            }
            hop.origins.insert(key.clone(), origin.clone());
        }
        // The transport's own word for it is the more exact one.
        let seconds = hop.options.get("connect_timeout").and_then(Json::as_f64);
        if let Some(timeout) = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            hop.timeout = Some(timeout);
            hop.origins.remove("timeout");
        }
        hop
    }

    /// A hop with nothing but the defaults.
    fn bare_hop(&self, profile: &str, host: &str, method: &str) -> Hop {
        let mut hop = Hop {
            key: HopKey(format!("{profile}/{host}")),
            profile: profile.to_owned(),
            host: host.to_owned(),
            method: method.to_owned(),
            python: Vec::new(),
            stock: None,
            timeout: None,
            keepalive: None,
            via: None,
            options: Map::new(),
            secrets: BTreeMap::new(),
            origins: BTreeMap::from([("python".to_owned(), Origin::Default)]),
        };
        if let Some((python, origin)) = &self.defaults.python {
            hop.python.clone_from(python);
            hop.origins.insert("python".to_owned(), origin.clone());
        }
        if let Some((seconds, origin)) = &self.defaults.timeout {
            self.set_timeout(&mut hop, Duration::from_secs_f64(*seconds), origin.clone());
        }
        if let Some((keepalive, origin)) = &self.defaults.keepalive {
            self.set_keepalive(&mut hop, *keepalive, origin);
        }
        hop
    }

    /// A transport that can watch its own connection is told to do as we do.
    fn set_keepalive(&self, hop: &mut Hop, keepalive: Keepalive, origin: &Origin) {
        hop.keepalive = Some(keepalive);
        hop.origins.insert("keepalive".to_owned(), origin.clone());
        let kind = self.registry.get(&hop.method);
        if kind.is_some_and(|kind| KEEPALIVE.iter().all(|key| kind.has_option(key))) {
            let seconds = keepalive.interval.as_secs() + u64::from(keepalive.interval.subsec_nanos() > 0);
            let [enabled, interval, count] = KEEPALIVE;
            let values = [
                (enabled, Some(Json::from(keepalive.is_on()))),
                (interval, keepalive.is_on().then(|| Json::from(seconds))),
                (count, keepalive.is_on().then(|| Json::from(keepalive.count))),
            ];
            for (key, value) in values {
                hop.options.remove(*key);
                hop.origins.remove(*key);
                if let Some(value) = value {
                    hop.options.insert((*key).to_owned(), value);
                    hop.origins.insert((*key).to_owned(), origin.clone());
                }
            }
        }
    }

    /// Transports take the time as an option, where they have it.
    fn set_timeout(&self, hop: &mut Hop, timeout: Duration, origin: Origin) {
        hop.timeout = Some(timeout);
        hop.origins.insert("timeout".to_owned(), origin.clone());
        let kind = self.registry.get(&hop.method);
        if kind.is_some_and(|kind| kind.has_option("connect_timeout")) {
            hop.options.insert("connect_timeout".to_owned(), Json::from(timeout.as_secs_f64()));
            hop.origins.insert("connect_timeout".to_owned(), origin);
        }
    }

    fn local_hop(&self) -> Hop {
        let mut hop = self.bare_hop("local", "local", "local");
        hop.key = HopKey("local".to_owned());
        hop.origins.insert("method".to_owned(), Origin::Default);
        hop
    }

    fn adhoc_hop(&self, label: &str, address: &AdHoc) -> Result<Hop, ResolveError> {
        self.kind(label, "ssh")?;
        let mut hop = self.bare_hop("ssh", &address.host, "ssh");
        hop.key = HopKey(format!("ssh:{address}"));
        let given = [
            ("hostname", Some(Json::from(address.host.as_str()))),
            ("username", address.user.as_deref().map(Json::from)),
            ("port", address.port.map(Json::from)),
        ];
        for (key, value) in given {
            if let Some(value) = value {
                hop.options.insert(key.to_owned(), value);
                hop.origins.insert(key.to_owned(), Origin::CommandLine);
            }
        }
        hop.origins.insert("method".to_owned(), Origin::CommandLine);
        Ok(hop)
    }

    fn apply(&self, chain: &mut Chain, overrides: &Overrides) -> Result<(), ResolveError> {
        // What was changed on the way to each hop, to be told apart from the unchanged way.
        let mut changes: Vec<String> = vec![String::new(); chain.hops.len()];
        if overrides.user.is_some() || overrides.ask_pass {
            let flag = if overrides.user.is_some() { "-u" } else { "-k" };
            let logs_in =
                |hop: &Hop| self.registry.get(&hop.method).is_some_and(|kind| kind.has_option("hostname"));
            let at = chain.hops.iter().rposition(logs_in);
            let at = at.ok_or_else(|| ResolveError::NoLogin { label: chain.label.clone(), flag })?;
            if let Some(user) = &overrides.user {
                self.set_user(&chain.label, &mut chain.hops[at], user, "-u")?;
                changes[at].push_str(&format!("+user={user}"));
            }
            if overrides.ask_pass {
                self.set_prompt(&chain.label, &mut chain.hops[at], "Login password", "-k")?;
                changes[at].push_str("+ask");
            }
        }
        if let Some(wanted) = &overrides.r#become {
            let hop = self.become_hop(chain, wanted)?;
            chain.hops.push(hop);
            changes.push(String::new());
        }
        if overrides.ask_become_pass {
            let last = chain.hops.len() - 1;
            if !SAME_MACHINE.contains(&chain.hops[last].method.as_str()) {
                return Err(ResolveError::NoBecome(chain.label.clone()));
            }
            self.set_prompt(&chain.label, &mut chain.hops[last], "Become password", "-K")?;
            changes[last].push_str("+ask");
        }
        if let Some(timeout) = overrides.timeout {
            for hop in &mut chain.hops {
                self.set_timeout(hop, timeout, Origin::CommandLine);
            }
        }
        let mut so_far = String::new();
        for (hop, change) in chain.hops.iter_mut().zip(changes) {
            so_far.push_str(&change);
            hop.key.0.push_str(&so_far);
        }
        Ok(())
    }

    fn become_hop(&self, chain: &Chain, wanted: &Become) -> Result<Hop, ResolveError> {
        self.kind(&chain.label, &wanted.method)?;
        // The expect holds: a chain is never empty.
        let last = chain.hops.last().expect("a chain has a hop");
        let mut hop = self.bare_hop(&wanted.method, &last.host, &wanted.method);
        let user = wanted.user.as_deref().unwrap_or_default();
        hop.key = HopKey(format!("{}>{}:{user}", last.key, wanted.method));
        hop.via = Some(chain.hops.len() - 1);
        hop.python.clone_from(&last.python);
        hop.origins.extend(last.origins.get("python").map(|origin| ("python".to_owned(), origin.clone())));
        hop.origins.insert("method".to_owned(), Origin::CommandLine);
        hop.origins.insert("via".to_owned(), Origin::CommandLine);
        if let Some(user) = &wanted.user {
            self.set_user(&chain.label, &mut hop, user, "--become-user")?;
        }
        Ok(hop)
    }

    fn set_user(
        &self,
        label: &str,
        hop: &mut Hop,
        user: &str,
        flag: &'static str,
    ) -> Result<(), ResolveError> {
        self.require(label, &hop.method, "username", flag)?;
        hop.options.insert("username".to_owned(), Json::from(user));
        hop.origins.insert("username".to_owned(), Origin::CommandLine);
        Ok(())
    }

    fn set_prompt(
        &self,
        label: &str,
        hop: &mut Hop,
        question: &str,
        flag: &'static str,
    ) -> Result<(), ResolveError> {
        self.require(label, &hop.method, "password", flag)?;
        // One question for all targets: whoever asks to be asked has one password for them.
        hop.secrets.insert("password".to_owned(), SecretSource::Prompt(question.to_owned()));
        hop.origins.insert("password".to_owned(), Origin::CommandLine);
        Ok(())
    }

    fn require(
        &self,
        label: &str,
        method: &str,
        option: &'static str,
        flag: &'static str,
    ) -> Result<(), ResolveError> {
        if self.kind(label, method)?.has_option(option) {
            return Ok(());
        }
        Err(ResolveError::NoSuchOption { label: label.to_owned(), method: method.to_owned(), option, flag })
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
