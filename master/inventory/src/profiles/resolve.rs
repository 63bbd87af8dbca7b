//! From a target to its chain of hops.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use mitogen_core::connect::{Keepalive, Registry, TransportKind, TransportOrigin};
use serde_json::{Map, Value as Json};

use super::chain::{Chain, Hop, HopKey};
use super::diagnostic::Origin;
use super::error::ResolveError;
use super::options::{self, Given, Setting};
use super::overrides::{Become, Overrides};
use super::profile::{Defaults, Profile};
use super::secret::SecretSource;
use crate::targets::{AdHoc, Target, TargetKind};

/// Methods that do not leave the host, so that the interpreter of the hop before them can be used.
const SAME_HOST: &[&str] = &["sudo", "su", "doas"];

/// The options with which a transport detects the loss of its own connection.
const KEEPALIVE: &[&str; 3] = &["keepalive_enabled", "keepalive_interval", "keepalive_count"];

/// The parts of an inventory that chains are made of.
pub(super) struct Resolver<'a> {
    pub(super) registry: &'a Registry,
    pub(super) defaults: &'a Defaults,
    pub(super) profiles: &'a [Profile],
    /// The position of each profile in `profiles`.
    pub(super) by_name: &'a HashMap<String, usize>,
}

impl Resolver<'_> {
    pub(super) fn resolve(&self, target: &Target, overrides: &Overrides) -> Result<Chain, ResolveError> {
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
            let Some(via_profile) = self.by_name.get(via) else {
                hops.push(self.local_hop());
                break;
            };
            at = profile.via_hosts[at];
            profile = &self.profiles[*via_profile];
        }
        hops.reverse();
        for i in 0..hops.len() {
            hops[i].via = i.checked_sub(1);
            let same = SAME_HOST.contains(&hops[i].method.as_str());
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
        if let Some((path, origin)) = &profile.mitogen_package {
            hop.mitogen_package = Some(path.clone());
            hop.origins.insert("mitogen_package".to_owned(), origin.clone());
        }
        if let Some((timeout, origin)) = &profile.timeout {
            self.set_timeout(&mut hop, *timeout, origin.clone());
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
        // The transport's own option takes precedence over the common key `timeout`.
        let seconds = hop.options.get("connect_timeout").and_then(Json::as_f64);
        if let Some(timeout) = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            hop.timeout = Some(timeout);
            hop.origins.remove("timeout");
        }
        hop
    }

    /// A hop with the values of `[defaults]`.
    fn bare_hop(&self, profile: &str, host: &str, method: &str) -> Hop {
        let mut hop = Hop {
            key: HopKey(format!("{profile}/{host}")),
            profile: profile.to_owned(),
            host: host.to_owned(),
            method: method.to_owned(),
            python: Vec::new(),
            mitogen_package: None,
            timeout: None,
            keepalive: None,
            via: None,
            transport: self
                .registry
                .get(method)
                .filter(|kind| *kind.origin() != TransportOrigin::BuiltIn)
                .cloned(),
            options: Map::new(),
            secrets: BTreeMap::new(),
            origins: BTreeMap::from([("python".to_owned(), Origin::Default)]),
        };
        if let Some((python, origin)) = &self.defaults.python {
            hop.python.clone_from(python);
            hop.origins.insert("python".to_owned(), origin.clone());
        }
        if let Some((timeout, origin)) = &self.defaults.timeout {
            self.set_timeout(&mut hop, *timeout, origin.clone());
        }
        if let Some((keepalive, origin)) = &self.defaults.keepalive {
            self.set_keepalive(&mut hop, *keepalive, origin);
        }
        hop
    }

    /// Sets the keep-alive of the link, and of the connection below it where the transport has options
    /// for that.
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

    /// Sets the time limit of the hop, and the option of the transport where it has one.
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
        // What the overrides changed in each hop. It becomes part of the key of that hop and of all behind
        // it, so that changed and unchanged hops are different connections.
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
                self.set_prompt(&chain.label, &mut chain.hops[at], "login password", "-k")?;
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
            if !SAME_HOST.contains(&chain.hops[last].method.as_str()) {
                return Err(ResolveError::NoBecome(chain.label.clone()));
            }
            self.set_prompt(&chain.label, &mut chain.hops[last], "become password", "-K")?;
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
        // A chain is never empty.
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
        // The same question for all targets, so that the user is prompted once for all of them.
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
