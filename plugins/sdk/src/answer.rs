//! From a request to a reply: what a plugin does, without any pointers.

use mitogen_core::connect::{ChildCommand, OptionsError, TransportKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What options of type secret have as their value.
const MASK: &str = "********";

/// What the host asks. Fields of later minor versions are ignored.
#[derive(Deserialize)]
struct Request {
    options: Map<String, Value>,
    #[serde(default)]
    secrets: Vec<String>,
    child: Child,
}

#[derive(Deserialize)]
struct Child {
    argv: Vec<String>,
}

/// Answers a request with a plan or an error, both as JSON.
///
/// # Errors
/// The reply that says what is wrong with the options.
pub fn answer(kind: &TransportKind, request: &str) -> Result<String, String> {
    let request: Request = serde_json::from_str(request).map_err(|error| {
        refusal(&OptionsError::new(kind.name(), format!("the request cannot be read: {error}")))
    })?;
    let mut options = request.options;
    options.extend(request.secrets.into_iter().map(|name| (name, Value::from(MASK))));
    let plan = kind
        .create(Value::Object(options))
        .and_then(|transport| transport.plan(&ChildCommand::new(request.child.argv)))
        .map_err(|error| refusal(&error))?;
    let mut plan = serde_json::to_value(&plan)
        .map_err(|error| refusal(&OptionsError::new(kind.name(), error.to_string())))?;
    // The host fills them in by name.
    if let Some(plan) = plan.as_object_mut() {
        plan.remove("secrets");
    }
    Ok(json!({"plan": plan}).to_string())
}

fn refusal(error: &OptionsError) -> String {
    json!({"error": {"key": error.key, "message": error.message}}).to_string()
}
