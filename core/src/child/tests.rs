//! What can be told without an interpreter; `core/python/tests` tells the rest.

use super::parts::{BOOT, CUT, REST, join};
use super::*;

#[test]
fn compaction_is_stable() {
    for (name, text) in BOOT.iter().chain(REST) {
        let once = compact(text);
        assert_eq!(compact(&once), once, "{name}");
        assert!(once.len() < text.len(), "{name}");
    }
}

#[test]
fn the_cut_stands_once() {
    assert!(!join(BOOT).contains(CUT));
    assert!(!join(REST).contains(CUT));
    assert!(STAGE.contains(&format!("split(b\"{CUT}\")")));
}

#[test]
fn the_preamble_is_the_runtime_and_a_counted_pickle() {
    let config = ChildConfig::new(7, vec![3, 0], "ssh.web1");
    let sent = preamble(&config);
    let (code, rest) = sent.split_at(runtime_size());
    assert_eq!(code, &runtime()[..]);
    let (length, pickle) = rest.split_at(4);
    assert_eq!(length, u32::try_from(pickle.len()).unwrap_or(0).to_be_bytes());
    assert_eq!((&pickle[..2], pickle.last()), (&[0x80, 2][..], Some(&b'.')));
}

#[test]
fn a_configuration_tells_what_is_not_as_usual() {
    let shown = |config: &ChildConfig| String::from_utf8_lossy(&config.to_pickle()).into_owned();
    let mut config = ChildConfig::new(7, vec![3, 0], "ssh.web1");
    let keys = [
        "debug",
        "unidirectional",
        "max_message_size",
        "log_levels",
        "version",
        "import_overrides",
        "import_blocks",
    ];
    assert!(["context_id", "parent_ids", "name"].iter().all(|key| shown(&config).contains(key)));
    assert!(!keys.iter().any(|key| shown(&config).contains(key)));
    config.debug = true;
    config.unidirectional = true;
    config.max_message_size = 1 << 40;
    config.log_levels = [10, 30, 30];
    config.version = (0, 3, 55);
    config.import_overrides = vec!["a".into()];
    config.import_blocks = vec!["b".into()];
    assert!(keys.iter().all(|key| shown(&config).contains(key)));
}

#[test]
fn the_start_of_a_child_stays_small() {
    let argv: usize = python_argv("python3", "root@web1").iter().map(String::len).sum();
    let total = argv + preamble(&ChildConfig::new(1, vec![0], "local.1")).len();
    assert!(total < 10_600, "{total} bytes");
}

#[test]
fn command_lines_have_nothing_that_a_login_shell_would_take() {
    let named = PythonSpec { argv: vec!["/usr/bin/env".into(), "python3".into()] };
    for spec in [PythonSpec::default(), named.clone()] {
        for arg in command(&spec, "it's!\n$(x)") {
            assert!(!arg.contains(['\n', '\'', '!']), "{arg:?}");
        }
    }
    let argv = command(&named, "a b");
    assert_eq!(&argv[..4], ["/usr/bin/env", "python3", "-S", "-c"]);
    assert_eq!(argv[5..], [runtime_size().to_string(), "mitogen:a_b".to_owned()]);
    assert_eq!(&command(&PythonSpec::default(), "x")[..2], ["/bin/sh", "-c"]);
}

#[test]
fn modules_are_found_with_what_they_need() {
    let parent = embedded_module("mitogen.parent").expect("it is in the table");
    assert_eq!(parent.path, "mitogen/parent.py");
    for name in parent.related {
        assert!(embedded_module(name).is_some(), "{name}");
    }
    assert!(embedded_module("mitogen.core").is_none());
    let mut text = String::new();
    let mut zlib = flate2::read::ZlibDecoder::new(&parent.source_deflated[..]);
    std::io::Read::read_to_string(&mut zlib, &mut text).expect("what we deflated inflates");
    assert!(text.contains("def on_run_plan(msg):"));
}
