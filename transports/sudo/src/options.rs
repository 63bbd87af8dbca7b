//! Options of the sudo transport.

use std::time::Duration;

use mitogen_core::connect::{DEFAULT_CONNECT_TIMEOUT, OptionKind, OptionSpec, OptionsError, check_word};
use mitogen_core::dialogue::Secret;
use serde::Deserialize;

use crate::arguments;

/// The name of the method.
pub(crate) const METHOD: &str = "sudo";

/// Options of the sudo transport. They take precedence over [`Options::sudo_args`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Options {
    /// The user to become, or `#` and a user id. Default `root`.
    pub username: Option<String>,
    /// The calling user's password. Without one sudo gets no terminal and runs with `-n`.
    pub password: Option<Secret>,
    /// A prompt to answer besides sudo's, where a PAM module asks with its own. It is compared, ignoring case, with the
    /// end of an unfinished line.
    pub password_prompt: Option<String>,
    /// The program. Default `sudo`.
    pub sudo_path: String,
    /// Arguments of sudo itself, as in the settings of other tools. Supported are `-E`, `-H`, `-i`, `-r ROLE`,
    /// `-t TYPE` and `-u USER` with their long forms; `-n` and `-S` are ignored.
    pub sudo_args: Vec<String>,
    /// Whether to keep the environment (`-E`). Default false.
    pub preserve_env: Option<bool>,
    /// Whether to set `HOME` to the new user's home directory (`-H`). Default false.
    pub set_home: Option<bool>,
    /// Whether to run the new user's login shell (`-i`). Default false.
    pub login: Option<bool>,
    /// The SELinux role (`-r`).
    pub selinux_role: Option<String>,
    /// The SELinux type (`-t`).
    pub selinux_type: Option<String>,
    /// Whether to allocate a terminal even without a password, for a sudoers file with `requiretty`. Default false.
    pub tty: bool,
    /// The limit for the whole connection. Default 30 s.
    #[serde(with = "mitogen_core::seconds")]
    pub connect_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            username: None,
            password: None,
            password_prompt: None,
            sudo_path: "sudo".to_owned(),
            sudo_args: Vec::new(),
            preserve_env: None,
            set_home: None,
            login: None,
            selinux_role: None,
            selinux_type: None,
            tty: false,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }
}

/// Setters.
impl Options {
    /// The defaults: become root, without a password.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the user to become.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the calling user's password.
    #[must_use]
    pub fn password(mut self, password: impl Into<Option<Secret>>) -> Self {
        self.password = password.into();
        self
    }

    /// Sets a prompt to answer besides sudo's.
    #[must_use]
    pub fn password_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.password_prompt = Some(prompt.into());
        self
    }

    /// Sets the program.
    #[must_use]
    pub fn sudo_path(mut self, path: impl Into<String>) -> Self {
        self.sudo_path = path.into();
        self
    }

    /// Sets arguments of sudo itself.
    #[must_use]
    pub fn sudo_args<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.sudo_args = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps the environment, or does not.
    #[must_use]
    pub fn preserve_env(mut self, preserve: bool) -> Self {
        self.preserve_env = Some(preserve);
        self
    }

    /// Sets `HOME` to the new user's home directory, or does not.
    #[must_use]
    pub fn set_home(mut self, set: bool) -> Self {
        self.set_home = Some(set);
        self
    }

    /// Runs the new user's login shell, or does not.
    #[must_use]
    pub fn login(mut self, login: bool) -> Self {
        self.login = Some(login);
        self
    }

    /// Sets the SELinux role.
    #[must_use]
    pub fn selinux_role(mut self, role: impl Into<String>) -> Self {
        self.selinux_role = Some(role.into());
        self
    }

    /// Sets the SELinux type.
    #[must_use]
    pub fn selinux_type(mut self, kind: impl Into<String>) -> Self {
        self.selinux_type = Some(kind.into());
        self
    }

    /// Allocates a terminal even without a password, or does not.
    #[must_use]
    pub fn tty(mut self, tty: bool) -> Self {
        self.tty = tty;
        self
    }

    /// Sets the limit for the whole connection.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

/// Options merged with `sudo_args` and the defaults.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) username: String,
    pub(crate) password: Option<Secret>,
    pub(crate) password_prompt: Option<String>,
    pub(crate) sudo_path: String,
    pub(crate) preserve_env: bool,
    pub(crate) set_home: bool,
    pub(crate) login: bool,
    pub(crate) selinux_role: Option<String>,
    pub(crate) selinux_type: Option<String>,
    pub(crate) tty: bool,
    pub(crate) connect_timeout: Duration,
}

impl Options {
    /// Merges the options with `sudo_args` and the defaults, and checks them.
    pub(crate) fn resolve(self) -> Result<Resolved, OptionsError> {
        let given = arguments::parse(&self.sudo_args)
            .map_err(|message| OptionsError::in_option(METHOD, "sudo_args", message))?;
        let resolved = Resolved {
            username: self.username.or(given.username).unwrap_or_else(|| "root".to_owned()),
            password: self.password,
            password_prompt: self.password_prompt,
            sudo_path: self.sudo_path,
            preserve_env: self.preserve_env.unwrap_or(given.preserve_env),
            set_home: self.set_home.unwrap_or(given.set_home),
            login: self.login.unwrap_or(given.login),
            selinux_role: self.selinux_role.or(given.selinux_role),
            selinux_type: self.selinux_type.or(given.selinux_type),
            tty: self.tty,
            connect_timeout: self.connect_timeout,
        };
        let words = [
            ("username", Some(&resolved.username)),
            ("sudo_path", Some(&resolved.sudo_path)),
            ("selinux_role", resolved.selinux_role.as_ref()),
            ("selinux_type", resolved.selinux_type.as_ref()),
        ];
        for (key, value) in words {
            if let Some(value) = value {
                check_word(METHOD, key, value)?;
            }
        }
        if resolved.password_prompt.as_ref().is_some_and(|text| text.trim().is_empty()) {
            let message = "must not be empty: it would match everything";
            return Err(OptionsError::in_option(METHOD, "password_prompt", message));
        }
        Ok(resolved)
    }
}

/// The specification of every option.
pub(crate) fn specs() -> [OptionSpec; 12] {
    use OptionKind::{Boolean, Secret, String, StringArray};
    [
        OptionSpec::new("username", String, "the user to become, or `#` and a user id").with_default("root"),
        OptionSpec::new(
            "password",
            Secret,
            "the calling user's password; without it `sudo` gets no terminal and runs with `-n`",
        ),
        OptionSpec::new(
            "password_prompt",
            String,
            "a prompt to answer besides `sudo`'s, where a PAM module asks with its own; compared, ignoring case, with \
             the end of an unfinished line",
        )
        .with_default_doc("`sudo`'s prompt"),
        OptionSpec::new("sudo_path", String, "the program").with_default("sudo"),
        OptionSpec::new(
            "sudo_args",
            StringArray,
            "arguments of `sudo` itself: `-E`, `-H`, `-i`, `-r ROLE`, `-t TYPE`, `-u USER` and their long forms; `-n` \
             and `-S` are ignored; the other options take precedence",
        )
        .with_default(Vec::<&str>::new()),
        OptionSpec::new("preserve_env", Boolean, "keep the environment (`-E`)").with_default(false),
        OptionSpec::new("set_home", Boolean, "set `HOME` to the new user's home directory (`-H`)")
            .with_default(false),
        OptionSpec::new("login", Boolean, "run the new user's login shell (`-i`)").with_default(false),
        OptionSpec::new("selinux_role", String, "the SELinux role (`-r`)"),
        OptionSpec::new("selinux_type", String, "the SELinux type (`-t`)"),
        OptionSpec::new(
            "tty",
            Boolean,
            "allocate a terminal even without a password, for a sudoers file with `requiretty`",
        )
        .with_default(false),
        OptionSpec::connect_timeout(),
    ]
}
