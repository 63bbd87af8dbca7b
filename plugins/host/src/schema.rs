//! Option specifications from a JSON Schema.
//!
//! Only names, types, bounds, defaults and descriptions are read: the plugin checks the values that it gets.

use mitogen_core::connect::{OptionKind, OptionSpec};
use serde_json::Value;

/// Reads the schema of an object; an empty one has no options.
pub(crate) fn read(schema: &str) -> Result<Vec<OptionSpec>, String> {
    if schema.is_empty() {
        return Ok(Vec::new());
    }
    let schema: Value =
        serde_json::from_str(schema).map_err(|error| format!("its option schema is not JSON: {error}"))?;
    let Some(schema) = schema.as_object() else {
        return Err("its option schema is not an object".to_owned());
    };
    let empty = serde_json::Map::new();
    let properties = match schema.get("properties") {
        None => &empty,
        Some(value) => value.as_object().ok_or("the properties of its option schema are not an object")?,
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if let Some(name) = required.iter().find(|name| !properties.contains_key(**name)) {
        return Err(format!("its option schema requires `{name}` and does not describe it"));
    }
    properties
        .iter()
        .map(|(name, property)| {
            let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(is_word) {
                return Err(format!("`{}` cannot be the name of an option", name.escape_debug()));
            }
            let kind = kind(property)
                .ok_or_else(|| format!("the option `{name}` has a type that is not supported"))?;
            let doc = property["description"].as_str().unwrap_or_default();
            let mut spec = OptionSpec::new(name, kind, doc);
            if required.contains(&name.as_str()) {
                spec = spec.required();
            }
            if let Some(default) = property.get("default") {
                spec.kind.check(default).map_err(|problem| format!("the default of `{name}` {problem}"))?;
                spec = spec.with_default(default.clone());
            }
            Ok(spec)
        })
        .collect()
}

fn kind(property: &Value) -> Option<OptionKind> {
    if let Some(values) = property.get("enum") {
        let values: Option<Vec<String>> =
            values.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect();
        return values.filter(|values| !values.is_empty()).map(OptionKind::Enum);
    }
    let format = property["format"].as_str();
    Some(match property["type"].as_str()? {
        "string" if format == Some("secret") => OptionKind::Secret,
        "string" => OptionKind::String,
        "boolean" => OptionKind::Boolean,
        "number" if format == Some("seconds") => OptionKind::Seconds,
        "number" => OptionKind::Number,
        "integer" => OptionKind::Integer {
            min: property["minimum"].as_i64().unwrap_or(i64::MIN),
            max: property["maximum"].as_i64().unwrap_or(i64::MAX),
        },
        "array" if property["items"]["type"] == "string" => OptionKind::StringArray,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sdk_writes_is_read_back() {
        let specs = vec![
            OptionSpec::new("a", OptionKind::String, "text").required(),
            OptionSpec::new("b", OptionKind::Integer { min: 1, max: 9 }, "").with_default(3),
            OptionSpec::new("c", OptionKind::at_least(0), ""),
            OptionSpec::new("d", OptionKind::Number, ""),
            OptionSpec::new("e", OptionKind::Seconds, "").with_default(2.5),
            OptionSpec::new("f", OptionKind::Boolean, ""),
            OptionSpec::new("g", OptionKind::StringArray, ""),
            OptionSpec::new("h", OptionKind::one_of(["x", "y"]), ""),
            OptionSpec::new("i", OptionKind::Secret, ""),
        ];
        let schema = mitogen_plugin_sdk::schema(&specs).to_string();
        assert_eq!(read(&schema).unwrap(), specs);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn other_schemas_are_refused() {
        for (schema, part) in [
            ("{", "is not JSON"),
            ("[]", "is not an object"),
            (r#"{"properties": []}"#, "are not an object"),
            (r#"{"properties": {"a": {}}}"#, "the option `a` has a type"),
            (r#"{"properties": {"a": {"type": "array"}}}"#, "the option `a` has a type"),
            (r#"{"properties": {"a": {"enum": []}}}"#, "the option `a` has a type"),
            (r#"{"properties": {"A b": {"type": "string"}}}"#, "cannot be the name of an option"),
            (
                r#"{"properties": {"a": {"type": "string", "default": 5}}}"#,
                "the default of `a` must be a string",
            ),
            (r#"{"required": ["a"]}"#, "requires `a`"),
        ] {
            let error = read(schema).unwrap_err();
            assert!(error.contains(part), "{schema}: {error}");
        }
    }
}
