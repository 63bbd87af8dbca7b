//! Parsers of option values. Their errors say what to write instead.

use std::time::Duration;

/// The largest time limit that an option accepts, in seconds: a year.
const MAX_SECONDS: f64 = 31_536_000.0;

/// A number of targets, at least 1.
pub(super) fn forks(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("expected a number of at least 1".to_owned()),
    }
}

/// A number of seconds above 0, with or without a fraction.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= MAX_SECONDS);
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected a number of seconds above 0".to_owned())
}

/// File permissions in octal.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| "expected octal permissions, for example 644".to_owned())
}

/// `KEY=VALUE`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// A function's name with its module.
pub(super) fn function(text: &str) -> Result<String, String> {
    let name = |part: &str| {
        part.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if text.contains('.') && text.split('.').all(name) {
        Ok(text.to_owned())
    } else {
        Err("expected a function with its module, for example os.path.exists".to_owned())
    }
}
