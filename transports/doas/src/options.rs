//! What can be said about doas.

use mitogen_core::connect::{OptionKind, OptionSpec, OptionsError, check_word};
use mitogen_core::dialogue::Secret;
use serde::Deserialize;

use crate::METHOD;

/// Options of the doas transport.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The user to become. Default `root`.
    pub username: String,
    /// The calling user's password. Without one no terminal is made and doas is told not to ask.
    pub password: Option<Secret>,
    /// The program. Default `doas`.
    pub doas_path: String,
    /// The prompt to answer, for a doas that asks in words we do not know. Searched for without heed to
    /// case at the end of an unfinished line.
    pub password_prompt: Option<String>,
    /// Words with which doas refuses a password, besides those we know. Searched for without heed to case.
    pub incorrect_prompts: Vec<String>,
    /// Seconds until the context must be up. Default 30.
    pub connect_timeout: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            username: "root".to_owned(),
            password: None,
            doas_path: "doas".to_owned(),
            password_prompt: None,
            incorrect_prompts: Vec::new(),
            connect_timeout: 30.0,
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        check_word(METHOD, "username", &self.username)?;
        check_word(METHOD, "doas_path", &self.doas_path)?;
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
            "the calling user's password; without it `doas` gets no terminal and runs with `-n`",
        ),
        OptionSpec::new("doas_path", OptionKind::String, "the program").with_default("doas"),
        OptionSpec::new(
            "password_prompt",
            OptionKind::String,
            "the prompt to answer, for a `doas` whose prompt is not recognised; compared, ignoring case, with the end \
             of an unfinished line",
        )
        .with_default_doc("known prompts"),
        OptionSpec::new(
            "incorrect_prompts",
            OptionKind::StringArray,
            "further messages with which `doas` rejects a password; case is ignored",
        )
        .with_default(Vec::<String>::new()),
        OptionSpec::connect_timeout(),
    ]
}
