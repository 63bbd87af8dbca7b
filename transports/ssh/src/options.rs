//! What can be said about an ssh connection.

use mitogen_core::connect::{OptionKind, OptionSpec, OptionsError, check_word};
use mitogen_core::dialogue::Secret;
use serde::Deserialize;

use crate::METHOD;

/// Options of the ssh transport. What is not said here is for the user's `ssh_config` to say.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The host: a name, an address, or an alias of `ssh_config`. Required.
    pub hostname: String,
    /// The user there (`-l`).
    #[serde(default)]
    pub username: Option<String>,
    /// The port there (`-p`).
    #[serde(default)]
    pub port: Option<u16>,
    /// The user's password. Without one no terminal is made and ssh is told not to ask.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The host that the password prompt must name, where `ssh_config` replaces `hostname` by another
    /// name (`HostName`). The password is given to no other, such as a jump host on the way.
    #[serde(default)]
    pub prompt_host: Option<String>,
    /// The private key (`-i`).
    #[serde(default)]
    pub identity_file: Option<String>,
    /// The passphrase of `identity_file`.
    #[serde(default)]
    pub passphrase: Option<Secret>,
    /// Offer no keys but `identity_file`, if there is one or a password: agents with many keys spend
    /// the server's patience. Default true.
    #[serde(default = "yes")]
    pub identities_only: bool,
    /// What to do about host keys. Default `enforce`.
    #[serde(default)]
    pub check_host_keys: CheckHostKeys,
    /// Compress. Default false: at today's speeds it costs more than it saves.
    #[serde(default)]
    pub compression: bool,
    /// Notice dead connections, by ssh's own probes and by ours, which reach the context. Default true.
    #[serde(default = "yes")]
    pub keepalive_enabled: bool,
    /// Seconds of silence before a probe. Default 15.
    #[serde(default = "keepalive_interval")]
    pub keepalive_interval: u32,
    /// Probes without an answer until the connection is given up. Default 3.
    #[serde(default = "keepalive_count")]
    pub keepalive_count: u32,
    /// ssh's own debug messages, 0 (errors only) to 3. Default 0.
    #[serde(default)]
    pub ssh_debug_level: u8,
    /// Further arguments, before the host. What the options above say wins.
    #[serde(default)]
    pub ssh_args: Vec<String>,
    /// The program. Default `ssh`.
    #[serde(default = "ssh_path")]
    pub ssh_path: String,
    /// Seconds until the context must be up. Default 30.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: f64,
}

/// What to do about host keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckHostKeys {
    /// Only hosts whose key is known.
    #[default]
    Enforce,
    /// Note the keys of new hosts, refuse keys that changed. Needs OpenSSH 7.6.
    Accept,
    /// Any key, and note none: whoever sits between us and the host can read everything.
    Ignore,
}

fn yes() -> bool {
    true
}

fn keepalive_interval() -> u32 {
    15
}

fn keepalive_count() -> u32 {
    3
}

fn ssh_path() -> String {
    "ssh".to_owned()
}

fn connect_timeout() -> f64 {
    30.0
}

impl Options {
    /// The defaults for `hostname`.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            username: None,
            port: None,
            password: None,
            prompt_host: None,
            identity_file: None,
            passphrase: None,
            identities_only: true,
            check_host_keys: CheckHostKeys::default(),
            compression: false,
            keepalive_enabled: true,
            keepalive_interval: keepalive_interval(),
            keepalive_count: keepalive_count(),
            ssh_debug_level: 0,
            ssh_args: Vec::new(),
            ssh_path: ssh_path(),
            connect_timeout: connect_timeout(),
        }
    }

    /// Whether ssh may have something to ask, and so needs a terminal.
    pub(crate) fn may_ask(&self) -> bool {
        self.password.is_some() || self.passphrase.is_some()
    }

    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let words = [
            ("hostname", Some(&self.hostname)),
            ("username", self.username.as_ref()),
            ("prompt_host", self.prompt_host.as_ref()),
            ("identity_file", self.identity_file.as_ref()),
            ("ssh_path", Some(&self.ssh_path)),
        ];
        for (key, value) in words {
            if let Some(value) = value {
                check_word(METHOD, key, value)?;
            }
        }
        let error = |key: &str, message: &str| OptionsError::in_option(METHOD, key, message);
        if self.hostname.contains(char::is_whitespace) {
            return Err(error("hostname", "must not contain white space"));
        }
        if self.port == Some(0) {
            return Err(error("port", "must be between 1 and 65535"));
        }
        if self.ssh_debug_level > 3 {
            return Err(error("ssh_debug_level", "must be between 0 and 3"));
        }
        if self.passphrase.is_some() && self.identity_file.is_none() {
            return Err(error("passphrase", "needs `identity_file`"));
        }
        if self.prompt_host.is_some() && self.password.is_none() {
            return Err(error("prompt_host", "needs `password`"));
        }
        Ok(())
    }
}

/// The specification of every option.
pub(crate) fn specs() -> [OptionSpec; 17] {
    use OptionKind::{Boolean, Integer, Seconds, Secret, String, StringArray};
    const FROM_CONFIG: &str = "from `ssh_config`";
    [
        OptionSpec::new("hostname", String, "host name, address, or alias of `ssh_config`")
            .required()
            .with_default_doc("the profile's name"),
        OptionSpec::new("username", String, "the user to log in as").with_default_doc(FROM_CONFIG),
        OptionSpec::new("port", Integer { min: 1, max: 65535 }, "the port to connect to")
            .with_default_doc(FROM_CONFIG),
        OptionSpec::new(
            "password",
            Secret,
            "the user's password; without a password or passphrase `ssh` gets no terminal and runs with \
             `BatchMode=yes`",
        ),
        OptionSpec::new(
            "prompt_host",
            String,
            "the host name in the password prompt, where `ssh_config` replaces `hostname` (`HostName`); the password \
             is not sent to any other host, such as a jump host",
        )
        .with_default_doc("`hostname`"),
        OptionSpec::new("identity_file", String, "the private key").with_default_doc(FROM_CONFIG),
        OptionSpec::new("passphrase", Secret, "the passphrase of `identity_file`"),
        OptionSpec::new(
            "identities_only",
            Boolean,
            "offer no keys other than `identity_file`, if that or a password is given",
        )
        .with_default(true),
        OptionSpec::new(
            "check_host_keys",
            OptionKind::one_of(["enforce", "accept", "ignore"]),
            "`enforce`: the host key must be known; `accept`: record the keys of new hosts and reject changed keys; \
             `ignore`: accept any key, which allows an attacker on the path to read and change everything",
        )
        .with_default("enforce"),
        OptionSpec::new("compression", Boolean, "compress the connection").with_default(false),
        OptionSpec::new("keepalive_enabled", Boolean, "detect dead connections by keep-alive probes")
            .with_default(true),
        OptionSpec::new(
            "keepalive_interval",
            Seconds,
            "silence before the first probe and between probes; `ssh` itself rounds it up to whole seconds",
        )
        .with_default(15),
        OptionSpec::new(
            "keepalive_count",
            Integer { min: 0, max: u32::MAX.into() },
            "unanswered probes after which the connection is lost",
        )
        .with_default(3),
        OptionSpec::new("ssh_debug_level", Integer { min: 0, max: 3 }, "verbosity of `ssh` (`-v` to `-vvv`)")
            .with_default(0),
        OptionSpec::new(
            "ssh_args",
            StringArray,
            "further arguments of `ssh`, before the host; the other options take precedence",
        )
        .with_default(Vec::<&str>::new()),
        OptionSpec::new("ssh_path", String, "the program").with_default("ssh"),
        OptionSpec::connect_timeout(),
    ]
}
