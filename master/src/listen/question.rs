//! What is asked about a tree, and answered. Data; see the table in this folder's `mod.rs`.

use std::time::{SystemTime, UNIX_EPOCH};

use mitogen_core::connect::{ConnectError, ContextInfo};
use serde::{Deserialize, Serialize};

/// A question.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Question {
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

/// Ids that a client may use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ids {
    pub(super) first: u32,
}

/// A context, as told to clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The context that started it.
    pub via: u32,
    /// The transport's name.
    pub method: String,
    /// When it came up, in seconds since 1970.
    pub since: f64,
    /// The target that it is, if it has a name.
    #[serde(default)]
    pub target: Option<String>,
}

impl From<ContextInfo> for Told {
    fn from(member: ContextInfo) -> Self {
        let since = member.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self {
            id: member.id.0,
            name: member.name,
            via: member.via.0,
            method: member.method,
            since,
            target: None,
        }
    }
}

impl Told {
    /// How long it has been up, in seconds.
    pub fn age(&self) -> f64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        (now - self.since).max(0.0)
    }
}

/// Where a target is in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The target's label.
    pub label: String,
    /// Its context.
    pub id: u32,
    /// The context's name.
    pub name: String,
    /// The contexts between the listener and it, nearest to the listener first.
    pub way: Vec<u32>,
    /// Whether it is up; else it is being connected, and its outcome can be waited for.
    pub up: bool,
}

/// The places of all targets that were asked for, in order; or why there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// What is wrong with the question.
    #[serde(default)]
    pub error: Option<String>,
    /// Where the targets are.
    #[serde(default)]
    pub places: Vec<Place>,
}

/// How a connection ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Waited {
    pub(super) ok: bool,
    #[serde(default)]
    pub(super) error: Option<ConnectError>,
}
