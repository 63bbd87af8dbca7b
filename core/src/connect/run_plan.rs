//! The payloads of `RUN_PLAN` (handle 120): what a context is asked so that it starts others.
//!
//! One tagged enum with a version. A runtime answers a request that it does not know, where an answer
//! is wanted, with an error; `core/runtimes/python/python/parent.py` reads the same names.

use serde::{Deserialize, Serialize};

use super::error::ConnectError;
use super::plan::Plan;
use crate::pickle::Binary;
use crate::runtime::ChildConfig;

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
        /// The name of what runs in it.
        runtime: &'a str,
        /// Its configuration if it is a copy, which is not started by a program that reads it.
        config: Option<&'a ChildConfig>,
        /// What is written to the started program before any frame: these blobs, then `tail`.
        blobs: Vec<BlobName>,
        /// See `blobs`.
        tail: Binary,
        /// Whether frames to it must not say how their payloads are encoded.
        legacy_encoding_only: bool,
    },
    /// Keep a blob, which later requests name by its digest. Not answered.
    Blob {
        /// The SHA-256, in hexadecimal.
        sha256: &'a str,
        /// The bytes.
        data: Binary,
    },
    /// Pass a blob that was sent before on to `to`, over the next link unless that has carried it. Not
    /// answered.
    ForwardBlob {
        /// The SHA-256, in hexadecimal.
        sha256: &'a str,
        /// The context that needs it.
        to: u32,
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

/// How a request names a blob.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum BlobName {
    /// One that the context which carries out the request was started with itself, by its position.
    Own(usize),
    /// One that it has been sent, by its SHA-256 in hexadecimal.
    Sent(String),
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
        let start = Request::Start {
            id: 2,
            name: "a",
            plan: &plan,
            runtime: "python",
            config: Some(&config),
            blobs: vec![BlobName::Own(0), BlobName::Sent("ab".to_owned())],
            tail: Binary(vec![1].into()),
            legacy_encoding_only: true,
        };
        let blob = Request::Blob { sha256: "ab", data: Binary(vec![0, 255].into()) };
        let names =
            ["v", "kind", "id", "name", "plan", "runtime", "config", "blobs", "tail", "legacy_encoding_only"];
        for (request, kind, names) in [
            (start, "start", &names[..]),
            (blob, "blob", &["v", "kind", "sha256", "data"]),
            (Request::ForwardBlob { sha256: "ab", to: 2 }, "forward_blob", &["v", "kind", "sha256", "to"]),
            (Request::Expect { id: 2, via: 1 }, "expect", &["v", "kind", "id", "via"]),
        ] {
            let fields = fields(request);
            if let Some((_, blobs)) = fields.iter().find(|(name, _)| name == "blobs") {
                assert_eq!(*blobs, Value::List(vec![Value::from(0), Value::from("ab")]));
            }
            assert_eq!(fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
            assert_eq!(fields[0].1, Value::from(1));
            assert_eq!(fields[1].1, Value::from(kind));
        }
    }
}
