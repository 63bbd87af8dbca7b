//! Parsing the values of the keys that all profiles have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mitogen_core::connect::Keepalive;

use super::super::document::{KeyValue, Node, Value};
use super::super::options::Fault;

/// The command line of an interpreter: an array, or a string that is split at white space.
pub(super) fn python(node: &Node) -> Result<Vec<String>, Fault> {
    let argv = match node.string() {
        Some(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
        None => node.strings(),
    };
    argv.filter(|argv| argv.first().is_some_and(|program| !program.is_empty())).ok_or_else(|| {
        Fault::new(
            format!("expected an interpreter command line, found {}", described(node)),
            "write python = \"/usr/bin/python3\" or python = [\"/usr/bin/env\", \"python3\"]",
        )
    })
}

/// The local interpreter or directory that has the upstream Mitogen package.
pub(super) fn mitogen_package(node: &Node) -> Result<PathBuf, Fault> {
    const FORM: &str = "write mitogen_package = \"/opt/venv/bin/python\": a local interpreter that has upstream \
                        Mitogen installed, or the directory of the package";
    match node.string().map(Path::new) {
        Some(path) if path.is_absolute() => Ok(path.to_owned()),
        Some(path) => Err(Fault::new(format!("`{}` is not an absolute path", path.display()), FORM)),
        None => Err(Fault::new(format!("expected a path, found {}", described(node)), FORM)),
    }
}

/// A time limit: above zero, and no more than a day.
pub(super) fn timeout(node: &Node) -> Result<Duration, Fault> {
    seconds(node).ok_or_else(|| {
        Fault::new(
            format!("expected a number of seconds, found {}", described(node)),
            "write timeout = 30; at most 86400",
        )
    })
}

pub(super) fn forks(node: &Node) -> Result<usize, Fault> {
    let number = node.number().filter(|n| *n >= 1.0 && *n <= 100_000.0 && n.fract() == 0.0);
    // The number is whole and in range.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    number.map(|n| n as usize).ok_or_else(|| {
        Fault::new(
            format!("expected a number of targets, found {}", described(node)),
            "write forks = 50; at least 1",
        )
    })
}

const KEEPALIVE_FORMS: &str =
    "write keepalive = false, true, a number of seconds, or { interval = 15, count = 3 }";

/// The key `keepalive`: a boolean, a number of seconds, or a table of interval and count.
pub(super) fn keepalive(node: &Node) -> Result<Keepalive, Fault> {
    match &node.value {
        Value::Bool(true) => Ok(Keepalive::default()),
        Value::Bool(false) => Ok(Keepalive::OFF),
        Value::Integer(_) | Value::Float(_) => {
            Ok(Keepalive { interval: interval("", node)?, ..Keepalive::default() })
        }
        Value::Table(entries) => keepalive_table(entries),
        _ => Err(Fault::new(
            format!("expected a boolean, a number of seconds or a table, found {}", described(node)),
            KEEPALIVE_FORMS,
        )),
    }
}

fn keepalive_table(entries: &[KeyValue]) -> Result<Keepalive, Fault> {
    let mut found = Keepalive::default();
    for KeyValue { key, node, .. } in entries {
        match key.as_str() {
            "interval" => found.interval = interval("`interval`: ", node)?,
            "count" => found.count = count(node)?,
            other => return Err(Fault::new(format!("unknown key `{other}`"), KEEPALIVE_FORMS)),
        }
    }
    Ok(found)
}

fn interval(prefix: &str, node: &Node) -> Result<Duration, Fault> {
    seconds(node).ok_or_else(|| {
        Fault::new(
            format!(
                "{prefix}expected a number of seconds above 0 and at most 86400, found {}",
                described(node)
            ),
            KEEPALIVE_FORMS,
        )
    })
}

fn count(node: &Node) -> Result<u32, Fault> {
    let number = node.number().filter(|n| *n >= 1.0 && *n <= 1000.0 && n.fract() == 0.0);
    // The number is whole and in range.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    number.map(|n| n as u32).ok_or_else(|| {
        Fault::new(
            format!("`count`: expected a number of probes from 1 to 1000, found {}", described(node)),
            KEEPALIVE_FORMS,
        )
    })
}

/// A duration above zero and of no more than a day.
fn seconds(node: &Node) -> Option<Duration> {
    let seconds = node.number().filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A description of a value that is not the expected one.
pub(super) fn described(node: &Node) -> String {
    match node.number() {
        Some(number) => number.to_string(),
        None => match (node.string(), node.strings()) {
            (Some(string), _) if string.trim().is_empty() => "an empty string".to_owned(),
            (_, Some(strings)) if strings.is_empty() => "an empty array".to_owned(),
            _ => node.kind().to_owned(),
        },
    }
}
