//! What can be said about sudo.

use mitogen_core::connect::{OptionKind, OptionSpec, OptionsError, check_word};
use mitogen_core::dialogue::Secret;
use serde::Deserialize;

use crate::METHOD;
use crate::arguments::{self, Given};

/// Options of the sudo transport. What is named here wins over `sudo_args`, which wins over the
/// defaults.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The user to become, or `#` and a number. Default `root`.
    pub username: Option<String>,
    /// The calling user's password. Without one no terminal is made and sudo is told not to ask.
    pub password: Option<Secret>,
    /// The program. Default `sudo`.
    pub sudo_path: String,
    /// Arguments in sudo's own words, as other tools' settings have them. Understood are `-E`, `-H`,
    /// `-i`, `-r ROLE`, `-t TYPE` and `-u USER` with their long forms; `-n` and `-S` are ignored.
    pub sudo_args: Vec<String>,
    /// Keep the environment (`-E`).
    pub preserve_env: Option<bool>,
    /// Set `HOME` to the new user's (`-H`).
    pub set_home: Option<bool>,
    /// Run the new user's login shell (`-i`).
    pub login: Option<bool>,
    /// SELinux role (`-r`).
    pub selinux_role: Option<String>,
    /// SELinux type (`-t`).
    pub selinux_type: Option<String>,
    /// Give sudo a terminal even without a password, where its policy insists (`requiretty`).
    pub tty: bool,
    /// Seconds until the context must be up. Default 30.
    pub connect_timeout: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            username: None,
            password: None,
            sudo_path: "sudo".to_owned(),
            sudo_args: Vec::new(),
            preserve_env: None,
            set_home: None,
            login: None,
            selinux_role: None,
            selinux_type: None,
            tty: false,
            connect_timeout: 30.0,
        }
    }
}

/// Options with `sudo_args` and defaults worked in.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) username: String,
    pub(crate) password: Option<Secret>,
    pub(crate) sudo_path: String,
    pub(crate) preserve_env: bool,
    pub(crate) set_home: bool,
    pub(crate) login: bool,
    pub(crate) selinux_role: Option<String>,
    pub(crate) selinux_type: Option<String>,
    pub(crate) tty: bool,
    pub(crate) connect_timeout: f64,
}

impl Options {
    pub(crate) fn resolve(&self) -> Result<Resolved, OptionsError> {
        let given: Given = arguments::parse(&self.sudo_args)
            .map_err(|message| OptionsError::in_option(METHOD, "sudo_args", message))?;
        let resolved = Resolved {
            username: self.username.clone().or(given.user).unwrap_or_else(|| "root".to_owned()),
            password: self.password.clone(),
            sudo_path: self.sudo_path.clone(),
            preserve_env: self.preserve_env.unwrap_or(given.preserve_env),
            set_home: self.set_home.unwrap_or(given.set_home),
            login: self.login.unwrap_or(given.login),
            selinux_role: self.selinux_role.clone().or(given.role),
            selinux_type: self.selinux_type.clone().or(given.kind),
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
        Ok(resolved)
    }
}

/// The specification of every option.
pub(crate) fn specs() -> [OptionSpec; 11] {
    use OptionKind::{Boolean, Secret, String, StringArray};
    [
        OptionSpec::new("username", String, "the user to become, or `#` and a user id").with_default("root"),
        OptionSpec::new(
            "password",
            Secret,
            "the calling user's password; without it `sudo` gets no terminal and runs with `-n`",
        ),
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
