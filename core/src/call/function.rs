//! How a remote function is named.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A function's place: `pkg.module.function`, or `pkg.module:Class.method`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionName {
    /// The dotted module.
    pub module: String,
    /// The class, for a class method.
    pub class: Option<String>,
    /// The function.
    pub function: String,
}

/// A text that names no function.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} names no function: write pkg.module.function or pkg.module:Class.method")]
pub struct FunctionNameError {
    /// What was given.
    pub text: String,
}

impl FromStr for FunctionName {
    type Err = FunctionNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || FunctionNameError { text: text.to_owned() };
        let word = |part: &str| {
            !part.is_empty()
                && !part.starts_with(|c: char| c.is_ascii_digit())
                && part.chars().all(|c| c == '_' || c.is_alphanumeric())
        };
        let (module, class, function) = match text.split_once(':') {
            Some((module, rest)) => {
                let (class, function) = rest.split_once('.').ok_or_else(wrong)?;
                (module, Some(class), function)
            }
            None => {
                let (module, function) = text.rsplit_once('.').ok_or_else(wrong)?;
                (module, None, function)
            }
        };
        if !module.split('.').all(word) || !word(function) || !class.is_none_or(word) {
            return Err(wrong());
        }
        Ok(Self { module: module.to_owned(), class: class.map(str::to_owned), function: function.to_owned() })
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.class {
            Some(class) => write!(f, "{}:{class}.{}", self.module, self.function),
            None => write!(f, "{}.{}", self.module, self.function),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        let name = |module: &str, class: Option<&str>, function: &str| FunctionName {
            module: module.into(),
            class: class.map(Into::into),
            function: function.into(),
        };
        let rows = [
            ("os.getpid", Some(name("os", None, "getpid"))),
            ("os.path.join", Some(name("os.path", None, "join"))),
            (
                "mitogen.core:Dispatcher.forget_chain",
                Some(name("mitogen.core", Some("Dispatcher"), "forget_chain")),
            ),
            ("getpid", None),
            ("os.", None),
            (".getpid", None),
            ("os..path", None),
            ("os.get pid", None),
            ("os:join", None),
            ("1os.x", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let parsed: Option<FunctionName> = text.parse().ok();
            assert_eq!(parsed, expected, "{text}");
            if let Some(parsed) = parsed {
                assert_eq!(parsed.to_string(), text);
            }
        }
    }
}
