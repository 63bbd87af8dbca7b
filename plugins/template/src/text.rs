//! Texts with options in braces, such as `{username}@{hostname}`.

use std::collections::BTreeMap;

use mitogen_core::connect::{OptionKind, OptionSpec};
use mitogen_core::suggest::did_you_mean;
use serde_json::Value;

use crate::fault::Faults;

/// The values of options that have one.
pub(crate) type Values = BTreeMap<String, Value>;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(String),
    /// `{NAME}` or `{NAME|OTHER}`: the value of the first of these options that has one.
    Option(Vec<String>),
    /// `{NAME...}`: all items of an option, each in a word of its own.
    Items(String),
    /// `{child...}`: the command that starts the child.
    Child,
}

/// A text with options in braces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) Vec<Part>);

impl Text {
    /// Reads a text; `{{` and `}}` stand for braces. `specs` are the options that it may name.
    pub(crate) fn read(faults: &mut Faults, text: &str, specs: &[OptionSpec]) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
                faults.report(
                    format!("a `{brace}` without its counterpart in `{text}`"),
                    "write `{{` or `}}` for a brace",
                );
                return Self(parts);
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.extend(placeholder(faults, name, specs));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if text.contains('\0') {
            faults.report("must not contain NULs", "");
        }
        Self(parts)
    }

    /// Reads a text whose parts are all single values: no items and no command.
    pub(crate) fn read_plain(faults: &mut Faults, text: &str, specs: &[OptionSpec]) -> Self {
        let read = Self::read(faults, text, specs);
        if read.0.iter().any(|part| matches!(part, Part::Items(_) | Part::Child)) {
            faults.report("`{...}` with dots can stand in `argv` only", "");
        }
        read
    }

    /// Whether it names options.
    pub(crate) fn has_options(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Option(_) | Part::Items(_)))
    }

    /// Whether every option that it needs has a value.
    pub(crate) fn is_given(&self, values: &Values) -> bool {
        self.0.iter().all(|part| match part {
            Part::Option(names) => value(names, values).is_some(),
            Part::Items(name) => is_on(name, values),
            Part::Literal(_) | Part::Child => true,
        })
    }

    /// The text with the values of its options; `None` if one has no value.
    pub(crate) fn fill(&self, values: &Values) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Option(names) => text.push_str(&value(names, values)?),
                // Refused where plain texts are read, and expanded by the caller in `argv`.
                Part::Items(_) | Part::Child => return None,
            }
        }
        Some(text)
    }
}

/// The value of the first of these options that has one, as a part of an argument.
pub(crate) fn value(names: &[String], values: &Values) -> Option<String> {
    let value = names.iter().find_map(|name| values.get(name))?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn placeholder(faults: &mut Faults, inside: &str, specs: &[OptionSpec]) -> Option<Part> {
    let (names, items) = inside.strip_suffix("...").map_or((inside, false), |name| (name, true));
    if names == "child" {
        if !items {
            faults.report("`{child}` is written `{child...}`", "");
        }
        return items.then_some(Part::Child);
    }
    let before = faults.found.len();
    let names: Vec<String> = names.split('|').map(str::to_owned).collect();
    for name in &names {
        check_option(faults, name, items, specs);
    }
    if items && names.len() > 1 {
        faults.report("alternatives have no items", "write `{NAME...}`");
    }
    if faults.found.len() > before {
        return None;
    }
    if items { names.into_iter().next().map(Part::Items) } else { Some(Part::Option(names)) }
}

/// Checks that `name` is an option that can be shown, and an array exactly if its items are asked for.
fn check_option(faults: &mut Faults, name: &str, items: bool, specs: &[OptionSpec]) {
    let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
        let known = || specs.iter().map(|spec| spec.name.as_str());
        let hint = did_you_mean(name, known()).map_or_else(
            || format!("add it to `options`; known options: {}", known().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        faults.report(format!("no option `{name}`"), hint);
        return;
    };
    let is_array = spec.kind == OptionKind::StringArray;
    if spec.is_secret() {
        let hint = "let a rule send it to the prompt: send_secret";
        faults.report(format!("`{name}` is a secret, and other users can see command lines"), hint);
    } else if is_array && !items {
        faults.report(format!("`{name}` is an array: write `{{{name}...}}`"), "");
    } else if items && !is_array {
        faults.report(format!("`{name}` is not an array: write `{{{name}}}`"), "");
    }
}

/// Whether `name` is on: a boolean that is true, an array with items, or any other option with a value.
pub(crate) fn is_on(name: &str, values: &Values) -> bool {
    match values.get(name) {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    }
}
