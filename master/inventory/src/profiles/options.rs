//! The values of a profile's keys: from TOML to what a transport takes.

use std::path::Path;

use mitogen_core::dialogue::Secret;
use serde_json::{Map, Number, Value as Json};

use super::diagnostic::Origin;
use super::document::{Entry, Node, Value};
use super::secret::SecretSource;
use crate::targets::did_you_mean;

/// What stands for a host's name in other options.
const HOST: &str = "{host}";
/// What stands for a secret wherever options are shown or tried.
pub(super) const MASK: &str = "********";
/// The ways to refer to a secret.
const REFERENCES: &[&str] = &["env", "command", "prompt", "file"];

/// An option's value and where it was set.
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

/// What is wrong with a value, and what to do about it.
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// Puts the host's name in the place of every `{host}`.
pub(super) fn for_host(text: &str, host: &str) -> String {
    text.replace(HOST, host)
}

/// The same in all texts of a value.
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

/// A value for a transport.
pub(super) fn plain(node: &Node) -> Result<Json, Fault> {
    Ok(match &node.value {
        Value::Text(text) => Json::String(text.clone()),
        Value::Integer(number) => Json::Number((*number).into()),
        Value::Float(number) => Number::from_f64(*number)
            .map(Json::Number)
            .ok_or_else(|| Fault::new("the number is not finite", "write a finite number"))?,
        Value::Bool(yes) => Json::Bool(*yes),
        Value::Date => return Err(Fault::new("no option is a date", "write it as a text, in quotes")),
        Value::List(items) => items.iter().map(plain).collect::<Result<_, _>>()?,
        Value::Table(entries) => Json::Object(
            entries
                .iter()
                .map(|entry| Ok((entry.key.clone(), plain(&entry.node)?)))
                .collect::<Result<Map<_, _>, Fault>>()?,
        ),
    })
}

/// What a secret's value may be checked and completed with.
pub(super) struct SecretContext<'a> {
    /// The file that refers to the secret.
    pub(super) path: &'a Path,
    /// Whether others can read that file.
    pub(super) shared: bool,
    /// The question for `prompt = true`.
    pub(super) question: String,
}

/// A secret's source: a literal, or a table with one reference.
pub(super) fn secret(node: &Node, context: &SecretContext<'_>) -> Result<SecretSource, Fault> {
    const FORMS: &str = "write { env = \"NAME\" }, { command = [\"PROGRAM\", \"ARG\"] }, { file = \"PATH\" } or { prompt = true }";
    match &node.value {
        Value::Text(_) if context.shared => Err(Fault::new(
            "a password in a file that others can read",
            format!("chmod 600 {}; or {FORMS}", context.path.display()),
        )),
        Value::Text(text) => Ok(SecretSource::Literal(Secret::new(text.as_str()))),
        Value::Table(entries) => match entries.as_slice() {
            [reference] => reference_to(reference, context, FORMS),
            _ => Err(Fault::new("a secret has exactly one source", FORMS)),
        },
        _ => Err(Fault::new(format!("{} cannot be a secret", node.kind()), FORMS)),
    }
}

fn reference_to(reference: &Entry, context: &SecretContext<'_>, forms: &str) -> Result<SecretSource, Fault> {
    let node = &reference.node;
    let wrong = |wanted: &str| Err(Fault::new(format!("`{}` must be {wanted}", reference.key), forms));
    let text = node.text().filter(|text| !text.is_empty());
    match reference.key.as_str() {
        "env" => match text {
            Some(name) if !name.contains(['=', '\0']) => Ok(SecretSource::Env(name.to_owned())),
            _ => wrong("the name of an environment variable"),
        },
        "command" => match node.texts() {
            Some(argv) if argv.first().is_some_and(|program| !program.is_empty()) => {
                Ok(SecretSource::Command(argv))
            }
            _ => wrong("a list of texts, the first of them a program"),
        },
        "file" => match text {
            // Like everything in a file, a path in it starts from there.
            Some(path) if !path.starts_with("~/") => {
                Ok(SecretSource::File(context.path.parent().unwrap_or(Path::new("")).join(path)))
            }
            Some(path) => Ok(SecretSource::File(path.into())),
            None => wrong("the path of a file"),
        },
        "prompt" => match &node.value {
            Value::Bool(true) => Ok(SecretSource::Prompt(context.question.clone())),
            Value::Text(question) if !question.is_empty() => Ok(SecretSource::Prompt(question.clone())),
            _ => wrong("true, or a question"),
        },
        other => {
            let guess = did_you_mean(other, REFERENCES.iter().copied());
            let hint = guess.map_or_else(|| forms.to_owned(), |name| format!("did you mean `{name}`?"));
            Err(Fault::new(format!("`{other}` is no source of secrets"), hint))
        }
    }
}
