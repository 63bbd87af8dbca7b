//! The array `argv`: words, words that depend on options, and the child's command.

use mitogen_core::connect::{ChildCommand, OptionSpec, OptionsError, check_word};
use mitogen_core::dialogue::{quote, quote_argv};
use mitogen_core::suggest::did_you_mean;
use serde_json::{Map, Value};

use crate::fault::Faults;
use crate::read::{expected, known_keys};
use crate::text::{Part, Text, Values, is_on, value};

const FORM: &str = "write argv = [\"program\", \"{hostname}\", \"{child...}\"]";
const FORMS: &str =
    "an item is a string, an array of strings, or { when = \"OPTION\", args = [...], else = [...] }";

/// An item of `argv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Word(Text),
    /// Words that are left out if one of their options has no value.
    IfGiven(Vec<Text>),
    /// Words that depend on an option.
    When {
        option: String,
        args: Vec<Text>,
        otherwise: Vec<Text>,
    },
}

/// How the child's command becomes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quote {
    /// As a command for a POSIX shell.
    Shell,
    /// As a JSON string with its quotation marks.
    Json,
}

/// The command line of a template.
#[derive(Clone, Debug, Default)]
pub(crate) struct Argv {
    items: Vec<Item>,
    /// Applied in order; without any, the child's command stays several words.
    quote: Vec<Quote>,
}

impl Argv {
    /// Reads `argv` and `quote`.
    pub(crate) fn read(faults: &mut Faults, table: &Map<String, Value>, specs: &[OptionSpec]) -> Self {
        let quote = read_quote(faults, table);
        let items = match table.get("argv") {
            None => {
                faults.report("a transport needs `argv`", FORM);
                Vec::new()
            }
            Some(Value::Array(items)) => faults.at("argv", |faults| {
                let read: Vec<Item> = items
                    .iter()
                    .enumerate()
                    .filter_map(|(i, item)| faults.at_index(i, |faults| read_item(faults, item, specs)))
                    .collect();
                check_child(faults, &read, quote.is_empty());
                read
            }),
            Some(other) => {
                faults.at("argv", |faults| expected(faults, "an array", other, FORM));
                Vec::new()
            }
        };
        Self { items, quote }
    }

    /// The words for these values.
    pub(crate) fn words(
        &self,
        method: &str,
        values: &Values,
        child: &ChildCommand,
    ) -> Result<Vec<String>, OptionsError> {
        let mut words = Vec::new();
        for item in &self.items {
            let chosen: &[Text] = match item {
                Item::Word(text) => std::slice::from_ref(text),
                Item::IfGiven(texts) => {
                    if texts.iter().all(|text| text.is_given(values)) {
                        texts
                    } else {
                        &[]
                    }
                }
                Item::When { option, args, otherwise } => {
                    if is_on(option, values) {
                        args
                    } else {
                        otherwise
                    }
                }
            };
            for text in chosen {
                self.push(method, text, values, child, &mut words)?;
            }
        }
        Ok(words)
    }

    fn push(
        &self,
        method: &str,
        text: &Text,
        values: &Values,
        child: &ChildCommand,
        words: &mut Vec<String>,
    ) -> Result<(), OptionsError> {
        let items = text.0.iter().find_map(|part| match part {
            Part::Items(name) => Some(values.get(name).and_then(Value::as_array)),
            _ => None,
        });
        match (text.0.as_slice(), items) {
            ([Part::Child], _) if self.quote.is_empty() => words.extend(child.argv.iter().cloned()),
            (parts, None) => words.push(self.word(method, parts, "", values, child)?),
            (parts, Some(items)) => {
                for item in items.into_iter().flatten().filter_map(Value::as_str) {
                    words.push(self.word(method, parts, item, values, child)?);
                }
            }
        }
        Ok(())
    }

    /// One word; `item` stands for the items of an array.
    fn word(
        &self,
        method: &str,
        parts: &[Part],
        item: &str,
        values: &Values,
        child: &ChildCommand,
    ) -> Result<String, OptionsError> {
        let mut word = String::new();
        // What stands beside the child's command is read by the same shells.
        let quoted = !self.quote.is_empty() && parts.contains(&Part::Child);
        let shown = |text: &str| if quoted { self.levels(quote(text).into_owned()) } else { text.to_owned() };
        for (index, part) in parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => word.push_str(literal),
                Part::Child => word.push_str(&self.levels(quote_argv(&child.argv))),
                Part::Items(_) => word.push_str(&shown(item)),
                Part::Option(names) => {
                    let key = names.iter().find(|name| values.contains_key(*name)).or(names.first());
                    let key = key.map(String::as_str).unwrap_or_default();
                    let Some(value) = value(names, values) else {
                        let message = "the command line needs this option";
                        return Err(OptionsError::in_option(method, key, message));
                    };
                    // A value at the beginning of a word could be a flag of the program.
                    if index == 0 {
                        check_word(method, key, &value)?;
                    }
                    word.push_str(&shown(&value));
                }
            }
        }
        Ok(word)
    }

    /// Text that is quoted for the first level, quoted for the others.
    fn levels(&self, mut text: String) -> String {
        for (index, kind) in self.quote.iter().enumerate() {
            text = match kind {
                // The first level was applied when the words were joined.
                Quote::Shell if index == 0 => text,
                Quote::Shell => quote(&text).into_owned(),
                Quote::Json => Value::String(text).to_string(),
            };
        }
        text
    }
}

fn read_quote(faults: &mut Faults, table: &Map<String, Value>) -> Vec<Quote> {
    const FORM: &str = "write quote = \"none\", quote = \"shell\" or quote = [\"shell\", \"json\"]";
    let Some(value) = table.get("quote") else { return Vec::new() };
    let words: Option<Vec<&str>> = match value {
        Value::String(word) => Some(vec![word.as_str()]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    };
    faults.at("quote", |faults| {
        let Some(words) = words else {
            expected(faults, "a string or an array of strings", value, FORM);
            return Vec::new();
        };
        if words == ["none"] {
            return Vec::new();
        }
        let mut levels = Vec::new();
        for word in &words {
            match *word {
                "shell" => levels.push(Quote::Shell),
                "json" => levels.push(Quote::Json),
                other => faults.report(format!("unknown way to quote: `{other}`"), FORM),
            }
        }
        if levels.first() == Some(&Quote::Json) {
            faults.report("the first level is `shell`, which makes one text of the command", FORM);
        }
        levels
    })
}

fn read_item(faults: &mut Faults, item: &Value, specs: &[OptionSpec]) -> Option<Item> {
    match item {
        Value::String(text) => Some(Item::Word(Text::read(faults, text, specs))),
        Value::Array(_) => {
            let texts = texts(faults, item, specs);
            if !texts.iter().any(Text::has_options) {
                faults.report(
                    "an array within `argv` is left out if its option is not given, and this one names none",
                    FORMS,
                );
            }
            Some(Item::IfGiven(texts))
        }
        Value::Object(table) => {
            known_keys(faults, table, &["when", "args", "else"]);
            let Some(Value::String(option)) = table.get("when") else {
                faults.report("`when` names no option", FORMS);
                return None;
            };
            if specs.iter().any(|spec| spec.name == *option && spec.is_secret()) {
                faults.at("when", |faults| {
                    faults.report(
                        format!("`{option}` is a secret, which decides nothing about the command line"),
                        "add a boolean to `options`, or leave the words to the tool's configuration",
                    );
                });
            }
            if !specs.iter().any(|spec| spec.name == *option) {
                let hint = did_you_mean(option, specs.iter().map(|spec| spec.name.as_str())).map_or_else(
                    || "add it to `options`".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                faults.at("when", |faults| faults.report(format!("no option `{option}`"), hint));
            }
            let mut list = |key: &str| {
                table
                    .get(key)
                    .map(|value| faults.at(key, |faults| texts(faults, value, specs)))
                    .unwrap_or_default()
            };
            Some(Item::When { option: option.clone(), args: list("args"), otherwise: list("else") })
        }
        other => {
            expected(faults, "a string, an array or a table", other, FORMS);
            None
        }
    }
}

fn texts(faults: &mut Faults, value: &Value, specs: &[OptionSpec]) -> Vec<Text> {
    let Value::Array(items) = value else {
        expected(faults, "an array of strings", value, FORMS);
        return Vec::new();
    };
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        faults.at_index(index, |faults| match item {
            Value::String(text) => found.push(Text::read(faults, text, specs)),
            other => expected(faults, "a string", other, FORMS),
        });
    }
    found
}

/// Checks the first word, that the child's command stands once and always, and where `{...}` with dots stands.
fn check_child(faults: &mut Faults, items: &[Item], separate: bool) {
    const HINT: &str = "write `{child...}` as an item of its own";
    let has_child = |text: &Text| text.0.contains(&Part::Child);
    let mut count = 0;
    for (index, item) in items.iter().enumerate() {
        let (texts, always): (Vec<&Text>, bool) = match item {
            Item::Word(text) => (vec![text], true),
            Item::IfGiven(texts) => (texts.iter().collect(), false),
            Item::When { args, otherwise, .. } => (args.iter().chain(otherwise).collect(), false),
        };
        faults.at_index(index, |faults| {
            if index == 0 && !matches!(item, Item::Word(text) if !has_child(text)) {
                faults.report("the first item is the program", FORM);
            }
            for text in texts {
                if text.0.iter().filter(|part| matches!(part, Part::Items(_))).count() > 1 {
                    faults.report("a word can name one array only", "");
                }
                if !has_child(text) {
                    continue;
                }
                count += text.0.iter().filter(|part| **part == Part::Child).count();
                if text.0.iter().any(|part| matches!(part, Part::Items(_))) {
                    faults.report("the child's command cannot stand beside an array", HINT);
                }
                if !always {
                    faults.report("the child's command cannot depend on an option", HINT);
                }
                if separate && text.0.len() > 1 {
                    faults.report(
                        "the child's command is several words here",
                        "set quote = \"shell\" to make it one",
                    );
                }
            }
        });
    }
    match count {
        0 => faults.report("the child's command is missing", HINT),
        1 => {}
        _ => faults.report("the child's command stands here more than once", HINT),
    }
}
