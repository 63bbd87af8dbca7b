//! Options of programs that choose their own password prompt.

use std::time::Duration;

use mitogen_core::connect::DEFAULT_CONNECT_TIMEOUT;
use mitogen_core::dialogue::Secret;
use serde::Deserialize;

/// Options of the su and doas transports.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Options {
    /// The user to become. Default `root`.
    pub username: String,
    /// The password to send: su asks for the new user's, doas for the calling user's. Without one the program gets
    /// no terminal, and a prompt is a failure.
    pub password: Option<Secret>,
    /// The program. Default: the transport's name, searched for in `PATH`.
    pub program: Option<String>,
    /// The prompt to answer, for a program whose prompt is not recognised. It is compared, ignoring case, with the
    /// end of an unfinished line.
    pub password_prompt: Option<String>,
    /// Further messages with which the program rejects a password; case is ignored.
    pub incorrect_prompts: Vec<String>,
    /// The limit for the whole connection. Default 30 s.
    #[serde(with = "mitogen_core::seconds")]
    pub connect_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            username: "root".to_owned(),
            password: None,
            program: None,
            password_prompt: None,
            incorrect_prompts: Vec::new(),
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }
}

impl Options {
    /// The defaults: become root, without a password.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the user to become.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = username.into();
        self
    }

    /// Sets the password.
    #[must_use]
    pub fn password(mut self, password: impl Into<Option<Secret>>) -> Self {
        self.password = password.into();
        self
    }

    /// Sets the program.
    #[must_use]
    pub fn program(mut self, program: impl Into<String>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Sets the prompt to answer.
    #[must_use]
    pub fn password_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.password_prompt = Some(prompt.into());
        self
    }

    /// Sets further messages with which the program rejects a password.
    #[must_use]
    pub fn incorrect_prompts<T: Into<String>>(mut self, messages: impl IntoIterator<Item = T>) -> Self {
        self.incorrect_prompts = messages.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the limit for the whole connection.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}
