//! A plan: all that is needed to start one context, as data.
//!
//! It can be printed, compared with a recorded one, returned by a plugin, and sent to the context
//! that will carry it out. Serialized names are part of the contract with the Python runtime. Both
//! runtimes refuse a plan with a newer version or with a field that they do not know.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::option_spec::DEFAULT_CONNECT_TIMEOUT;
use super::start::{Dial, Spawn, Start};
use crate::dialogue::{Dialogue, Secret};
use crate::router::Keepalive;

/// The version of plans that this crate writes, and the newest that it reads.
pub const PLAN_VERSION: u32 = 1;

/// When the bootstrap is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preamble {
    /// At once, in one flight with everything that follows: only the interpreter will read the link.
    #[default]
    Immediately,
    /// When the interpreter's first marker has been seen: the program itself may read the link.
    AfterMarker,
}

/// All that is needed to start one context.
///
/// ```
/// # use mitogen_core as mitogen;
/// use mitogen::connect::{Plan, Spawn, Stdio};
/// use mitogen::dialogue::{Action, Dialogue, Rule, Secret, Shown, Source};
///
/// let argv = ["opener", "web1", "python3"].map(str::to_owned).to_vec();
/// let prompt = Rule::new(Source::Diag, Shown::Partial, "password: $", Action::SendSecret("password".to_owned()));
/// let plan = Plan::new("opener.web1", "opener", Spawn::new(argv).with_stdio(Stdio::HybridTty))
///     .with_dialogue(Dialogue { rules: vec![prompt], ..Dialogue::default() })
///     .with_secrets([("password".to_owned(), Secret::new("hunter2"))]);
/// plan.validate()?;
/// # Ok::<(), mitogen::connect::PlanError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// The version of the format, [`PLAN_VERSION`].
    #[serde(deserialize_with = "known_version")]
    pub version: u32,
    /// The context's name, such as `ssh.web1`, as upstream Mitogen names it.
    pub name: String,
    /// The transport's name, such as `ssh`.
    pub method: String,
    /// What leads to the context.
    pub start: Start,
    /// When the bootstrap is written. Default: at once.
    #[serde(default)]
    pub preamble: Preamble,
    /// The limit for the whole connection, retries included; in data, in seconds. Default 30 s.
    #[serde(with = "crate::seconds")]
    pub timeout: Duration,
    /// How prompts are answered and failures are recognised.
    #[serde(default)]
    pub dialogue: Dialogue,
    /// The secrets that the dialogue names.
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// What the program connects to, such as `host:port` of an sshd: concurrent handshakes with it are
    /// limited, and the program is ended when its context is detached. `None` when the context is on
    /// the machine on which the plan is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// When a silent link is given up; `None` where the system reports every loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
}

impl Plan {
    /// A plan with no dialogue, no secrets, no destination and the default timeout. Keep-alive is on for a
    /// TCP connection, whose loss the system may not report, and off otherwise.
    pub fn new(name: impl Into<String>, method: impl Into<String>, start: impl Into<Start>) -> Self {
        let start = start.into();
        let keepalive = matches!(start, Start::Dial(Dial::Tcp { .. })).then(Keepalive::default);
        Self {
            version: PLAN_VERSION,
            name: name.into(),
            method: method.into(),
            start,
            preamble: Preamble::default(),
            timeout: DEFAULT_CONNECT_TIMEOUT,
            dialogue: Dialogue::default(),
            secrets: BTreeMap::new(),
            destination: None,
            keepalive,
        }
    }

    /// Says when the bootstrap is written.
    #[must_use]
    pub fn with_preamble(self, preamble: Preamble) -> Self {
        Self { preamble, ..self }
    }

    /// Limits the whole connection, retries included.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets how prompts are answered and failures are recognised.
    #[must_use]
    pub fn with_dialogue(self, dialogue: Dialogue) -> Self {
        Self { dialogue, ..self }
    }

    /// Sets the secrets that the dialogue names.
    #[must_use]
    pub fn with_secrets(self, secrets: impl IntoIterator<Item = (String, Secret)>) -> Self {
        Self { secrets: secrets.into_iter().collect(), ..self }
    }

    /// Sets what the program connects to; see [`Plan::destination`].
    #[must_use]
    pub fn with_destination(self, destination: impl Into<String>) -> Self {
        Self { destination: Some(destination.into()), ..self }
    }

    /// Watches the link for silence. A keep-alive that is off is the same as none.
    #[must_use]
    pub fn with_keepalive(self, keepalive: impl Into<Option<Keepalive>>) -> Self {
        Self { keepalive: keepalive.into().filter(|keepalive| keepalive.is_on()), ..self }
    }

    /// The program to start, if that is how the context is reached.
    pub fn spawn(&self) -> Option<&Spawn> {
        match &self.start {
            Start::Spawn(spawn) => Some(spawn),
            _ => None,
        }
    }

    /// The command line; empty when no program is started.
    pub fn argv(&self) -> &[String] {
        self.spawn().map_or(&[], |spawn| &spawn.argv)
    }

    /// The command line for errors and logs. Long arguments, such as the text of the bootstrap, are
    /// cut. It never holds a secret: secrets are only sent by the dialogue.
    pub fn printed_argv(&self) -> Vec<String> {
        /// What is shown of a long argument, in characters.
        const SHOWN: usize = 60;
        self.argv()
            .iter()
            .map(|arg| match arg.char_indices().nth(2 * SHOWN) {
                None => arg.clone(),
                Some(_) => {
                    let head: String = arg.chars().take(SHOWN).collect();
                    format!("{head}...({} bytes)", arg.len())
                }
            })
            .collect()
    }
}

fn known_version<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    match u32::deserialize(input)? {
        version @ 1..=PLAN_VERSION => Ok(version),
        version => Err(serde::de::Error::custom(unknown_version(version))),
    }
}

/// The sentence that refuses a plan of another version.
pub(super) fn unknown_version(version: u32) -> String {
    format!("the plan has version {version}, and only versions up to {PLAN_VERSION} are supported")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::start::Stdio;
    use super::*;

    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let mut data = serde_json::to_value(Plan::new("a", "test", Spawn::new(vec!["a".into()]))).unwrap();
        change(&mut data);
        // From text, so that the order of the fields is that of a map, as it is in a message.
        serde_json::from_str::<Plan>(&data.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn plans_survive_serialization() {
        let spawn = Spawn::new(vec!["sh".into(), "-c".into()]).with_stdio(Stdio::HybridTty);
        let keepalive = Keepalive { interval: Duration::from_millis(1500), count: 2 };
        for start in [
            spawn.into(),
            Start::Fork,
            Dial::Tcp { host: "::1".into(), port: 7 }.into(),
            Dial::Unix { path: "/run/x".into() }.into(),
        ] {
            let plan = Plan::new("a", "test", start)
                .with_timeout(Duration::from_millis(2500))
                .with_preamble(Preamble::AfterMarker)
                .with_destination("web1:22")
                .with_keepalive(keepalive);
            let data = serde_json::to_value(&plan).unwrap();
            assert_eq!(data["timeout"], json!(2.5));
            assert_eq!(data["version"], json!(1));
            assert_eq!(serde_json::from_value::<Plan>(data).unwrap(), plan);
        }
    }

    #[test]
    fn newer_versions_and_unknown_fields_are_refused_in_words() {
        let version = refusal(|data| data["version"] = json!(2));
        assert!(version.contains("the plan has version 2, and only versions up to 1"), "{version}");
        let version = refusal(|data| drop(data.as_object_mut().unwrap().remove("version")));
        assert!(version.contains("missing field `version`"), "{version}");
        let field = refusal(|data| data["colour"] = json!("red"));
        assert!(field.contains("unknown field `colour`"), "{field}");
        let field = refusal(|data| data["start"]["spawn"]["image"] = json!("own"));
        assert!(field.contains("unknown field `image`"), "{field}");
        let field = refusal(|data| data["start"] = json!({"dial": {"unix": {"path": "/x", "port": 1}}}));
        assert!(field.contains("unknown field `port`"), "{field}");
        let start = refusal(|data| data["start"] = json!("opened"));
        assert!(start.contains("unknown variant `opened`"), "{start}");
    }
}
