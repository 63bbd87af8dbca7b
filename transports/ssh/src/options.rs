//! Options of the ssh transport.

use std::time::Duration;

use mitogen_core::connect::{
    DEFAULT_CONNECT_TIMEOUT, Keepalive, OptionKind, OptionSpec, OptionsError, check_word,
};
use mitogen_core::dialogue::Secret;
use serde::Deserialize;

/// The name of the method.
pub(crate) const METHOD: &str = "ssh";

/// Options of the ssh transport. Unset options fall back to the user's `ssh_config`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default = "without_host")]
#[non_exhaustive]
pub struct Options {
    /// The host: a name, an address, or an alias of `ssh_config`. Required.
    pub hostname: String,
    /// The user to log in as (`-l`). Default: from `ssh_config`.
    pub username: Option<String>,
    /// The port to connect to (`-p`). Default: from `ssh_config`.
    pub port: Option<u16>,
    /// The user's password. Without a password or passphrase ssh gets no terminal and runs with `BatchMode=yes`.
    pub password: Option<Secret>,
    /// The host name in the password prompt, where `ssh_config` replaces `hostname` (`HostName`). The password is not
    /// sent to any other host, such as a jump host. Default: `hostname`.
    pub prompt_host: Option<String>,
    /// The prompt to answer with the password, where the host's prompt is not recognised. It is compared, ignoring
    /// case, with the end of an unfinished line, and answered even if it does not contain the host.
    pub password_prompt: Option<String>,
    /// The private key (`-i`). Default: from `ssh_config`.
    pub identity_file: Option<String>,
    /// The passphrase of `identity_file`.
    pub passphrase: Option<Secret>,
    /// Whether to offer no keys other than `identity_file`, if that or a password is given: servers limit the number of
    /// attempts, and agents may hold many keys. Default true.
    pub identities_only: bool,
    /// How host keys are checked. Default: they must be known.
    pub check_host_keys: CheckHostKeys,
    /// Whether to compress the connection. Default false.
    pub compression: bool,
    /// Whether to detect dead connections, by ssh's probes and by Mitogen's, which reach the context. Default true.
    pub keepalive_enabled: bool,
    /// The silence before the first probe, and between probes; ssh itself rounds it up to whole seconds. Default 15 s.
    #[serde(with = "mitogen_core::seconds")]
    pub keepalive_interval: Duration,
    /// The number of unanswered probes after which the connection is lost. Default 3.
    pub keepalive_count: u32,
    /// Verbosity of ssh, 0 (errors only) to 3 (`-vvv`). Default 0.
    pub ssh_debug_level: u8,
    /// Further arguments of ssh, before the host. The other options take precedence.
    pub ssh_args: Vec<String>,
    /// The program. Default `ssh`.
    pub ssh_path: String,
    /// The limit for the whole connection. Default 30 s.
    #[serde(with = "mitogen_core::seconds")]
    pub connect_timeout: Duration,
}

/// How host keys are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CheckHostKeys {
    /// The key must be known.
    #[default]
    Enforce,
    /// Record the keys of new hosts, reject changed keys. Requires OpenSSH 7.6.
    Accept,
    /// Accept any key and record none, which allows an attacker on the path to read and change everything.
    Ignore,
}

/// The defaults for options read from data, where the specification requires a `hostname`.
fn without_host() -> Options {
    Options::new("")
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
            password_prompt: None,
            identity_file: None,
            passphrase: None,
            identities_only: true,
            check_host_keys: CheckHostKeys::default(),
            compression: false,
            keepalive_enabled: true,
            keepalive_interval: Keepalive::default().interval,
            keepalive_count: Keepalive::default().count,
            ssh_debug_level: 0,
            ssh_args: Vec::new(),
            ssh_path: "ssh".to_owned(),
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }

    /// Sets the user to log in as.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the port to connect to.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets the user's password.
    #[must_use]
    pub fn password(mut self, password: impl Into<Option<Secret>>) -> Self {
        self.password = password.into();
        self
    }

    /// Sets the host name in the password prompt.
    #[must_use]
    pub fn prompt_host(mut self, prompt_host: impl Into<String>) -> Self {
        self.prompt_host = Some(prompt_host.into());
        self
    }

    /// Sets the prompt to answer with the password.
    #[must_use]
    pub fn password_prompt(mut self, password_prompt: impl Into<String>) -> Self {
        self.password_prompt = Some(password_prompt.into());
        self
    }

    /// Sets the private key.
    #[must_use]
    pub fn identity_file(mut self, identity_file: impl Into<String>) -> Self {
        self.identity_file = Some(identity_file.into());
        self
    }

    /// Sets the passphrase of the private key.
    #[must_use]
    pub fn passphrase(mut self, passphrase: impl Into<Option<Secret>>) -> Self {
        self.passphrase = passphrase.into();
        self
    }

    /// Offers no keys other than the private key, or also those of the agent.
    #[must_use]
    pub fn identities_only(mut self, identities_only: bool) -> Self {
        self.identities_only = identities_only;
        self
    }

    /// Sets how host keys are checked.
    #[must_use]
    pub fn check_host_keys(mut self, check_host_keys: CheckHostKeys) -> Self {
        self.check_host_keys = check_host_keys;
        self
    }

    /// Compresses the connection, or does not.
    #[must_use]
    pub fn compression(mut self, compression: bool) -> Self {
        self.compression = compression;
        self
    }

    /// Detects dead connections, or does not.
    #[must_use]
    pub fn keepalive_enabled(mut self, keepalive_enabled: bool) -> Self {
        self.keepalive_enabled = keepalive_enabled;
        self
    }

    /// Sets the interval of keep-alive probes.
    #[must_use]
    pub fn keepalive_interval(mut self, keepalive_interval: Duration) -> Self {
        self.keepalive_interval = keepalive_interval;
        self
    }

    /// Sets the number of unanswered probes after which the connection is lost.
    #[must_use]
    pub fn keepalive_count(mut self, keepalive_count: u32) -> Self {
        self.keepalive_count = keepalive_count;
        self
    }

    /// Sets the verbosity of ssh, 0 to 3.
    #[must_use]
    pub fn ssh_debug_level(mut self, ssh_debug_level: u8) -> Self {
        self.ssh_debug_level = ssh_debug_level;
        self
    }

    /// Sets further arguments of ssh.
    #[must_use]
    pub fn ssh_args<T: Into<String>>(mut self, ssh_args: impl IntoIterator<Item = T>) -> Self {
        self.ssh_args = ssh_args.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the program.
    #[must_use]
    pub fn ssh_path(mut self, ssh_path: impl Into<String>) -> Self {
        self.ssh_path = ssh_path.into();
        self
    }

    /// Sets the limit for the whole connection.
    #[must_use]
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Whether ssh may prompt, and so needs a terminal.
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
        if self.password_prompt.is_some() && self.password.is_none() {
            return Err(error("password_prompt", "needs `password`"));
        }
        if self.password_prompt.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(error("password_prompt", "must not be empty: it would match everything"));
        }
        Ok(())
    }
}

/// The specification of every option.
pub(crate) fn specs() -> [OptionSpec; 18] {
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
        OptionSpec::new(
            "password_prompt",
            String,
            "the prompt to answer with the password, where the host's prompt is not recognised; compared, ignoring \
             case, with the end of an unfinished line, and answered even if it does not contain the host",
        )
        .with_default_doc("known prompts"),
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
