//! Reads a transport's options, with errors that name the option.

use std::cell::RefCell;

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde_json::Value;
use thiserror::Error;

/// Options that a transport rejects.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{method}: {message}")]
#[non_exhaustive]
pub struct OptionsError {
    /// The transport.
    pub method: String,
    /// The option at fault, unless it is several or none.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl OptionsError {
    /// An error that concerns no option in particular.
    pub fn new(method: impl Into<String>, message: impl Into<String>) -> Self {
        Self { method: method.into(), key: None, message: message.into() }
    }

    /// An error in the option `key`.
    pub fn in_option(method: impl Into<String>, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { method: method.into(), key: Some(key.into()), message: message.into() }
    }
}

/// Reads the options of the transport `method` from a JSON object.
///
/// # Errors
/// An option that `T` does not accept; the error names it.
pub fn parse_options<T: DeserializeOwned>(method: &str, options: Value) -> Result<T, OptionsError> {
    let Value::Object(map) = options else {
        return Err(OptionsError::new(method, "options must be a table of names and values"));
    };
    let current = RefCell::new(None);
    let pairs = map.into_iter().inspect(|(key, _)| *current.borrow_mut() = Some(key.clone()));
    T::deserialize(MapDeserializer::new(pairs)).map_err(|cause: serde_json::Error| {
        let text = cause.to_string();
        match text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
            Some((key, _)) => OptionsError::in_option(method, key, "this option is required"),
            None => {
                let message = text.replace("unknown field", "unknown option");
                match current.borrow().as_deref() {
                    Some(key) => OptionsError::in_option(method, key, message),
                    None => OptionsError::new(method, message),
                }
            }
        }
    })
}

/// Checks that `value`, the value of the option `key`, is safe as a command-line argument: not empty, not a flag,
/// and without control characters.
///
/// # Errors
/// The condition that `value` does not meet.
pub fn check_word(method: &str, key: &str, value: &str) -> Result<(), OptionsError> {
    let problem = if value.is_empty() {
        "must not be empty"
    } else if value.starts_with('-') {
        "must not begin with a dash"
    } else if value.chars().any(char::is_control) {
        "must not contain control characters"
    } else {
        return Ok(());
    };
    Err(OptionsError::in_option(method, key, problem))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only reading is tested")]
    struct Sample {
        hostname: String,
        #[serde(default)]
        port: Option<u16>,
    }

    #[test]
    fn errors_name_the_option() {
        for (options, key, words) in [
            (json!({"hostname": "a", "prot": 1}), Some("prot"), "unknown option `prot`"),
            (json!({"hostname": "a", "port": "x"}), Some("port"), "invalid type"),
            (json!({"hostname": "a", "port": 70000}), Some("port"), "70000"),
            (json!({"port": 22}), Some("hostname"), "required"),
            (json!({"hostname": 5}), Some("hostname"), "invalid type"),
            (json!([1]), None, "table"),
        ] {
            let error = parse_options::<Sample>("ssh", options.clone()).unwrap_err();
            assert_eq!(error.key.as_deref(), key, "{options}");
            assert!(error.message.contains(words), "{options}: {error}");
        }
        assert_eq!(
            parse_options::<Sample>("ssh", json!({"hostname": "a", "port": 22})).unwrap().port,
            Some(22)
        );
    }

    #[test]
    fn unsafe_command_line_words_are_rejected() {
        for bad in ["", "-oProxyCommand=x", "a\nb", "a\0"] {
            assert_eq!(check_word("ssh", "hostname", bad).unwrap_err().key.as_deref(), Some("hostname"));
        }
        check_word("ssh", "hostname", "web-1.example.org").unwrap();
    }
}
