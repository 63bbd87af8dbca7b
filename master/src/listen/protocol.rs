//! The requests that clients send about a session, and the replies; see the table in this folder's `mod.rs`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mitogen_core::call::Context;
use mitogen_core::connect::{ConnectError, ContextInfo};
use serde::{Deserialize, Serialize};

/// A request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) ask: String,
    #[serde(default)]
    pub(super) targets: Option<String>,
    #[serde(default)]
    pub(super) limit: Option<String>,
    #[serde(default)]
    pub(super) label: Option<String>,
    #[serde(default)]
    pub(super) count: Option<u32>,
}

/// A block of context ids that the client may use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct IdBlock {
    pub(super) first: u32,
}

/// A context of the session, as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ListedContext {
    /// Its context id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The id of the context that started it.
    pub via: u32,
    /// The name of the transport.
    pub method: String,
    /// When it connected, in seconds since 1970.
    pub since: f64,
    /// The label of the target that it belongs to, if there is one.
    #[serde(default)]
    pub target: Option<String>,
}

impl From<ContextInfo> for ListedContext {
    fn from(member: ContextInfo) -> Self {
        let since = member.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self::new(member.id.0, &member.name, member.via.0, &member.method, since)
    }
}

impl ListedContext {
    /// A context that belongs to no target.
    pub fn new(id: u32, name: &str, via: u32, method: &str, since: f64) -> Self {
        Self { id, name: name.to_owned(), via, method: method.to_owned(), since, target: None }
    }

    /// How long it has been connected.
    pub fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Duration::try_from_secs_f64(now - self.since).unwrap_or_default()
    }
}

/// Where a target is in the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TargetLocation {
    /// The target's label.
    pub label: String,
    /// The id of its context.
    pub id: u32,
    /// The name of its context.
    pub name: String,
    /// The ids of the contexts between the listener and it, nearest to the listener first.
    pub way: Vec<u32>,
    /// Whether it is connected; otherwise it is being connected, and its outcome can be waited for.
    pub up: bool,
}

impl TargetLocation {
    /// The location of the target `label`, whose context is `context`.
    pub fn new(label: impl Into<String>, context: &Context, way: Vec<u32>, up: bool) -> Self {
        Self { label: label.into(), id: context.id().0, name: context.name().to_owned(), way, up }
    }
}

/// The reply to a request for targets: their locations, in order, or an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TargetLocations {
    /// Why there are no locations.
    #[serde(default)]
    pub error: Option<String>,
    /// The locations.
    #[serde(default)]
    pub places: Vec<TargetLocation>,
}

impl TargetLocations {
    /// A reply with an error.
    pub fn error(message: impl Into<String>) -> Self {
        Self { error: Some(message.into()), places: Vec::new() }
    }
}

impl From<Vec<TargetLocation>> for TargetLocations {
    fn from(places: Vec<TargetLocation>) -> Self {
        Self { error: None, places }
    }
}

/// How a connection attempt ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WaitReply {
    pub(super) ok: bool,
    #[serde(default)]
    pub(super) error: Option<ConnectError>,
}
