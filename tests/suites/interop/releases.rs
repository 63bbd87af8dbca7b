//! The releases of stock that are tested, each under interpreters that it knows.

use std::sync::Arc;

use mitogen::{ChildSettings, Context, Master, MasterOptions, PythonCore, PythonSpec, StockPackage, stock};
use mitogen_tests::{Python, StockVenv, pythons};

use crate::common::{connect_with, local, up};

/// Releases, and the newest interpreter that each is used under.
///
/// Every change of the protocol since 0.3.0 lies between two of them: 0.3.39 told encodings apart,
/// 0.3.41 changed byte strings and resources, 0.3.42 and later the configuration's keys, 0.3.54 checks
/// types exactly.
const RELEASES: [(&str, (u8, u8)); 8] = [
    ("0.3.3", (3, 9)),
    ("0.3.9", (3, 11)),
    ("0.3.22", (3, 12)),
    ("0.3.27", (3, 12)),
    ("0.3.35", (3, 13)),
    ("0.3.41", (3, 13)),
    ("0.3.48", (3, 13)),
    ("0.3.54", (3, 14)),
];

/// The first and the last, where Python 2 and the oldest Python 3 are tried, too.
const OLDEST: &str = "0.3.3";
const NEWEST: &str = "0.3.54";

/// A release of stock and an interpreter that has it.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) version: &'static str,
    python: Python,
    venv: StockVenv,
    pub(crate) package: Arc<StockPackage>,
}

impl Release {
    fn new(version: &'static str, python: Python) -> Self {
        let venv = StockVenv::version(&python, version).expect("it can be installed");
        let program = venv.python().to_string_lossy().into_owned();
        let package = stock::find(&[program]).expect("it is installed");
        assert_eq!(package.version().to_string(), version);
        Self { version, python, venv, package }
    }

    /// For messages: which one it is.
    pub(crate) fn name(&self) -> String {
        format!("{} under {}", self.version, self.python.version_text())
    }

    /// Whether it runs Python 2.
    pub(crate) fn is_python2(&self) -> bool {
        self.python.version.0 == 2
    }

    /// Settings of a child that runs its core.
    pub(crate) fn settings(&self) -> ChildSettings {
        // The interpreter itself: that stock is installed for it is not needed there.
        let argv = vec![self.python.path.to_string_lossy().into_owned()];
        let core = PythonCore::Stock(Arc::clone(&self.package));
        ChildSettings { python: PythonSpec { argv }, core, ..ChildSettings::default() }
    }

    /// Its own interpreter, in which stock can be imported.
    pub(crate) fn interpreter(&self) -> String {
        self.venv.python().to_string_lossy().into_owned()
    }

    /// A child that runs its core, on this machine.
    pub(crate) fn child(&self, master: &Master) -> Context {
        up(&connect_with(master, None, &local(), &self.settings()))
    }
}

/// The newest release under the newest interpreter that it knows.
pub(crate) fn newest() -> Release {
    of(NEWEST)
}

/// The oldest release, which knows one encoding only.
pub(crate) fn oldest() -> Release {
    of(OLDEST)
}

fn of(version: &'static str) -> Release {
    let (_, limit) = RELEASES.into_iter().find(|(name, _)| *name == version).expect("it is listed");
    Release::new(version, newest_python(limit))
}

fn newest_python(limit: (u8, u8)) -> Python {
    let known = |python: &Python| {
        let (major, minor, _) = python.version;
        major == 3 && (major, minor) <= limit
    };
    pythons().into_iter().rev().find(known).expect("an interpreter that it knows")
}

/// Runs `body` with every release under its newest interpreter; with the first and the last under
/// Python 2.7, and with the last under the oldest Python 3 that we support, where there are such.
pub(crate) fn each(body: impl Fn(&Release)) {
    for (version, limit) in RELEASES {
        body(&Release::new(version, newest_python(limit)));
    }
    let two = pythons().into_iter().find(|python| python.version.0 == 2 && python.is_supported());
    let three = pythons().into_iter().find(|python| python.version.0 == 3 && python.is_supported());
    if let Some(two) = two {
        body(&Release::new(OLDEST, two.clone()));
        body(&Release::new(NEWEST, two));
    }
    if let Some(three) = three {
        body(&Release::new(NEWEST, three));
    }
}

/// A master.
pub(crate) fn master() -> Master {
    Master::start(MasterOptions::default()).expect("a master starts")
}
