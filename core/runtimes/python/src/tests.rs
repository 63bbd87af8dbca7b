//! Tests that need no interpreter. The others are in `python/tests`.

use mitogen_core::runtime::{Boot, BootRequest, ChildConfig, Runtime as _};

use super::sources::{EAGER, LAZY, SEPARATOR, join};
use super::*;
use crate::config::to_pickle;

fn boot(config: &ChildConfig) -> Boot {
    Python::with_interpreter(["python3"]).boot(&BootRequest::new(config, "root@web1")).expect("a boot")
}

#[test]
fn minifying_twice_changes_nothing() {
    for (name, text) in EAGER.iter().chain(LAZY) {
        let once = minify(text).expect("Python");
        assert_eq!(minify(&once).expect("Python"), once, "{name}");
        assert!(once.len() < text.len(), "{name}");
    }
}

#[test]
fn the_separator_occurs_once() {
    assert!(!join(EAGER).contains(SEPARATOR));
    assert!(!join(LAZY).contains(SEPARATOR));
    assert!(FIRST_STAGE.contains(&format!("split(b\"{SEPARATOR}\")")));
}

#[test]
fn the_preamble_is_the_runtime_and_a_pickle_with_its_length() {
    let config = ChildConfig::new(7, vec![3, 0], "ssh.web1");
    let sent = boot(&config).preamble();
    let (code, rest) = sent.split_at(runtime_size());
    assert_eq!(code, &runtime().data()[..]);
    let (length, pickle) = rest.split_at(4);
    assert_eq!(length, u32::try_from(pickle.len()).unwrap_or(0).to_be_bytes());
    assert_eq!((&pickle[..2], pickle.last()), (&[0x80, 2][..], Some(&b'.')));
}

#[test]
fn a_configuration_contains_only_values_that_differ_from_the_defaults() {
    let shown = |config: &ChildConfig| String::from_utf8_lossy(&to_pickle(config)).into_owned();
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
    let boot = boot(&ChildConfig::new(1, vec![0], "local.1"));
    let total = boot.argv.iter().map(String::len).sum::<usize>() + boot.preamble().len();
    assert!(total < 10_600, "{total} bytes");
}

#[test]
fn command_lines_contain_no_characters_that_login_shells_interpret() {
    let named = ["/usr/bin/env".to_owned(), "python3".to_owned()];
    for spec in [&[][..], &named] {
        for arg in command(spec, "it's!\n$(x)") {
            assert!(!arg.contains(['\n', '\'', '!']), "{arg:?}");
        }
    }
    let argv = command(&named, "a b");
    assert_eq!(&argv[..4], ["/usr/bin/env", "python3", "-S", "-c"]);
    assert_eq!(argv[5..], [runtime_size().to_string(), "mitogen:a_b".to_owned()]);
    assert_eq!(&command(&[], "x")[..2], ["/bin/sh", "-c"]);
}

#[test]
fn modules_are_found_with_their_related_modules() {
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
