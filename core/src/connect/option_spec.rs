//! Option specifications: the name, type, default and documentation of each option of a transport.
//!
//! They are the single source for checks, error messages, `docs/profiles.md` and completions, whether the transport
//! is built in or comes from a plugin.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::options::OptionsError;
use crate::suggest::did_you_mean;

/// How long a connection may take unless its options say otherwise.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The type of an option's value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionKind {
    /// A string.
    String,
    /// An integer within these bounds, both inclusive.
    Integer {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// Any finite number.
    Number,
    /// A duration: a number of seconds, not negative, with or without a fraction.
    Seconds,
    /// `true` or `false`.
    Boolean,
    /// An array of strings.
    StringArray,
    /// One of these strings.
    Enum(Vec<String>),
    /// A string that is never printed. In a profile it may also be a reference to where the secret is kept.
    Secret,
}

impl OptionKind {
    /// An integer of at least `min`.
    pub fn at_least(min: i64) -> Self {
        Self::Integer { min, max: i64::MAX }
    }

    /// One of `values`.
    pub fn one_of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::Enum(values.into_iter().map(Into::into).collect())
    }

    /// Checks that `value` is of this type and within its bounds.
    ///
    /// # Errors
    /// What the value must be, to follow the option's name. It shows no value of a secret.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let of_this_type = match self {
            Self::String | Self::Secret | Self::Enum(_) => value.is_string(),
            Self::Integer { .. } => value.is_i64() || value.is_u64(),
            Self::Number | Self::Seconds => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::StringArray => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        };
        if !of_this_type {
            return Err(format!("must be {}, not {}", self.described(), kind_of(value)));
        }
        match self {
            Self::Integer { min, max } => match value.as_i64() {
                Some(number) if (*min..=*max).contains(&number) => Ok(()),
                _ if *max == i64::MAX => Err(format!("must be at least {min}, not {value}")),
                _ => Err(format!("must be between {min} and {max}, not {value}")),
            },
            Self::Seconds => match value.as_f64() {
                Some(seconds) if seconds < 0.0 => Err(format!("must not be negative: {value}")),
                Some(seconds) if Duration::try_from_secs_f64(seconds).is_ok() => Ok(()),
                _ => Err(format!("is too large: {value}")),
            },
            Self::Enum(values) => match value.as_str() {
                Some(text) if values.iter().any(|known| known == text) => Ok(()),
                _ => Err(format!("must be {}, not {value}", self.described())),
            },
            _ => Ok(()),
        }
    }

    /// The type with its article, for messages.
    fn described(&self) -> String {
        match self {
            Self::String | Self::Secret => "a string".to_owned(),
            Self::Integer { .. } => "an integer".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Seconds => "a number of seconds".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::StringArray => "an array of strings".to_owned(),
            Self::Enum(values) => alternatives(values, "\""),
        }
    }
}

/// The type as documentation names it, such as `array of strings`.
impl fmt::Display for OptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => f.write_str("string"),
            Self::Integer { .. } => f.write_str("integer"),
            Self::Number => f.write_str("number"),
            Self::Seconds => f.write_str("seconds"),
            Self::Boolean => f.write_str("boolean"),
            Self::StringArray => f.write_str("array of strings"),
            Self::Enum(values) => f.write_str(&alternatives(values, "`")),
            Self::Secret => f.write_str("secret"),
        }
    }
}

/// `a, b or c`, each in `quotes`.
fn alternatives(values: &[String], quotes: &str) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{quotes}{value}{quotes}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(items) if items.iter().any(|item| !item.is_string()) => "an array of other values",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    }
}

/// One option of a transport.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OptionSpec {
    /// The key in profiles.
    pub name: String,
    /// The type of its value.
    pub kind: OptionKind,
    /// The value that an option which is not given has, if it has one.
    pub default: Option<Value>,
    /// What applies without a value, in Markdown, where that is not a value of the option: `from ssh_config`.
    pub default_doc: Option<String>,
    /// What it does, in Markdown: one or two sentences without the final full stop.
    pub doc: String,
    /// Whether it must be given.
    pub required: bool,
}

impl OptionSpec {
    /// An optional option without a default.
    pub fn new(name: impl Into<String>, kind: OptionKind, doc: impl Into<String>) -> Self {
        Self { name: name.into(), kind, default: None, default_doc: None, doc: doc.into(), required: false }
    }

    /// The option `connect_timeout`, which every built-in transport has.
    pub fn connect_timeout() -> Self {
        Self::new(
            "connect_timeout",
            OptionKind::Seconds,
            "time limit for the whole connection, until the context answers",
        )
        .with_default(DEFAULT_CONNECT_TIMEOUT.as_secs())
    }

    /// Sets the value that applies when the option is not given.
    #[must_use]
    pub fn with_default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Describes what applies when the option is not given.
    #[must_use]
    pub fn with_default_doc(mut self, text: impl Into<String>) -> Self {
        self.default_doc = Some(text.into());
        self
    }

    /// Makes the option required.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Whether its value is a secret.
    pub fn is_secret(&self) -> bool {
        self.kind == OptionKind::Secret
    }

    /// Its default in Markdown: `required`, a value as TOML, a description, or `none`.
    pub fn default_text(&self) -> String {
        match (&self.default_doc, &self.default) {
            (Some(text), _) => text.clone(),
            (None, Some(value)) => format!("`{value}`"),
            (None, None) if self.required => "required".to_owned(),
            (None, None) => "none".to_owned(),
        }
    }
}

/// Checks `options` against the specifications of the transport `method`.
pub(super) fn check(
    method: &str,
    specs: &[OptionSpec],
    options: &Map<String, Value>,
) -> Result<(), OptionsError> {
    let names = || specs.iter().map(|spec| spec.name.as_str());
    for (key, value) in options {
        let Some(spec) = specs.iter().find(|spec| spec.name == *key) else {
            let message = match did_you_mean(key, names()) {
                Some(near) => format!("unknown option `{key}`; did you mean `{near}`?"),
                None => {
                    format!(
                        "unknown option `{key}`; known options: {}",
                        names().collect::<Vec<_>>().join(", ")
                    )
                }
            };
            return Err(OptionsError::in_option(method, key, message));
        };
        spec.kind.check(value).map_err(|message| OptionsError::in_option(method, key, message))?;
    }
    match specs.iter().find(|spec| spec.required && !options.contains_key(&spec.name)) {
        Some(missing) => Err(OptionsError::in_option(method, &missing.name, "this option is required")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_checked_by_type_and_range() {
        let port = OptionKind::Integer { min: 1, max: 65535 };
        let policy = OptionKind::one_of(["enforce", "accept", "ignore"]);
        let table = [
            (OptionKind::String, json!("x"), None),
            (OptionKind::String, json!(5), Some("must be a string, not an integer")),
            (OptionKind::Secret, json!(true), Some("must be a string, not a boolean")),
            (port.clone(), json!(22), None),
            (port.clone(), json!("22"), Some("must be an integer, not a string")),
            (port.clone(), json!(22.0), Some("must be an integer, not a float")),
            (port.clone(), json!(0), Some("must be between 1 and 65535, not 0")),
            (port.clone(), json!(u64::MAX), Some("must be between 1 and 65535, not 18446744073709551615")),
            (OptionKind::at_least(0), json!(-1), Some("must be at least 0, not -1")),
            (OptionKind::Number, json!(-1.5), None),
            (OptionKind::Number, json!(null), Some("must be a number, not null")),
            (OptionKind::Seconds, json!(30), None),
            (OptionKind::Seconds, json!(0.2), None),
            (OptionKind::Seconds, json!("soon"), Some("must be a number of seconds, not a string")),
            (OptionKind::Seconds, json!(-1), Some("must not be negative: -1")),
            (OptionKind::Seconds, json!(1e300), Some("is too large: 1e+300")),
            (OptionKind::Boolean, json!(true), None),
            (OptionKind::Boolean, json!("yes"), Some("must be true or false, not a string")),
            (OptionKind::StringArray, json!([]), None),
            (OptionKind::StringArray, json!("-v"), Some("must be an array of strings, not a string")),
            (
                OptionKind::StringArray,
                json!(["-v", 1]),
                Some("must be an array of strings, not an array of other values"),
            ),
            (policy.clone(), json!("accept"), None),
            (
                policy.clone(),
                json!("maybe"),
                Some("must be \"enforce\", \"accept\" or \"ignore\", not \"maybe\""),
            ),
            (policy, json!({}), Some("must be \"enforce\", \"accept\" or \"ignore\", not a table")),
        ];
        for (kind, value, problem) in table {
            assert_eq!(kind.check(&value).err().as_deref(), problem, "{kind:?} {value}");
        }
    }

    #[test]
    fn unknown_and_missing_options_are_named() {
        let specs = [
            OptionSpec::new("hostname", OptionKind::String, "").required(),
            OptionSpec::new("port", OptionKind::at_least(1), ""),
        ];
        for (options, key, message) in [
            (json!({"hostname": "a", "prot": 1}), "prot", "unknown option `prot`; did you mean `port`?"),
            (json!({"xyz": 1}), "xyz", "unknown option `xyz`; known options: hostname, port"),
            (json!({"hostname": 5}), "hostname", "must be a string, not an integer"),
            (json!({"port": 22}), "hostname", "this option is required"),
        ] {
            let error = check("ssh", &specs, options.as_object().unwrap()).unwrap_err();
            assert_eq!(error, OptionsError::in_option("ssh", key, message), "{options}");
        }
        check("ssh", &specs, json!({"hostname": "a"}).as_object().unwrap()).unwrap();
    }

    #[test]
    fn defaults_are_described() {
        let spec = || OptionSpec::new("x", OptionKind::Seconds, "");
        assert_eq!(spec().default_text(), "none");
        assert_eq!(spec().required().default_text(), "required");
        assert_eq!(spec().with_default(30).default_text(), "`30`");
        assert_eq!(
            spec().required().with_default_doc("the profile's name").default_text(),
            "the profile's name"
        );
    }
}
