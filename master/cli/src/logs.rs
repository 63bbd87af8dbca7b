//! Where log records go: to standard error as much as was asked for, and into a file if wanted.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use mitogen_core::logging::{PidfulFile, python_level};
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loudness {
    /// What standard error shows.
    shown: Level,
    /// What anything of ours takes.
    wanted: Level,
}

impl Loudness {
    /// `verbose` is how often `-v` was given; `file` whether records go to a file, too.
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

    /// What children are told, for their root, `mitogen` and `mitogen.io` loggers: a record that
    /// nobody wants does not travel. The last one tells of every byte, so it is one step behind.
    pub fn child_levels(self) -> [i64; 3] {
        let io = if self.wanted == Level::TRACE { Level::DEBUG } else { self.wanted.min(Level::INFO) };
        [python_level(self.wanted), python_level(self.wanted), python_level(io)]
    }

    /// Begins to log.
    ///
    /// # Errors
    /// The directory for the file cannot be made.
    pub fn install(self, directory: Option<&Path>) -> io::Result<()> {
        let screen = tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
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
        // There is one already only where this is a library in somebody's tests.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_send_what_somebody_reads() {
        let levels = |verbose, quiet, file| Loudness::new(verbose, quiet, file).child_levels();
        assert_eq!(levels(0, true, false), [40, 40, 40]);
        assert_eq!(levels(0, false, false), [30, 30, 30]);
        assert_eq!(levels(1, false, false), [20, 20, 20]);
        assert_eq!(levels(2, false, false), [10, 10, 20]);
        assert_eq!(levels(3, false, false), [5, 5, 10]);
        assert_eq!(levels(0, false, true), [10, 10, 20]);
    }
}
