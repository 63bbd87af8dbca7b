//! Requests to a plugin, and what its replies must be. The same for shared objects and every other kind of plugin.

use mitogen_core::connect::{ChildCommand, OptionsError, Plan};
use serde_json::{Map, Value, json};

/// Asks for a plan. Of secrets, only the names are sent.
pub(crate) fn request(options: &Map<String, Value>, secrets: &[&str], child: &ChildCommand) -> String {
    use mitogen_plugin_abi::{ABI_MAJOR, ABI_MINOR};
    let child = json!({"argv": child.argv});
    json!({"abi": [ABI_MAJOR, ABI_MINOR], "options": options, "secrets": secrets, "child": child}).to_string()
}

/// Reads a reply: a plan that can be carried out, with the method `method`.
pub(crate) fn read(method: &str, reply: &str) -> Result<Plan, OptionsError> {
    let bad = |problem: String| OptionsError::new(method, format!("the plugin's reply {problem}"));
    let reply: Value = serde_json::from_str(reply).map_err(|error| bad(format!("is not JSON: {error}")))?;
    let Value::Object(reply) = reply else { return Err(bad("is not an object".to_owned())) };
    if let Some(key) = reply.keys().find(|key| !["plan", "error"].contains(&key.as_str())) {
        return Err(bad(format!("has the unknown key `{}`", key.escape_debug())));
    }
    match (reply.get("plan"), reply.get("error")) {
        (Some(plan), None) => {
            let mut plan: Plan = serde_json::from_value(plan.clone())
                .map_err(|error| bad(format!("holds no plan: {error}")))?;
            if !plan.secrets.is_empty() {
                return Err(bad(
                    "holds secrets: rules name them, and they are filled in afterwards".to_owned()
                ));
            }
            method.clone_into(&mut plan.method);
            plan.validate()
                .map_err(|error| bad(format!("holds a plan that cannot be carried out: {error}")))?;
            Ok(plan)
        }
        (None, Some(error)) => {
            Err(refusal(method, error).ok_or_else(|| bad("holds an error without a message".to_owned()))?)
        }
        _ => Err(bad("has neither or both of `plan` and `error`".to_owned())),
    }
}

/// What the plugin says about the options.
fn refusal(method: &str, error: &Value) -> Option<OptionsError> {
    let message = error["message"].as_str().filter(|message| !message.is_empty())?;
    Some(match error["key"].as_str() {
        Some(key) => OptionsError::in_option(method, key, message),
        None => OptionsError::new(method, message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(change: impl FnOnce(&mut Value)) -> String {
        let mut plan = json!({
            "version": 1, "name": "a", "method": "other", "timeout": 30.0,
            "start": {"spawn": {"argv": ["a"], "env": {}, "stdio": "socketpair"}},
        });
        change(&mut plan);
        json!({"plan": plan}).to_string()
    }

    #[test]
    fn a_plan_gets_the_method_of_the_plugin() {
        let plan = read("mine", &plan(|_| {})).unwrap();
        assert_eq!((plan.method.as_str(), plan.argv()), ("mine", ["a".to_owned()].as_slice()));
    }

    #[test]
    fn errors_name_the_option() {
        let error = read("mine", r#"{"error": {"key": "port", "message": "is odd"}}"#).unwrap_err();
        assert_eq!((error.key.as_deref(), error.message.as_str()), (Some("port"), "is odd"));
        let error = read("mine", r#"{"error": {"message": "is odd"}}"#).unwrap_err();
        assert_eq!(error.key, None);
    }

    #[test]
    fn other_replies_are_refused_with_the_reason() {
        for (reply, part) in [
            (String::new(), "is not JSON"),
            ("[]".into(), "is not an object"),
            ("{}".into(), "has neither or both"),
            (r#"{"plan": {}, "error": {}}"#.into(), "has neither or both"),
            (r#"{"plan": {}, "extra": 1}"#.into(), "unknown key `extra`"),
            (r#"{"plan": {}}"#.into(), "holds no plan"),
            (r#"{"error": {}}"#.into(), "without a message"),
            (plan(|plan| plan["colour"] = json!("red")), "unknown field `colour`"),
            (plan(|plan| plan["version"] = json!(9)), "version 9"),
            (plan(|plan| plan["secrets"] = json!({"password": "x"})), "holds secrets"),
            (plan(|plan| plan["start"] = json!("opened")), "unknown variant `opened`"),
            (plan(|plan| plan["start"]["spawn"]["argv"] = json!([])), "names no program"),
            (plan(|plan| plan["start"]["spawn"]["argv"] = json!(["a\u{0}"])), "must not contain NULs"),
            (plan(|plan| plan["start"]["spawn"]["shell"] = json!(true)), "unknown field `shell`"),
            (plan(|plan| plan["timeout"] = json!(-1)), "holds no plan"),
            (
                plan(|plan| {
                    plan["dialogue"] = json!({"rules": [{"source": "any", "shown": "line", "pattern": "(", "action": "pass"}]});
                }),
                "not valid",
            ),
            (plan(|plan| plan["dialogue"] = json!({"rule": []})), "unknown field `rule`"),
            (
                plan(
                    |plan| plan["dialogue"] = json!({"rules": [{"source": "any", "shown": "line", "patern": "x", "pattern": "x", "action": "pass"}]}),
                ),
                "unknown field `patern`",
            ),
        ] {
            let error = read("mine", &reply).unwrap_err();
            assert!(error.message.contains(part), "{reply}: {error}");
        }
    }
}
