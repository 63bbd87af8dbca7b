//! The table `options`: which options the transport has.

use mitogen_core::connect::{OptionKind, OptionSpec};
use serde_json::{Map, Value};

use crate::fault::Faults;
use crate::read::{boolean, expected, known_keys, string};

const KEYS: &[&str] = &["type", "doc", "default", "required", "min", "max", "values"];
const TYPES: &str = "the types are string, integer, number, seconds, boolean, strings, enum and secret";
/// The option that every template has.
const TIMEOUT: &str = "connect_timeout";

/// Reads the table, and appends the option that every transport has.
pub(crate) fn read(faults: &mut Faults, table: &Map<String, Value>) -> Vec<OptionSpec> {
    let mut specs = Vec::new();
    match table.get("options") {
        None => {}
        Some(Value::Object(options)) => faults.at("options", |faults| {
            for (name, value) in options {
                let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                if name.is_empty() || !name.chars().all(is_word) || name == "child" {
                    let hint = "use lower-case letters, digits and `_`";
                    faults.report_key(name, "this cannot be the name of an option", hint);
                } else if name == TIMEOUT {
                    faults.report_key(name, "every transport has this option", "remove it");
                } else {
                    specs.extend(faults.at(name, |faults| option(faults, name, value)));
                }
            }
        }),
        Some(other) => faults.at("options", |faults| {
            expected(faults, "a table", other, "write options = { hostname = \"string\" }");
        }),
    }
    specs.push(OptionSpec::connect_timeout());
    specs
}

fn option(faults: &mut Faults, name: &str, value: &Value) -> Option<OptionSpec> {
    let mut table = Map::new();
    match value {
        // `hostname = "string"` is short for `hostname = { type = "string" }`.
        Value::String(_) => drop(table.insert("type".to_owned(), value.clone())),
        Value::Object(given) => table.clone_from(given),
        other => {
            expected(faults, "a table or the name of a type", other, TYPES);
            return None;
        }
    }
    known_keys(faults, &table, KEYS);
    let kind = kind(faults, &table)?;
    let doc = string(faults, &table, "doc").unwrap_or_default();
    let mut spec = OptionSpec::new(name, kind, doc);
    if boolean(faults, &table, "required") == Some(true) {
        spec = spec.required();
    }
    if let Some(default) = table.get("default") {
        faults.at("default", |faults| {
            if spec.is_secret() {
                faults.report("a secret has no default", "remove it");
            } else if spec.required {
                faults.report("a required option has no default", "remove `default` or `required`");
            } else if let Err(message) = spec.kind.check(default) {
                faults.report(message, "");
            }
        });
        spec = spec.with_default(default.clone());
    }
    Some(spec)
}

fn kind(faults: &mut Faults, table: &Map<String, Value>) -> Option<OptionKind> {
    let Some(name) = string(faults, table, "type") else {
        if !table.contains_key("type") {
            faults.report("the option has no type", TYPES);
        }
        return None;
    };
    for (key, of) in [("min", "integer"), ("max", "integer"), ("values", "enum")] {
        if table.contains_key(key) && name != of {
            faults.at(key, |faults| faults.report(format!("only options of type {of} have it"), "remove it"));
        }
    }
    let bound = |faults: &mut Faults, key: &str, default: i64| match table.get(key) {
        None => default,
        Some(value) => value.as_i64().unwrap_or_else(|| {
            faults.at(key, |faults| expected(faults, "an integer", value, ""));
            default
        }),
    };
    Some(match name.as_str() {
        "string" => OptionKind::String,
        "number" => OptionKind::Number,
        "seconds" => OptionKind::Seconds,
        "boolean" => OptionKind::Boolean,
        "strings" => OptionKind::StringArray,
        "secret" => OptionKind::Secret,
        "integer" => {
            let (min, max) = (bound(faults, "min", i64::MIN), bound(faults, "max", i64::MAX));
            if min > max {
                faults.at("min", |faults| faults.report("is greater than `max`", ""));
            }
            OptionKind::Integer { min, max }
        }
        "enum" => {
            let values: Option<Vec<String>> = table
                .get("values")
                .and_then(Value::as_array)
                .and_then(|values| values.iter().map(|value| value.as_str().map(str::to_owned)).collect());
            let Some(values) = values.filter(|values| !values.is_empty()) else {
                faults.report(
                    "an enum has an array of strings as its `values`",
                    "write values = [\"a\", \"b\"]",
                );
                return None;
            };
            OptionKind::Enum(values)
        }
        _ => {
            faults.at("type", |faults| faults.report(format!("unknown type `{name}`"), TYPES));
            return None;
        }
    })
}
