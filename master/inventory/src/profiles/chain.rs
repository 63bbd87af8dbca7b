//! The hops to a target, in order, each complete.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mitogen_core::connect::Keepalive;
use serde_json::{Map, Value as Json};

use super::diagnostic::Origin;
use super::options::MASK;
use super::secret::{SecretError, SecretResolver, SecretSource, SecretStore};

/// What tells hops apart: the same key means the same connection, so that hops which several targets
/// share are made once. Written `profile/host`, with what the command line changed, on this hop
/// or on one before it, behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopKey(pub(super) String);

impl fmt::Display for HopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One connection on the way to a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// What tells it apart.
    pub key: HopKey,
    /// The profile, or a name in its place where the command line asked for the hop.
    pub profile: String,
    /// The host's name.
    pub host: String,
    /// The transport's name.
    pub method: String,
    /// The interpreter's command line; empty to look for one.
    pub python: Vec<String>,
    /// Whose stock core runs there instead of our runtime: an interpreter that has stock Mitogen, or
    /// the directory that it is installed in, on this machine.
    pub stock: Option<PathBuf>,
    /// How long the connection may take; `None` leaves it to the transport.
    pub timeout: Option<Duration>,
    /// When a silent link is given up; `None` leaves it to the transport.
    pub keepalive: Option<Keepalive>,
    /// The hop of the chain that it starts from; `None` for this machine.
    pub via: Option<usize>,
    pub(super) options: Map<String, Json>,
    pub(super) secrets: BTreeMap<String, SecretSource>,
    pub(super) origins: BTreeMap<String, Origin>,
}

impl Hop {
    /// The transport's options with asterisks in the place of secrets: to show, not to connect with.
    pub fn masked_options(&self) -> Map<String, Json> {
        let mut options = self.options.clone();
        options.extend(self.secrets.keys().map(|key| (key.clone(), Json::from(MASK))));
        options
    }

    /// The transport's options, complete: keep them out of logs.
    ///
    /// # Errors
    /// A secret that cannot be had.
    pub fn filled_options<R: SecretResolver>(
        &self,
        store: &SecretStore<R>,
    ) -> Result<Map<String, Json>, SecretError> {
        let mut options = self.options.clone();
        for (key, source) in &self.secrets {
            options.insert(key.clone(), Json::from(store.get(source)?.expose()));
        }
        Ok(options)
    }

    /// The secrets it needs, by option.
    pub fn secrets(&self) -> &BTreeMap<String, SecretSource> {
        &self.secrets
    }

    /// Where each value was set: the transport's options by their names, and `method`, `via`,
    /// `python`, `timeout` and `keepalive`.
    pub fn origins(&self) -> &BTreeMap<String, Origin> {
        &self.origins
    }
}

/// The way to a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The target's label.
    pub label: String,
    /// The hops, nearest first; never empty.
    pub hops: Vec<Hop>,
}

impl Chain {
    /// The hops and the origin of every value, for people.
    pub fn explain(&self) -> String {
        let mut text = format!("{}\n", self.label);
        for (i, hop) in self.hops.iter().enumerate() {
            text.push_str(&format!("  {}. {} {}\n", i + 1, hop.method, hop.key));
            let mut lines: Vec<(String, String)> = Vec::new();
            for (key, origin) in &hop.origins {
                let value = match key.as_str() {
                    "method" => Json::from(hop.method.as_str()).to_string(),
                    "python" if hop.python.is_empty() => "looked for".to_owned(),
                    "python" => Json::from(hop.python.clone()).to_string(),
                    "stock" => hop.stock.as_ref().map_or_else(String::new, |path| path.display().to_string()),
                    "timeout" => hop.timeout.map_or_else(String::new, |timeout| format!("{timeout:?}")),
                    "keepalive" => hop.keepalive.map_or_else(String::new, |keepalive| keepalive.to_string()),
                    "via" => {
                        let before = hop.via.and_then(|via| self.hops.get(via));
                        before.map_or_else(String::new, |via| via.key.to_string())
                    }
                    _ => match (self.hops[i].secrets.get(key), hop.options.get(key)) {
                        (Some(source), _) => format!("{MASK} from {source}"),
                        (None, Some(value)) => value.to_string(),
                        (None, None) => continue,
                    },
                };
                lines.push((format!("     {key} = {value}"), origin.to_string()));
            }
            let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
            for (line, origin) in lines {
                text.push_str(&format!("{line:width$}  # {origin}\n"));
            }
        }
        text
    }
}
