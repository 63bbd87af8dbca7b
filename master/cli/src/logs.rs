//! Log records: which ones are printed to standard error, written to a file, and sent by children.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use mitogen_core::logging::{PidfulFile, python_level};
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

use crate::output::visible;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbosity {
    /// The level of standard error.
    shown: Level,
    /// The most detailed level of standard error and the file.
    wanted: Level,
}

impl Verbosity {
    /// `verbose` is the number of `-v` options; `file` is whether records also go to a file.
    pub fn new(verbose: u8, quiet: bool, file: bool) -> Self {
        let shown = match verbose {
            0 if quiet => Level::ERROR,
            0 => Level::WARN,
            1 => Level::INFO,
            2 => Level::DEBUG,
            _ => Level::TRACE,
        };
        Self { shown, wanted: if file { shown.max(Level::DEBUG) } else { shown } }
    }

    /// The levels of children's root, `mitogen` and `mitogen.io` loggers, so that they do not send records
    /// which would be discarded. `mitogen.io` logs every read and write, so it is one level less detailed.
    pub fn child_levels(self) -> [i64; 3] {
        let io = if self.wanted == Level::TRACE { Level::DEBUG } else { self.wanted.min(Level::INFO) };
        [python_level(self.wanted), python_level(self.wanted), python_level(io)]
    }

    /// Installs the log subscriber of this process.
    ///
    /// # Errors
    /// The directory for the file cannot be created.
    pub fn install(self, directory: Option<&Path>) -> io::Result<()> {
        let screen = tracing_subscriber::fmt::layer()
            .with_writer(|| VisibleRecord(io::stderr()))
            .without_time()
            .with_target(self.shown >= Level::DEBUG)
            .with_filter(LevelFilter::from_level(self.shown));
        let file = match directory {
            None => None,
            Some(directory) => {
                std::fs::create_dir_all(directory)?;
                let file = Mutex::new(PidfulFile::new(directory, "mitogen"));
                let level = LevelFilter::from_level(self.wanted);
                Some(tracing_subscriber::fmt::layer().with_writer(file).with_filter(level))
            }
        };
        let subscriber = tracing_subscriber::registry().with(screen).with(file);
        // Tests that use this crate as a library may have installed one already.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(())
    }
}

/// Writes records, one in each call, with their control characters shown: they may quote other machines.
struct VisibleRecord<W>(W);

impl<W: Write> Write for VisibleRecord<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        self.0.write_all(format!("{}\n", visible(line)).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line() {
        let mut out = Vec::new();
        VisibleRecord(&mut out).write_all(b" WARN child said: x\r\nmitogen: 5 ok\x1b[2J\n").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), " WARN child said: x\\r\\nmitogen: 5 ok\\u{1b}[2J\n");
    }

    #[test]
    fn children_log_as_much_as_this_process_uses() {
        let levels = |verbose, quiet, file| Verbosity::new(verbose, quiet, file).child_levels();
        assert_eq!(levels(0, true, false), [40, 40, 40]);
        assert_eq!(levels(0, false, false), [30, 30, 30]);
        assert_eq!(levels(1, false, false), [20, 20, 20]);
        assert_eq!(levels(2, false, false), [10, 10, 20]);
        assert_eq!(levels(3, false, false), [5, 5, 10]);
        assert_eq!(levels(0, false, true), [10, 10, 20]);
    }
}
