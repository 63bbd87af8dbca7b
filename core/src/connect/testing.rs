//! Golden tests of a transport: its recorded plans and transcripts.
//!
//! A folder of recordings has `plans.json` (named option sets, each with the expected plan) and transcripts (`*.txt`: the
//! output of a real program, and the expected steps of the dialogue). A new prompt is a new text file. The tests of the
//! Python runtime replay the same folders, so one recording checks both engines. Plugins can use it too.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use serde_json::{Map, Value, json};

use super::{ChildCommand, Plan, TransportKind};
use crate::dialogue::transcript::replay;

/// When this variable is set, `plans.json` is updated with the transport's present plans.
pub const BLESS: &str = "MITOGEN_BLESS";

/// Checks `kind` against the recordings in `directory`: the option sets cover every option, the plans are equal, and
/// each transcript leads to the recorded steps, fed whole and cut at every byte. Returns the number of transcripts.
///
/// # Errors
/// The differences, one a line.
pub fn check_transport(
    kind: &TransportKind,
    child: &ChildCommand,
    directory: &Path,
) -> Result<usize, String> {
    let plans = check_plans(kind, child, &directory.join("plans.json"))?;
    let mut differences = String::new();
    let mut count = 0;
    for entry in fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let result =
            replay(&text, |name| plans.get(name).map(|plan| (plan.dialogue.clone(), plan.secrets.clone())));
        if let Err(difference) = result {
            differences.push_str(&format!("{}: {difference}\n", path.display()));
        }
    }
    if differences.is_empty() { Ok(count) } else { Err(differences) }
}

/// Checks that the recorded option sets cover every option, and that giving an option its documented default
/// changes nothing in the plan for the smallest of them.
fn check_options(
    kind: &TransportKind,
    child: &ChildCommand,
    recorded: &Map<String, Value>,
) -> Result<(), String> {
    let sets: Vec<&Map<String, Value>> =
        recorded.values().filter_map(|entry| entry["options"].as_object()).collect();
    let Some(smallest) = sets.iter().min_by_key(|options| options.len()) else {
        return Err("no option set is recorded".to_owned());
    };
    let plan = |options: &Map<String, Value>| {
        kind.create(Value::Object(options.clone()))
            .and_then(|transport| transport.plan(child))
            .map_err(|error| error.to_string())
    };
    let unchanged = plan(smallest)?;
    for spec in kind.options() {
        let name = &spec.name;
        if !sets.iter().any(|options| options.contains_key(name)) {
            return Err(format!("no recorded option set has `{name}`"));
        }
        let Some(default) = spec.default.as_ref().filter(|_| !smallest.contains_key(name)) else { continue };
        let mut given = (*smallest).clone();
        given.insert(name.clone(), default.clone());
        if plan(&given)? != unchanged {
            return Err(format!("{default} is not the default of `{name}`"));
        }
    }
    Ok(())
}

/// Checks that each set of options is rejected with an error that names the option next to it.
///
/// # Errors
/// The first set for which that is not so.
pub fn check_option_errors(kind: &TransportKind, table: &[(Value, &str)]) -> Result<(), String> {
    for (options, key) in table {
        match kind.create(options.clone()) {
            Ok(_) => return Err(format!("{options} is accepted")),
            Err(error) if error.key.as_deref() != Some(*key) => {
                return Err(format!("{options}: expected an error in `{key}`: {error}"));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// Compares every plan in the file and returns them by name.
fn check_plans(
    kind: &TransportKind,
    child: &ChildCommand,
    file: &Path,
) -> Result<BTreeMap<String, Plan>, String> {
    let place = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| place(&error))?;
    let recorded: Map<String, Value> = serde_json::from_str(&text).map_err(|error| place(&error))?;
    check_options(kind, child, &recorded).map_err(|error| place(&error))?;
    let mut plans = BTreeMap::new();
    let mut written = Map::new();
    let mut differences = String::new();
    for (name, entry) in recorded {
        let plan = kind
            .create(entry["options"].clone())
            .and_then(|transport| transport.plan(child))
            .map_err(|error| place(&format!("{name}: {error}")))?;
        plan.validate().map_err(|error| place(&format!("{name}: {error}")))?;
        let planned = serde_json::to_value(&plan).map_err(|error| place(&error))?;
        if planned != entry["plan"] {
            let difference = first_difference(&entry["plan"], &planned, "plan");
            differences.push_str(&place(&format!("{name}: {difference}\n")));
        }
        leaks_nothing(&plan).map_err(|error| place(&format!("{name}: {error}")))?;
        written.insert(name.clone(), json!({"options": entry["options"], "plan": planned}));
        plans.insert(name, plan);
    }
    if env::var_os(BLESS).is_some() {
        let text = serde_json::to_string_pretty(&written).map_err(|error| place(&error))?;
        fs::write(file, text + "\n").map_err(|error| place(&error))?;
    } else if !differences.is_empty() {
        return Err(format!("{differences}(set {BLESS}=1 to accept)"));
    }
    Ok(plans)
}

/// Describes the first difference of two values.
fn first_difference(recorded: &Value, planned: &Value, path: &str) -> String {
    match (recorded, planned) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys());
            for key in keys {
                let (old, new) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
                if old != new {
                    return first_difference(old, new, &format!("{path}.{key}"));
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                if old != new {
                    return first_difference(old, new, &format!("{path}[{index}]"));
                }
            }
        }
        _ => {}
    }
    format!("{path} was {recorded}, is {planned}")
}

/// Checks that no secret is part of what is printed, or visible to other processes.
fn leaks_nothing(plan: &Plan) -> Result<(), String> {
    let places = [
        ("its printed form", plan.describe()),
        ("its debug form", format!("{plan:?}")),
        ("its command line", plan.argv().join("\n")),
        ("its environment", format!("{:?}", plan.spawn().map(|spawn| &spawn.env))),
    ];
    for (name, secret) in &plan.secrets {
        for (place, text) in &places {
            if text.contains(secret.expose()) {
                return Err(format!("the {name} shows in {place}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_their_place() {
        let old = json!({"a": [1, {"b": "x"}], "c": 1});
        let new = json!({"a": [1, {"b": "y"}], "c": 1});
        assert_eq!(first_difference(&old, &new, "plan"), r#"plan.a[1].b was "x", is "y""#);
        assert_eq!(first_difference(&old, &json!({"a": 1}), "plan"), r#"plan.a was [1,{"b":"x"}], is 1"#);
        assert_eq!(first_difference(&json!({}), &json!({"n": 1}), "plan"), "plan.n was null, is 1");
    }
}
