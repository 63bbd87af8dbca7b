//! Reading values of a table, with faults that say what was expected.

use mitogen_core::suggest::did_you_mean;
use serde_json::{Map, Value};

use crate::fault::Faults;

/// The type of a value with its article, as TOML calls it.
pub(crate) fn described(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    }
}

/// Reports that the value is not what it must be.
pub(crate) fn expected(faults: &mut Faults, wanted: &str, value: &Value, hint: &str) {
    faults.report(format!("expected {wanted}, found {}", described(value)), hint);
}

/// Reports every key of `table` that is not one of `known`.
pub(crate) fn known_keys(faults: &mut Faults, table: &Map<String, Value>, known: &[&str]) {
    for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
        let hint = did_you_mean(key, known.iter().copied()).map_or_else(
            || format!("known keys: {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        faults.report_key(key, "unknown key", hint);
    }
}

/// The string at `key`.
pub(crate) fn string(faults: &mut Faults, table: &Map<String, Value>, key: &str) -> Option<String> {
    let value = table.get(key)?;
    let text = value.as_str().map(str::to_owned);
    if text.is_none() {
        faults.at(key, |faults| expected(faults, "a string", value, ""));
    }
    text
}

/// The boolean at `key`.
pub(crate) fn boolean(faults: &mut Faults, table: &Map<String, Value>, key: &str) -> Option<bool> {
    let value = table.get(key)?;
    let yes = value.as_bool();
    if yes.is_none() {
        faults.at(key, |faults| expected(faults, "true or false", value, ""));
    }
    yes
}

/// The word at `key`, one of the names that `T` has in plans.
pub(crate) fn word<T: serde::de::DeserializeOwned>(
    faults: &mut Faults,
    table: &Map<String, Value>,
    key: &str,
) -> Option<T> {
    let value = table.get(key)?;
    if !value.is_string() {
        faults.at(key, |faults| expected(faults, "a string", value, ""));
        return None;
    }
    serde_json::from_value(value.clone())
        .map_err(|error| faults.at(key, |faults| faults.report(plain(&error), "")))
        .ok()
}

/// The message of a JSON error about one value.
pub(crate) fn plain(error: &serde_json::Error) -> String {
    error.to_string().replace("variant", "value")
}
