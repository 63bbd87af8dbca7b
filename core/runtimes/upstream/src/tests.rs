//! The bootstrap of an upstream child, without the upstream package: streams, sizes, names.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::ZlibDecoder;

use mitogen_core::runtime::{Boot, BootRequest, ChildConfig, Runtime};

use super::*;

fn files(init: &'static str, core: &'static str) -> BTreeMap<String, Bytes> {
    [
        ("__init__.py", init),
        ("core.py", core),
        ("parent.py", "p = 1\n"),
        ("compat/__init__.py", ""),
        ("compat/pkgutil.py", "u = 1\n"),
        ("README.txt", "not a module"),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), Bytes::from_static(text.as_bytes())))
    .collect()
}

fn package(core: &'static str) -> UpstreamPackage {
    UpstreamPackage::new(files("__version__ = (0, 3, 54)\n", core)).expect("a package")
}

#[test]
fn the_preamble_is_one_stream_and_the_command_line_names_its_size() {
    // Nothing to take away.
    let core = "x=1\ny=[\n2]\n";
    let package = package(core);
    let upstream = Upstream::new(Arc::new(package)).interpreter(["python3"]);
    for (id, overrides) in [(1, vec![]), (70_000, vec!["a'b\\\n".to_owned(), "app.x".to_owned()])] {
        let mut config = ChildConfig::new(id, vec![3, 0], "x");
        config.import_overrides = overrides;
        let boot: Boot =
            upstream.boot(&BootRequest::new(&config, "me@here/there")).expect("it can be started");
        let mut text = String::new();
        ZlibDecoder::new(&boot.preamble()[..]).read_to_string(&mut text).expect("a sound stream");
        let (start, last) = text.trim_end().rsplit_once('\n').expect("two lines at least");
        assert_eq!(start, core, "the core is whole");
        assert!(last.starts_with("ExternalContext({") && last.ends_with("}).main()"), "{last}");
        assert!(last.contains(&format!("'context_id':{id},'parent_ids':[3, 0],")), "{last}");
        assert_eq!(boot.argv[1], "-c");
        assert_eq!(boot.argv[3], boot.preamble().len().to_string());
        assert_eq!(boot.argv[4], "mitogen:me@here_there");
    }
}

#[test]
fn the_first_stage_contains_no_characters_that_shells_interpret() {
    assert!(!FIRST_STAGE.contains(['\n', '\'', '!']));
}

#[test]
fn names_in_the_configuration_cannot_end_their_literals() {
    let mut config = ChildConfig::new(1, vec![0], "x");
    config.import_blocks = vec!["a']}),evil(".to_owned()];
    let line = config::last_line(&config, Version(0, 3, 54));
    assert!(line.contains(r"'import_blocks':['a\x27\x5d\x7d\x29\x2cevil\x28']"), "{line}");
}

#[test]
fn modules_are_found_by_name() {
    let package = package("");
    assert!(package.module("mitogen.parent").is_some_and(|module| module.submodules().is_none()));
    let compat = package.module("mitogen.compat").expect("a package");
    assert_eq!(compat.submodules(), Some(&["pkgutil".to_owned()][..]));
    assert!(package.module("mitogen.README").is_none());
    let mut text = String::new();
    let deflated = package.module("mitogen.parent").expect("it is there").deflated();
    ZlibDecoder::new(&deflated[..]).read_to_string(&mut text).expect("a sound stream");
    assert_eq!(text, "p = 1\n");
}

#[test]
fn versions_are_parsed_and_checked() {
    let rows = [
        ("__version__ = (0, 3, 54)\n", Ok(Version(0, 3, 54))),
        ("#: doc\n__version__ = (0, 3, 9, 'dev')\n", Ok(Version(0, 3, 9))),
        ("__version__ = (0, 2, 10)\n", Err(BadPackage::TooOld { version: Version(0, 2, 10) })),
        ("__version__ = '0.3.54'\n", Err(BadPackage::NoVersion)),
        ("", Err(BadPackage::NoVersion)),
    ];
    for (init, expected) in rows {
        assert_eq!(
            UpstreamPackage::new(files(init, "")).map(|package| package.version()),
            expected,
            "{init}"
        );
    }
    let mut without = files("__version__ = (0, 3, 54)\n", "");
    without.remove("core.py");
    assert_eq!(UpstreamPackage::new(without), Err(BadPackage::Missing { path: "core.py" }));
    assert!(Version(0, 3, 38).legacy_encoding_only() && !Version(0, 3, 39).legacy_encoding_only());
}
