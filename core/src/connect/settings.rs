//! The settings of a child context.

use std::sync::Arc;
use std::time::Duration;

use crate::router::Keepalive;
use crate::runtime::Runtime;

/// What runs in a child, and how it is configured.
///
/// ```
/// # use mitogen_core as mitogen;
/// use std::time::Duration;
///
/// use mitogen::connect::ChildSettings;
/// use mitogen::runtime::Runtime;
///
/// /// `runtime` is usually `mitogen::Python`.
/// fn settings(runtime: impl Runtime + 'static) -> ChildSettings {
///     ChildSettings::new(runtime).timeout(Duration::from_secs(10)).import_blocks(["numpy"])
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildSettings {
    /// What runs in the child. A copy of a context runs what that context runs.
    pub runtime: Arc<dyn Runtime>,
    /// The name of the child's process in process lists on the remote host; `user@host:pid` of this
    /// process unless given.
    pub remote_name: Option<String>,
    /// Whether the child writes a debug log file of its own. Default: no.
    pub debug: bool,
    /// The effective levels of the child's loggers root, `mitogen` and `mitogen.io`, in Python's
    /// numbers. Default: 30, WARNING, as Python's own root logger. Records below the level are not sent.
    pub log_levels: [i64; 3],
    /// Prefixes of the names of modules that are always fetched from here.
    pub import_overrides: Vec<String>,
    /// Prefixes of the names of modules that are never fetched from here.
    pub import_blocks: Vec<String>,
    /// Keep-alive of the link; the transport's default unless given.
    pub keepalive: Option<Keepalive>,
    /// The time limit of the connection; `None` for the transport's.
    pub timeout: Option<Duration>,
}

impl ChildSettings {
    /// Children that run `runtime`, with everything else at its default.
    pub fn new(runtime: impl Runtime + 'static) -> Self {
        Self {
            runtime: Arc::new(runtime),
            remote_name: None,
            debug: false,
            log_levels: [30, 30, 30],
            import_overrides: Vec::new(),
            import_blocks: Vec::new(),
            keepalive: None,
            timeout: None,
        }
    }

    /// Sets what runs in the child.
    #[must_use]
    pub fn runtime(mut self, runtime: impl Runtime + 'static) -> Self {
        self.runtime = Arc::new(runtime);
        self
    }

    /// Sets the name of the child's process.
    #[must_use]
    pub fn remote_name(mut self, name: impl Into<String>) -> Self {
        self.remote_name = Some(name.into());
        self
    }

    /// Sets whether the child writes a debug log file.
    #[must_use]
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Sets the levels of the child's loggers root, `mitogen` and `mitogen.io`, in Python's numbers.
    #[must_use]
    pub fn log_levels(mut self, levels: [i64; 3]) -> Self {
        self.log_levels = levels;
        self
    }

    /// Sets the prefixes of the names of modules that are always fetched from here.
    #[must_use]
    pub fn import_overrides<I: IntoIterator<Item: Into<String>>>(mut self, prefixes: I) -> Self {
        self.import_overrides = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the prefixes of the names of modules that are never fetched from here.
    #[must_use]
    pub fn import_blocks<I: IntoIterator<Item: Into<String>>>(mut self, prefixes: I) -> Self {
        self.import_blocks = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the time limit for connecting.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the keep-alive of the link.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.keepalive = Some(keepalive);
        self
    }
}
