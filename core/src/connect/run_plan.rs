//! The payloads of `RUN_PLAN` (handle 120): what a context is asked so that it starts others.
//!
//! One tagged enum with a version. A runtime answers a request that it does not know, where an answer
//! is wanted, with an error; `core/python/parent.py` reads the same names.

use serde::{Deserialize, Serialize};

use super::error::ConnectError;
use super::plan::Plan;
use crate::child::ChildConfig;
use crate::pickle::Binary;

/// The version of the requests.
const VERSION: u32 = 1;

/// A request with its version, as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<'a> {
    v: u32,
    #[serde(flatten)]
    request: Request<'a>,
}

impl<'a> From<Request<'a>> for Envelope<'a> {
    fn from(request: Request<'a>) -> Self {
        Self { v: VERSION, request }
    }
}

/// What a context is asked to do.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Request<'a> {
    /// Start a context, and answer with an [`Answer`] when it is connected or has failed.
    Start {
        /// The new context's id.
        id: u32,
        /// Its name.
        name: &'a str,
        /// How it is reached.
        plan: &'a Plan,
        /// What it is told about itself.
        config: &'a ChildConfig,
        /// Set when it runs upstream Mitogen's core.
        core: Option<CorePart>,
    },
    /// Keep a core of upstream Mitogen, which later requests name by number. Not answered.
    Core {
        /// Its number.
        core: usize,
        /// The core, deflated.
        head: Binary,
    },
    /// Send what comes for `id` to where `via` is, from now on. Contexts between the requester and
    /// `via` learn the route from the announcement of the new context, but calls to it follow its plan
    /// at once. Not answered.
    Expect {
        /// The new context's id.
        id: u32,
        /// The context that starts it.
        via: u32,
    },
}

/// What is written to a program that runs upstream Mitogen's core, ahead of frames: the core of
/// that number, and `tail`.
#[derive(Debug, Serialize)]
pub(super) struct CorePart {
    pub(super) core: usize,
    pub(super) tail: Binary,
    pub(super) legacy_encoding_only: bool,
}

/// The answer to [`Request::Start`].
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) ok: bool,
    #[serde(default)]
    pub(super) error: Option<ConnectError>,
}

#[cfg(test)]
mod tests {
    use super::super::Spawn;
    use super::*;
    use crate::pickle::{self, Value};

    fn fields(request: Request<'_>) -> Vec<(String, Value)> {
        let bytes = pickle::to_bytes(&Envelope::from(request)).unwrap();
        match pickle::from_bytes::<Value>(&bytes).unwrap() {
            Value::Dict(items) => {
                items.into_iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), value)).collect()
            }
            other => panic!("{other:?} is no dict"),
        }
    }

    #[test]
    fn every_request_is_one_table_with_a_version_and_a_kind() {
        let plan = Plan::new("a", "test", Spawn::new(vec!["a".into()]));
        let config = ChildConfig::new(2, vec![1, 0], "a");
        let part = CorePart { core: 0, tail: Binary(vec![1].into()), legacy_encoding_only: true };
        let start = Request::Start { id: 2, name: "a", plan: &plan, config: &config, core: Some(part) };
        let core = Request::Core { core: 0, head: Binary(vec![0, 255].into()) };
        for (request, kind, names) in [
            (start, "start", &["v", "kind", "id", "name", "plan", "config", "core"][..]),
            (core, "core", &["v", "kind", "core", "head"]),
            (Request::Expect { id: 2, via: 1 }, "expect", &["v", "kind", "id", "via"]),
        ] {
            let fields = fields(request);
            assert_eq!(fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
            assert_eq!(fields[0].1, Value::from(1));
            assert_eq!(fields[1].1, Value::from(kind));
        }
    }
}
