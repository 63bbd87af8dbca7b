//! Temporary accounts with a password, a home, and rules for `sudo` and `doas`.

use std::path::{Path, PathBuf};

use crate::cleanup::{Cleanup, Undo, replace_file};
use crate::error::{Context, FixtureError, Result};
use crate::{leaks, run, state};

const DOAS_CONF: &str = "/etc/doas.conf";

/// The right to run commands as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Any command, without a password.
    NoPassword,
    /// Any command, with the user's own password, which is never remembered.
    Password,
}

/// Options of a [`TestUser`].
#[derive(Clone, Debug)]
pub struct UserOptions {
    sudo: Option<Rule>,
    doas: Option<Rule>,
    sudoers: String,
    shell: String,
}

impl UserOptions {
    /// Lets the user run any command as any user with `sudo`.
    #[must_use]
    pub fn sudo(mut self, rule: Rule) -> Self {
        self.sudo = Some(rule);
        self
    }

    /// Lets the user run any command as any user with `doas`.
    #[must_use]
    pub fn doas(mut self, rule: Rule) -> Self {
        self.doas = Some(rule);
        self
    }

    /// Adds a line of sudoers, in which `{user}` is replaced by the account's name.
    #[must_use]
    pub fn sudoers(mut self, line: &str) -> Self {
        self.sudoers += line;
        self.sudoers.push('\n');
        self
    }

    /// The login shell; `/bin/sh` by default.
    #[must_use]
    pub fn shell(mut self, shell: &str) -> Self {
        shell.clone_into(&mut self.shell);
        self
    }

    /// Creates the account.
    ///
    /// # Errors
    /// This process is not root, or a tool is missing or fails.
    pub fn create(self) -> Result<TestUser> {
        TestUser::create(&self)
    }
}

/// An account of this machine. On drop it is removed with its home, rules and processes.
#[derive(Debug)]
pub struct TestUser {
    name: String,
    password: String,
    home: PathBuf,
    uid: u32,
    _cleanup: Cleanup,
}

impl TestUser {
    /// An account without rights to become root.
    ///
    /// # Errors
    /// As [`UserOptions::create`].
    pub fn new() -> Result<Self> {
        Self::options().create()
    }

    /// Options for a different account.
    pub fn options() -> UserOptions {
        UserOptions { sudo: None, doas: None, sudoers: String::new(), shell: "/bin/sh".to_owned() }
    }

    fn create(options: &UserOptions) -> Result<Self> {
        run::need_root("making a test user")?;
        let name = state::fresh_name("mitotest");
        let password = state::fresh_name("pw-");
        let rules = PathBuf::from(format!("/etc/sudoers.d/{name}"));
        let mut steps = vec![Undo::User(name.clone())];
        if options.sudo.is_some() || !options.sudoers.is_empty() {
            run::find("sudo")?;
            steps.push(Undo::Path(rules.clone()));
        }
        if options.doas.is_some() {
            run::find("doas")?;
            steps.push(Undo::Lines(PathBuf::from(DOAS_CONF), name.clone()));
        }
        let cleanup = Cleanup::new(steps)?;

        // After the cleanup, which takes this lock too.
        let _guard = state::lock("accounts")?;
        run::run(&["useradd", "--create-home", "--user-group", "--shell", &options.shell, &name])?;
        run::run_with_input(&["chpasswd"], format!("{name}:{password}\n").as_bytes())?;
        if options.sudo.is_some() || !options.sudoers.is_empty() {
            replace_file(&rules, &sudoers(&name, options))?;
        }
        if let Some(rule) = options.doas {
            let before = std::fs::read_to_string(DOAS_CONF).unwrap_or_default();
            replace_file(Path::new(DOAS_CONF), &format!("{before}{}", doas_rule(&name, rule)))?;
        }
        let account = nix::unistd::User::from_name(&name)
            .context(|| name.clone())?
            .ok_or_else(|| FixtureError::new(format!("useradd made no {name}")))?;
        let uid = account.uid.as_raw();
        Ok(Self { name, password, home: account.dir, uid, _cleanup: cleanup })
    }

    /// The login name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The password in plain text.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The uid.
    pub fn uid(&self) -> u32 {
        self.uid
    }
}

fn sudoers(name: &str, options: &UserOptions) -> String {
    // Disables the password cache: whether a password is asked for must not depend on earlier commands.
    let mut text = format!(
        "Defaults:{name} timestamp_timeout=0\nDefaults:{name} env_keep += \"{mark}\"\n",
        mark = leaks::MARK
    );
    text += &options.sudoers.replace("{user}", name);
    text += &match options.sudo {
        None => String::new(),
        Some(Rule::NoPassword) => format!("{name} ALL=(ALL:ALL) NOPASSWD: ALL\n"),
        Some(Rule::Password) => format!("{name} ALL=(ALL:ALL) ALL\n"),
    };
    text
}

fn doas_rule(name: &str, rule: Rule) -> String {
    let tag = match rule {
        Rule::NoPassword => "nopass ",
        Rule::Password => "",
    };
    format!("permit {tag}setenv {{ {} }} {name}\n", leaks::MARK)
}
