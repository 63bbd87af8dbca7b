//! What can be said about doas.

use mitogen_core::connect::{OptionsError, check_word};
use mitogen_core::dialogue::Secret;
use serde::Deserialize;

use crate::KIND;

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

/// Every option's name.
pub(crate) const NAMES: &[&str] =
    &["username", "password", "doas_path", "password_prompt", "incorrect_prompts", "connect_timeout"];

impl Options {
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        check_word(KIND.name, "username", &self.username)?;
        check_word(KIND.name, "doas_path", &self.doas_path)?;
        for (key, words) in [
            ("password_prompt", self.password_prompt.as_slice()),
            ("incorrect_prompts", &self.incorrect_prompts[..]),
        ] {
            if words.iter().any(|text| text.trim().is_empty()) {
                let message = "must not be empty: it would match everything".to_owned();
                return Err(OptionsError {
                    method: KIND.name.to_owned(),
                    key: Some(key.to_owned()),
                    message,
                });
            }
        }
        Ok(())
    }
}
