//! The hops to a target, in order, each with all of its options.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mitogen_core::connect::{Keepalive, TransportKind};
use serde_json::{Map, Value as Json};

use super::diagnostic::Origin;
use super::options::MASK;
use super::secret::{SecretError, SecretResolver, SecretSource, SecretStore};

/// The identity of a hop: hops with the same key are the same connection, so a hop that several
/// targets share is connected once. Its display form is `profile/host`, followed by what the command
/// line changed in this hop or in one before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopKey(pub(super) String);

impl fmt::Display for HopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One of the connections that lead to a target.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hop {
    /// The identity of the hop.
    pub key: HopKey,
    /// The profile's name, or the method's where the command line asked for the hop.
    pub profile: String,
    /// The host's name.
    pub host: String,
    /// The transport's name.
    pub method: String,
    /// The command line of the Python interpreter; empty to search for one on the remote host.
    pub python: Vec<String>,
    /// The upstream Mitogen package to run on the remote host instead of the built-in Python runtime: a
    /// local interpreter that has it installed, or the local directory of the package.
    pub mitogen_package: Option<PathBuf>,
    /// The time limit of the connection; `None` for the transport's default.
    pub timeout: Option<Duration>,
    /// When a silent link is considered lost; `None` for the transport's default.
    pub keepalive: Option<Keepalive>,
    /// The position of the hop that this one starts from; `None` for this process.
    pub via: Option<usize>,
    /// The transport, if it is not a built-in one.
    pub(super) transport: Option<TransportKind>,
    pub(super) options: Map<String, Json>,
    pub(super) secrets: BTreeMap<String, SecretSource>,
    pub(super) origins: BTreeMap<String, Origin>,
}

impl Hop {
    /// The transport's options with asterisks in place of secrets, to be printed.
    pub fn masked_options(&self) -> Map<String, Json> {
        let mut options = self.options.clone();
        options.extend(self.secrets.keys().map(|key| (key.clone(), Json::from(MASK))));
        options
    }

    /// The transport's options including secrets. They must not be logged.
    ///
    /// # Errors
    /// A secret that cannot be obtained.
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

    /// The transport, if it is not a built-in one: a template of the profile file, or a plugin.
    pub fn transport(&self) -> Option<&TransportKind> {
        self.transport.as_ref()
    }

    /// The sources of the secrets that the hop needs, by option.
    pub fn secrets(&self) -> &BTreeMap<String, SecretSource> {
        &self.secrets
    }

    /// Where each value was set, by key: the transport's options and `method`, `via`, `python`,
    /// `mitogen_package`, `timeout` and `keepalive`.
    pub fn origins(&self) -> &BTreeMap<String, Origin> {
        &self.origins
    }
}

/// The connections that lead to a target.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Chain {
    /// The label of the target.
    pub label: String,
    /// The hops, nearest first; never empty.
    pub hops: Vec<Hop>,
}

impl Chain {
    /// A description of the hops and of where each value was set, for printing.
    pub fn explain(&self) -> String {
        let mut text = format!("{}\n", self.label);
        for (i, hop) in self.hops.iter().enumerate() {
            text.push_str(&format!("  {}. {} {}\n", i + 1, hop.method, hop.key));
            let mut lines: Vec<(String, String)> = Vec::new();
            for (key, origin) in &hop.origins {
                let value = match key.as_str() {
                    "method" => Json::from(hop.method.as_str()).to_string(),
                    "python" if hop.python.is_empty() => "searched for".to_owned(),
                    "python" => Json::from(hop.python.clone()).to_string(),
                    "mitogen_package" => hop
                        .mitogen_package
                        .as_ref()
                        .map_or_else(String::new, |path| path.display().to_string()),
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
