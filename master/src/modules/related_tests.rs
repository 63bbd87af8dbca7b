//! Relations as data: modules by name, and what belongs to one of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{MAX_RELATED, Module, ModuleError, Related, related};

/// Modules by name; a package's name ends in a dot, an extension module's source is `.so`.
struct Modules(BTreeMap<&'static str, &'static str>);

impl Modules {
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        let package = format!("{fullname}.");
        let (source, is_package) = match (self.0.get(package.as_str()), self.0.get(fullname)) {
            (Some(source), _) => (source, true),
            (None, Some(source)) => (source, false),
            (None, None) => return Ok(None),
        };
        if *source == ".so" {
            return Err(ModuleError::Extension { fullname: fullname.to_owned(), path: PathBuf::new() });
        }
        let direct = |name: &&&str| {
            let rest = name.trim_end_matches('.').strip_prefix(&package);
            rest.filter(|rest| !rest.contains('.')).map(str::to_owned)
        };
        Ok(Some(Module {
            fullname: fullname.to_owned(),
            path: String::new(),
            source: source.as_bytes().into(),
            submodules: is_package.then(|| self.0.keys().filter_map(|name| direct(&name)).collect()),
        }))
    }
}

/// Needed, deferred, missing.
#[track_caller]
fn check<const N: usize>(modules: [(&'static str, &'static str); N], rows: &[(&str, [&str; 3])]) {
    let modules = Modules(modules.into());
    for (fullname, expected) in rows {
        let Related { needed, deferred, missing } = related(fullname, |name| {
            assert!(!matches!(name, "os" | "sys" | "__main__") || name == *fullname, "asked for {name}");
            modules.find(name)
        });
        assert_eq!([needed, deferred, missing].map(|names| names.join(" ")), *expected, "{fullname}");
    }
}

#[test]
fn packages_come_before_their_members() {
    check(
        [
            ("p.", "from . import a\nimport os"),
            ("p.a", "from .sub import deep, CONSTANT\nimport p.b"),
            ("p.b", "import sys, __main__"),
            ("p.sub.", ""),
            ("p.sub.deep", "from .. import b"),
            ("p.unused", ""),
        ],
        &[
            ("p", ["p.sub p.b p.sub.deep p.a", "", ""]),
            ("p.a", ["p p.sub p.b p.sub.deep", "", ""]),
            ("p.b", ["p p.sub p.sub.deep p.a", "", ""]),
            ("none", ["", "", ""]),
        ],
    );
}

#[test]
fn other_packages_come_before_their_importers() {
    check(
        [("m", "import x.y\nfrom z import *"), ("x.", ""), ("x.y", "import z"), ("z", "")],
        &[("m", ["x z x.y", "", ""]), ("z", ["", "", ""])],
    );
}

#[test]
fn imports_in_functions_come_after_those_of_modules() {
    check(
        [
            ("p.", "def f():\n  import p.a, q, r.s"),
            ("p.a", "import p.b, q\ndef g(): from p import c"),
            ("p.b", "import q.t"),
            ("p.c", ""),
            ("q.", ""),
            ("q.t", ""),
            ("m", "import p"),
        ],
        // Another top-level package is asked for when it comes to that.
        &[("p", ["", "p.b p.a p.c", ""]), ("m", ["p", "p.b p.a p.c", ""])],
    );
}

#[test]
fn missing_modules_are_requested_last() {
    check(
        [
            (
                "m",
                "import gone.a.b, os.path\ntry: import p.gone, p.fast\nexcept ImportError: pass\nimport six.moves.x",
            ),
            ("p.", "from . import attribute, fast\ndef f(): import unimportant"),
            ("p.fast", ".so"),
            ("six", ""),
        ],
        &[("m", ["p six", "", "gone p.fast p.gone"])],
    );
}

#[test]
fn python_2_looks_in_the_package_first() {
    check(
        [
            ("p.", "import helper, logging, other"),
            ("p.helper", "from q.r import x"),
            ("p.logging", ""),
            ("p.other", ""),
            ("other", ""),
            ("p.q.", ""),
            ("p.q.r", ""),
        ],
        &[("p", ["p.q p.q.r p.helper other", "", "helper q"])],
    );
}

#[test]
fn the_number_of_related_modules_is_limited() {
    let mut asked = 0;
    let found = related("m0", |name| {
        asked += 1;
        let number: usize = name.trim_start_matches('m').parse().unwrap();
        Ok(Some(Module {
            fullname: name.to_owned(),
            path: String::new(),
            source: format!("import m{}", number + 1).into(),
            submodules: None,
        }))
    });
    assert_eq!((asked, found.needed.len()), (MAX_RELATED, MAX_RELATED - 1));
    assert_eq!(found.missing, [""; 0]);
    assert_eq!(found.needed.last().map(String::as_str), Some("m1"));
}
