//! The key `keepalive`, which says for any method when a silent link is given up.

use std::time::Duration;

use mitogen_core::connect::Keepalive;

use super::super::document::{Entry, Node, Value};
use super::super::options::Fault;
use super::described;

const FORMS: &str = "write keepalive = false, true, a number of seconds, or { interval = 15, count = 3 }";

/// Whether and how a link is watched: a truth value, seconds, or a table of seconds and questions.
pub(super) fn keepalive(node: &Node) -> Result<Keepalive, Fault> {
    match &node.value {
        Value::Bool(true) => Ok(Keepalive::default()),
        Value::Bool(false) => Ok(Keepalive::OFF),
        Value::Integer(_) | Value::Float(_) => {
            Ok(Keepalive { interval: interval("this", node)?, ..Keepalive::default() })
        }
        Value::Table(entries) => table(entries),
        _ => Err(Fault::new(
            format!("this must be a truth value, a number of seconds or a table, not {}", described(node)),
            FORMS,
        )),
    }
}

fn table(entries: &[Entry]) -> Result<Keepalive, Fault> {
    let mut found = Keepalive::default();
    for Entry { key, node, .. } in entries {
        match key.as_str() {
            "interval" => found.interval = interval("`interval`", node)?,
            "count" => found.count = count(node)?,
            other => return Err(Fault::new(format!("`{other}` is nothing that a keep-alive has"), FORMS)),
        }
    }
    Ok(found)
}

/// Seconds: above zero, and no more than a day.
fn interval(what: &str, node: &Node) -> Result<Duration, Fault> {
    let seconds = node.number().filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0);
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        Fault::new(
            format!("{what} must be a number of seconds, above 0 and at most 86400, not {}", described(node)),
            FORMS,
        )
    })
}

fn count(node: &Node) -> Result<u32, Fault> {
    let number = node.number().filter(|n| *n >= 1.0 && *n <= 1000.0 && n.fract() == 0.0);
    // Checked to be a whole number in range.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    number.map(|n| n as u32).ok_or_else(|| {
        Fault::new(
            format!("`count` must be a number of questions from 1 to 1000, not {}", described(node)),
            FORMS,
        )
    })
}
