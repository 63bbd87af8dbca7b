//! What a checked profile file contains.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use mitogen_core::connect::Keepalive;

use super::diagnostic::Origin;
use super::options::Setting;

/// The table `[defaults]`. Each value is stored with the place where it was set.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Defaults {
    /// The command line of the Python interpreter.
    pub python: Option<(Vec<String>, Origin)>,
    /// The time limit of a connection.
    pub timeout: Option<(Duration, Origin)>,
    /// When a silent link is considered lost.
    pub keepalive: Option<(Keepalive, Origin)>,
    /// How many targets are handled at the same time.
    pub forks: Option<usize>,
}

/// A profile, including the keys that it inherits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Profile {
    /// The name in `[profile.NAME]`.
    pub name: String,
    /// The name of the transport.
    pub method: String,
    /// The profile that connections start from, and the place of the key `via`.
    pub via: Option<(String, Origin)>,
    /// The hosts in the order of the file; never empty.
    pub hosts: Vec<String>,
    /// The place of the table in the file.
    pub origin: Origin,
    /// Whether the profile's own table has the key `hostname`.
    pub(super) owner: bool,
    /// For each host, the position of the host to connect from, among the hosts of `via`.
    pub(super) via_hosts: Vec<usize>,
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) python: Option<(Vec<String>, Origin)>,
    pub(super) mitogen_package: Option<(PathBuf, Origin)>,
    pub(super) timeout: Option<(Duration, Origin)>,
    pub(super) keepalive: Option<(Keepalive, Origin)>,
    pub(super) method_origin: Origin,
    pub(super) hostname_origin: Option<Origin>,
    /// The position of each host in `hosts`.
    pub(super) positions: HashMap<String, usize>,
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
            mitogen_package: None,
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
