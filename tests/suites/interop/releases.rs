//! The upstream releases that are tested, each under interpreters that it supports.

use std::sync::{Arc, Mutex, OnceLock};

use mitogen::{ChildSettings, Context, Master, MasterOptions, Upstream, UpstreamPackage, upstream};
use mitogen_tests::pythons::public_python;
use mitogen_tests::{Python, UpstreamVenv, pythons};

use crate::common::{connect_with, local, up};

/// Releases, each with the newest interpreter under which it is tested.
///
/// Every change of the protocol since 0.3.0 is between two of them: 0.3.39 distinguishes encodings, 0.3.41 changed byte
/// strings and resources, 0.3.42 and later the keys of the configuration, 0.3.54 checks types exactly.
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

/// How many are tested at the same time.
const AT_ONCE: usize = 3;

/// The first and the last release, which are also tested under Python 2 and the oldest Python 3.
const OLDEST: &str = "0.3.3";
const NEWEST: &str = "0.3.54";

/// An upstream release, and an interpreter that it supports.
#[derive(Debug)]
pub(crate) struct Release {
    python: Python,
    venv: UpstreamVenv,
    package: Arc<UpstreamPackage>,
}

impl Release {
    fn new(version: &str, python: Python) -> Self {
        let venv = UpstreamVenv::version(&python, version).expect("it can be installed");
        let package =
            upstream::find_in(&venv.modules().expect("a place for modules")).expect("it is installed");
        assert_eq!(package.version().to_string(), version);
        Self { python, venv, package }
    }

    /// A description for messages.
    fn name(&self) -> String {
        format!("upstream {} under Python {}", self.package.version(), self.python.version_text())
    }

    /// The interpreter that imports it.
    pub(crate) fn interpreter(&self) -> Vec<String> {
        vec![self.venv.python().to_string_lossy().into_owned()]
    }

    /// The package.
    pub(crate) fn package(&self) -> &UpstreamPackage {
        &self.package
    }

    /// Settings of a child that runs its core.
    pub(crate) fn settings(&self) -> ChildSettings {
        self.started_by(&[&self.base_interpreter()])
    }

    /// The interpreter itself, not that of the environment with the package.
    pub(crate) fn base_interpreter(&self) -> String {
        self.python.path.to_string_lossy().into_owned()
    }

    /// Settings of a child that runs its core and whose interpreter is this command line.
    pub(crate) fn started_by(&self, argv: &[&str]) -> ChildSettings {
        ChildSettings::new(Upstream::new(Arc::clone(&self.package)).interpreter(argv.iter().copied()))
    }

    /// A child that runs its core, on this machine.
    pub(crate) fn child(&self, master: &Master) -> Context {
        up(&connect_with(master, None, &local(), &self.settings()))
    }
}

/// The newest release under the newest interpreter that it supports.
pub(crate) fn newest() -> Release {
    of(NEWEST)
}

/// The newest release under an interpreter that every account can start.
pub(crate) fn newest_for_all_accounts() -> Release {
    Release::new(NEWEST, public_python().expect("an interpreter that any account may start"))
}

/// The oldest release, which can read only one encoding.
pub(crate) fn oldest() -> Release {
    of(OLDEST)
}

/// A release of the list, under the newest interpreter that it supports.
pub(crate) fn of(version: &'static str) -> Release {
    let (_, limit) = RELEASES.into_iter().find(|(name, _)| *name == version).expect("it is listed");
    Release::new(version, newest_python(limit))
}

/// Every interpreter of this machine, searched for once.
fn all_pythons() -> &'static [Python] {
    static ALL: OnceLock<Vec<Python>> = OnceLock::new();
    ALL.get_or_init(pythons)
}

fn newest_python(limit: (u8, u8)) -> Python {
    let known = |python: &&Python| {
        let (major, minor, _) = python.version;
        major == 3 && (major, minor) <= limit
    };
    all_pythons().iter().rev().find(known).expect("an interpreter that it knows").clone()
}

/// Runs `body` with every release under its newest interpreter; also the first and the last under Python 2.7, and the
/// last under the oldest supported Python 3, if they exist. Several run concurrently, because most of the time is spent
/// waiting.
pub(crate) fn each(body: impl Fn(&Release) + Sync) {
    let mut all: Vec<_> = RELEASES.iter().map(|(version, limit)| (*version, newest_python(*limit))).collect();
    let oldest_of = |major| {
        let is_meant = |python: &&Python| python.version.0 == major && python.is_supported();
        all_pythons().iter().find(is_meant).cloned()
    };
    all.extend(oldest_of(2).into_iter().flat_map(|two| [(OLDEST, two.clone()), (NEWEST, two)]));
    all.extend(oldest_of(3).map(|three| (NEWEST, three)));
    let queue = Mutex::new(all);
    let next = || queue.lock().expect("not poisoned").pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((version, python)) = next() {
                    let release = Release::new(version, python);
                    // Printed if the body panics.
                    eprintln!("{} begins", release.name());
                    body(&release);
                    eprintln!("{} ends", release.name());
                }
            });
        }
    });
}

/// A master.
pub(crate) fn master() -> Master {
    Master::start(MasterOptions::default()).expect("a master starts")
}
