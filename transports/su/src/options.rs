//! What can be said about su.

use mitogen_core::connect::{OptionKind, OptionSpec, OptionsError, check_word};
use mitogen_core::dialogue::Secret;
use serde::Deserialize;

use crate::METHOD;

/// Options of the su transport.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The user to become. Default `root`.
    pub username: String,
    /// The new user's password. Without one no terminal is made, and a su that asks is a failure: that is
    /// enough for root.
    pub password: Option<Secret>,
    /// The program. Default `su`.
    pub su_path: String,
    /// The prompt to answer, for a su that asks in words we do not know. Searched for without heed to
    /// case at the end of an unfinished line.
    pub password_prompt: Option<String>,
    /// Words with which su refuses a password, besides those we know. Searched for without heed to case.
    pub incorrect_prompts: Vec<String>,
    /// Seconds until the context must be up. Default 30.
    pub connect_timeout: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            username: "root".to_owned(),
            password: None,
            su_path: "su".to_owned(),
            password_prompt: None,
            incorrect_prompts: Vec::new(),
            connect_timeout: 30.0,
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        check_word(METHOD, "username", &self.username)?;
        check_word(METHOD, "su_path", &self.su_path)?;
        for (key, words) in [
            ("password_prompt", self.password_prompt.as_slice()),
            ("incorrect_prompts", &self.incorrect_prompts[..]),
        ] {
            if words.iter().any(|text| text.trim().is_empty()) {
                let message = "must not be empty: it would match everything";
                return Err(OptionsError::in_option(METHOD, key, message));
            }
        }
        Ok(())
    }
}

/// The specification of every option.
pub(crate) fn specs() -> [OptionSpec; 6] {
    [
        OptionSpec::new("username", OptionKind::String, "the user to become").with_default("root"),
        OptionSpec::new(
            "password",
            OptionKind::Secret,
            "the new user's password; without it `su` gets no terminal, and a prompt is an error; root needs none",
        ),
        OptionSpec::new("su_path", OptionKind::String, "the program").with_default("su"),
        OptionSpec::new(
            "password_prompt",
            OptionKind::String,
            "the prompt to answer, for a `su` whose prompt is not recognised; compared, ignoring case, with the end \
             of an unfinished line",
        )
        .with_default_doc("known prompts"),
        OptionSpec::new(
            "incorrect_prompts",
            OptionKind::StringArray,
            "further messages with which `su` rejects a password; case is ignored",
        )
        .with_default(Vec::<String>::new()),
        OptionSpec::connect_timeout(),
    ]
}
