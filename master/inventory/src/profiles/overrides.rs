//! What the command line changes in the hops to every target.

use std::time::Duration;

/// Becoming another user on the target, as the command line asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Become {
    /// The name of the transport, such as `sudo`.
    pub method: String,
    /// The user to become; `None` for the transport's default.
    pub user: Option<String>,
}

impl Become {
    /// Becoming the transport's default user.
    pub fn new(method: impl Into<String>) -> Self {
        Self { method: method.into(), user: None }
    }

    /// Sets the user to become.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }
}

/// What the command line changes in the hops to every target. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Overrides {
    /// The user to log in as, on the last hop that logs in.
    pub user: Option<String>,
    /// Prompt for the password of that hop.
    pub ask_pass: bool,
    /// Become another user after the last hop.
    pub r#become: Option<Become>,
    /// Prompt for the password of the last hop, which must become another user.
    pub ask_become_pass: bool,
    /// The time limit of each connection.
    pub timeout: Option<Duration>,
}

impl Overrides {
    /// Sets the user to log in as.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets whether to prompt for the password of the hop that logs in.
    #[must_use]
    pub fn ask_pass(mut self, ask: bool) -> Self {
        self.ask_pass = ask;
        self
    }

    /// Adds a last hop that becomes another user.
    #[must_use]
    pub fn r#become(mut self, wanted: Become) -> Self {
        self.r#become = Some(wanted);
        self
    }

    /// Sets whether to prompt for the password of the last hop.
    #[must_use]
    pub fn ask_become_pass(mut self, ask: bool) -> Self {
        self.ask_become_pass = ask;
        self
    }

    /// Sets the time limit of each connection.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}
