//! Option specifications as a JSON Schema.

use mitogen_core::connect::{OptionKind, OptionSpec};
use serde_json::{Map, Value, json};

/// The schema of an object with these options. Formats that JSON Schema does not define are `seconds` and `secret`.
pub fn schema(specs: &[OptionSpec]) -> Value {
    let mut properties = Map::new();
    for spec in specs {
        let mut property = match &spec.kind {
            OptionKind::Integer { min, max } => {
                let mut property = json!({"type": "integer"});
                if *min != i64::MIN {
                    property["minimum"] = json!(min);
                }
                if *max != i64::MAX {
                    property["maximum"] = json!(max);
                }
                property
            }
            OptionKind::Number => json!({"type": "number"}),
            OptionKind::Seconds => json!({"type": "number", "format": "seconds", "minimum": 0}),
            OptionKind::Boolean => json!({"type": "boolean"}),
            OptionKind::StringArray => json!({"type": "array", "items": {"type": "string"}}),
            OptionKind::Enum(values) => json!({"enum": values}),
            OptionKind::Secret => json!({"type": "string", "format": "secret"}),
            // Kinds that are added later are texts for hosts that do not know them.
            _ => json!({"type": "string"}),
        };
        property["description"] = json!(spec.doc);
        if let Some(default) = &spec.default {
            property["default"] = default.clone();
        }
        properties.insert(spec.name.clone(), property);
    }
    let required: Vec<&str> =
        specs.iter().filter(|spec| spec.required).map(|spec| spec.name.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}
