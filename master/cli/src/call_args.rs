//! The function arguments of `mitogen call`: JSON, positional or keyword.

use serde_json::{Map, Value};
use thiserror::Error;

/// Arguments of a Python function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionArgs {
    /// Positional arguments.
    pub positional: Vec<Value>,
    /// Keyword arguments.
    pub keywords: Map<String, Value>,
}

/// An invalid argument.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// It is not JSON.
    #[error("argument {position}: `{text}` is not JSON: {reason}{}", quoting(.keyword.as_deref(), .text))]
    NotJson {
        /// Its position, from 1.
        position: usize,
        /// Its keyword, if it has one.
        keyword: Option<String>,
        /// The text that is not JSON.
        text: String,
        /// The error of the parser.
        reason: String,
    },
    /// A keyword is given twice.
    #[error("argument {position}: `{keyword}` is given twice")]
    Twice {
        /// Its position, from 1.
        position: usize,
        /// The keyword.
        keyword: String,
    },
    /// A positional argument follows a keyword argument.
    #[error("argument {position}: positional arguments must come before keyword arguments")]
    PositionalLast {
        /// Its position, from 1.
        position: usize,
    },
}

/// How to write the argument if it was meant as a string.
fn quoting(keyword: Option<&str>, text: &str) -> String {
    let json = Value::from(text).to_string().replace('\'', r"'\''");
    let keyword = keyword.map_or_else(String::new, |keyword| format!("{keyword}="));
    format!("; a string is written as {keyword}'{json}'")
}

/// Parses arguments: JSON, or `NAME=JSON` if the name is a Python identifier.
///
/// # Errors
/// Text that is not JSON, repeated keywords, and positional arguments after keyword arguments.
pub fn parse(arguments: &[String]) -> Result<FunctionArgs, ArgumentError> {
    let mut parsed = FunctionArgs::default();
    for (i, argument) in arguments.iter().enumerate() {
        let position = i + 1;
        let keyword = argument.split_once('=').filter(|(name, _)| is_name(name));
        let (name, text) = keyword.map_or((None, argument.as_str()), |(name, text)| (Some(name), text));
        let value = serde_json::from_str(text).map_err(|error| ArgumentError::NotJson {
            position,
            keyword: name.map(str::to_owned),
            text: text.to_owned(),
            reason: error.to_string(),
        })?;
        match name {
            Some(name) if parsed.keywords.contains_key(name) => {
                return Err(ArgumentError::Twice { position, keyword: name.to_owned() });
            }
            Some(name) => {
                parsed.keywords.insert(name.to_owned(), value);
            }
            None if !parsed.keywords.is_empty() => return Err(ArgumentError::PositionalLast { position }),
            None => parsed.positional.push(value),
        }
    }
    Ok(parsed)
}

fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(arguments: &[&str]) -> Result<(Value, Value), String> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        parse(&arguments)
            .map(|parsed| (Value::Array(parsed.positional), Value::Object(parsed.keywords)))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_json() {
        let table: &[(&[&str], Value, Value)] = &[
            (&[], json!([]), json!({})),
            (&["1", "-2.5", "true", "null"], json!([1, -2.5, true, null]), json!({})),
            (&["\"a=b\""], json!(["a=b"]), json!({})),
            (&["{\"a\": [1]}"], json!([{"a": [1]}]), json!({})),
            (&["1", "a=2", "b=\"x=y\""], json!([1]), json!({"a": 2, "b": "x=y"})),
            (&["_é=1"], json!([]), json!({"_é": 1})),
        ];
        for (arguments, positional, keywords) in table {
            assert_eq!(read(arguments), Ok((positional.clone(), keywords.clone())), "{arguments:?}");
        }
    }

    #[test]
    fn unquoted_strings_are_errors_that_show_the_quoting() {
        let tail = |error: String| error.rsplit_once("; ").unwrap().1.to_owned();
        assert_eq!(tail(read(&["/etc/hosts"]).unwrap_err()), "a string is written as '\"/etc/hosts\"'");
        assert_eq!(tail(read(&["it's"]).unwrap_err()), r#"a string is written as '"it'\''s"'"#);
        assert_eq!(tail(read(&["a=b"]).unwrap_err()), "a string is written as a='\"b\"'");
        let error = read(&["1", "abc"]).unwrap_err();
        assert!(error.starts_with("argument 2: `abc` is not JSON: expected value"), "{error}");
        assert_eq!(read(&["a=1", "a=2"]).unwrap_err(), "argument 2: `a` is given twice");
        let error = read(&["a=1", "2"]).unwrap_err();
        assert_eq!(error, "argument 2: positional arguments must come before keyword arguments");
    }
}
