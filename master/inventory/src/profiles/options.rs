//! The values of a profile's keys: from TOML to the options of a transport.

use std::path::Path;

use mitogen_core::dialogue::Secret;
use serde_json::{Map, Number, Value as Json};

use super::diagnostic::Origin;
use super::document::{KeyValue, Node, Value};
use super::secret::SecretSource;
use crate::targets::did_you_mean;

/// The placeholder for the host's name in other options.
const HOST: &str = "{host}";
/// Replaces a secret where options are printed or checked.
pub(super) const MASK: &str = "********";
/// The kinds of secret sources.
const REFERENCES: &[&str] = &["env", "command", "prompt", "file"];

/// The value of an option and where it was set.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Given,
    pub(super) origin: Origin,
}

#[derive(Clone, Debug)]
pub(super) enum Given {
    Plain(Json),
    Secret(SecretSource),
}

/// What is wrong with a value, and how to correct it.
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// Replaces every `{host}` with the host's name.
pub(super) fn for_host(text: &str, host: &str) -> String {
    text.replace(HOST, host)
}

/// Replaces every `{host}` in all strings of a value.
pub(super) fn value_for_host(value: &Json, host: &str) -> Json {
    match value {
        Json::String(text) => Json::String(for_host(text, host)),
        Json::Array(items) => items.iter().map(|item| value_for_host(item, host)).collect(),
        Json::Object(fields) => {
            fields.iter().map(|(key, field)| (key.clone(), value_for_host(field, host))).collect()
        }
        other => other.clone(),
    }
}

/// The value of an option that is not a secret.
pub(super) fn plain(node: &Node) -> Result<Json, Fault> {
    Ok(match &node.value {
        Value::String(text) => Json::String(text.clone()),
        Value::Integer(number) => Json::Number((*number).into()),
        Value::Float(number) => Number::from_f64(*number)
            .map(Json::Number)
            .ok_or_else(|| Fault::new("the number is not finite", "write a finite number"))?,
        Value::Bool(yes) => Json::Bool(*yes),
        Value::Date => return Err(Fault::new("dates are not supported", "write it as a string, in quotes")),
        Value::Array(items) => items.iter().map(plain).collect::<Result<_, _>>()?,
        Value::Table(entries) => Json::Object(
            entries
                .iter()
                .map(|entry| Ok((entry.key.clone(), plain(&entry.node)?)))
                .collect::<Result<Map<_, _>, Fault>>()?,
        ),
    })
}

/// What is needed to check and complete the source of a secret.
pub(super) struct SecretContext<'a> {
    /// The file that refers to the secret.
    pub(super) path: &'a Path,
    /// Whether other users can read that file.
    pub(super) shared: bool,
    /// The question for `prompt = true`.
    pub(super) question: String,
}

/// The source of a secret: a literal, or a table with one reference.
pub(super) fn secret(node: &Node, context: &SecretContext<'_>) -> Result<SecretSource, Fault> {
    const FORMS: &str = "write { env = \"NAME\" }, { command = [\"PROGRAM\", \"ARG\"] }, { file = \"PATH\" } or { prompt = true }";
    match &node.value {
        Value::String(_) if context.shared => Err(Fault::new(
            "a secret in a file that other users can read",
            format!("run: chmod 600 {}; or {FORMS}", context.path.display()),
        )),
        Value::String(text) => Ok(SecretSource::Literal(Secret::new(text.as_str()))),
        Value::Table(entries) => match entries.as_slice() {
            [reference] => reference_to(reference, context, FORMS),
            _ => Err(Fault::new("a secret must have exactly one source", FORMS)),
        },
        _ => Err(Fault::new(format!("expected a string or a table, found {}", node.kind()), FORMS)),
    }
}

fn reference_to(
    reference: &KeyValue,
    context: &SecretContext<'_>,
    forms: &str,
) -> Result<SecretSource, Fault> {
    let node = &reference.node;
    let wrong = |wanted: &str| Err(Fault::new(format!("`{}` must be {wanted}", reference.key), forms));
    let text = node.string().filter(|text| !text.is_empty());
    match reference.key.as_str() {
        "env" => match text {
            Some(name) if !name.contains(['=', '\0']) => Ok(SecretSource::Env(name.to_owned())),
            _ => wrong("the name of an environment variable"),
        },
        "command" => match node.strings() {
            Some(argv) if argv.first().is_some_and(|program| !program.is_empty()) => {
                Ok(SecretSource::Command(argv))
            }
            _ => wrong("an array of strings that starts with a program"),
        },
        "file" => match text {
            // A relative path is relative to the directory of the profile file.
            Some(path) if !path.starts_with("~/") => {
                Ok(SecretSource::File(context.path.parent().unwrap_or(Path::new("")).join(path)))
            }
            Some(path) => Ok(SecretSource::File(path.into())),
            None => wrong("the path of a file"),
        },
        "prompt" => match &node.value {
            Value::Bool(true) => Ok(SecretSource::Prompt(context.question.clone())),
            Value::String(question) if !question.is_empty() => Ok(SecretSource::Prompt(question.clone())),
            _ => wrong("true or a string"),
        },
        other => {
            let guess = did_you_mean(other, REFERENCES.iter().copied());
            let hint = guess.map_or_else(|| forms.to_owned(), |name| format!("did you mean `{name}`?"));
            Err(Fault::new(format!("unknown secret source `{other}`"), hint))
        }
    }
}
