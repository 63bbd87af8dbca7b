//! The payload of `FORWARD_LOG`: logger, level and text, separated by NULs.

use tracing::Level;

use crate::ids::ContextId;

/// A record that a child has logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedLog {
    /// The logger's dotted name.
    pub logger: String,
    /// The level, as a number of Python's `logging`.
    pub level: i64,
    /// The formatted text; it may contain newlines.
    pub text: String,
}

impl ForwardedLog {
    /// Reads a payload. `None` if it has not three fields or the level is no number.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let mut fields = data.splitn(3, |byte| *byte == 0);
        let logger = String::from_utf8_lossy(fields.next()?).into_owned();
        let level = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let text = String::from_utf8_lossy(fields.next()?).into_owned();
        Some(Self { logger, level, text })
    }
}

/// The `tracing` level that a Python level number means.
pub fn level_of(python: i64) -> Level {
    match python {
        40.. => Level::ERROR,
        30..40 => Level::WARN,
        20..30 => Level::INFO,
        10..20 => Level::DEBUG,
        _ => Level::TRACE,
    }
}

/// The Python level number that a `tracing` level means.
pub fn python_level(level: Level) -> i64 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        _ => 5,
    }
}

/// Emits a child's record as an event of target `mitogen::remote`, with the context and the logger
/// as fields.
pub fn emit(log: &ForwardedLog, context: ContextId, name: Option<&str>) {
    let name = name.unwrap_or("?");
    let (id, logger, text) = (context.0, log.logger.as_str(), log.text.as_str());
    // The level of a `tracing` event is fixed at compile time, hence one call for each.
    match level_of(log.level) {
        Level::ERROR => tracing::error!(target: "mitogen::remote", id, context = name, logger, "{text}"),
        Level::WARN => tracing::warn!(target: "mitogen::remote", id, context = name, logger, "{text}"),
        Level::INFO => tracing::info!(target: "mitogen::remote", id, context = name, logger, "{text}"),
        Level::DEBUG => tracing::debug!(target: "mitogen::remote", id, context = name, logger, "{text}"),
        _ => tracing::trace!(target: "mitogen::remote", id, context = name, logger, "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_parse() {
        let log = |logger: &str, level, text: &str| {
            Some(ForwardedLog { logger: logger.into(), level, text: text.into() })
        };
        let rows: &[(&[u8], Option<ForwardedLog>)] = &[
            (b"mitogen\x0030\0hello", log("mitogen", 30, "hello")),
            (b"a\x0010\0two\nlines\0and a NUL", log("a", 10, "two\nlines\0and a NUL")),
            (b"\xff\x0040\0\xfe", log("\u{fffd}", 40, "\u{fffd}")),
            (b"a\x00x\0text", None),
            (b"a\x0030", None),
            (b"", None),
        ];
        for (data, expected) in rows {
            assert_eq!(&ForwardedLog::parse(data), expected, "{data:?}");
        }
    }

    #[test]
    fn levels_convert_in_both_directions() {
        for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            assert_eq!(level_of(python_level(level)), level);
        }
        assert_eq!(level_of(50), Level::ERROR);
        assert_eq!(level_of(25), Level::INFO);
    }
}
