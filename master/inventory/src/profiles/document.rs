//! TOML with places: a tree of owned values that know where they stood.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A fault of the text as TOML.
pub(super) struct SyntaxError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date,
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

impl Node {
    /// What kind of value it is, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a text",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Bool(_) => "a boolean",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        match &self.value {
            Value::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self.value {
            // Precision is lost beyond 2^53 only; such numbers of seconds are out of range anyway.
            #[allow(clippy::cast_precision_loss)]
            Value::Integer(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        }
    }
}

/// Reads TOML. The entries of every table stand in the order of the text.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Vec<SyntaxError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<SyntaxError> = errors
        .iter()
        .map(|error| SyntaxError {
            span: error.span().unwrap_or(0..0),
            message: error.message().replace('\n', "; "),
        })
        .collect();
    let entries = convert_table(table.get_ref(), &mut errors);
    if errors.is_empty() { Ok(entries) } else { Err(errors) }
}

fn convert_table(table: &DeTable<'_>, errors: &mut Vec<SyntaxError>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: convert(value, errors),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

fn convert(node: &Spanned<DeValue<'_>>, errors: &mut Vec<SyntaxError>) -> Node {
    let span = node.span();
    let mut out_of_range = || {
        errors.push(SyntaxError { span: span.clone(), message: "number out of range".to_owned() });
    };
    let value = match node.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_else(|_| {
                out_of_range();
                0
            }))
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or_else(|_| {
            out_of_range();
            0.0
        })),
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(items.iter().map(|item| convert(item, errors)).collect()),
        DeValue::Table(table) => Value::Table(convert_table(table, errors)),
    };
    Node { span, value }
}
