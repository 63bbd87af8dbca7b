//! Plans and transcripts of the ssh transport.

use std::path::Path;

use mitogen_core::connect::ChildCommand;
use mitogen_core::connect::testing::{check_option_errors, check_transport};
use mitogen_python::interpreter_exits;
use serde_json::json;

use super::*;

#[test]
fn plans_and_transcripts_are_as_recorded() {
    let child =
        ChildCommand::new(["/bin/sh", "-c", "exec python3 -c 'x' \"$@\""]).with_exits(interpreter_exits());
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/transcripts/ssh");
    let count =
        check_transport(&kind(), &child, &directory).unwrap_or_else(|differences| panic!("{differences}"));
    assert!(count > 0);
}

#[test]
fn errors_name_the_option() {
    let table = [
        (json!({}), "hostname"),
        (json!({"hostname": "-oProxyCommand=x"}), "hostname"),
        (json!({"hostname": "a b"}), "hostname"),
        (json!({"hostname": "a", "username": ""}), "username"),
        (json!({"hostname": "a", "port": 0}), "port"),
        (json!({"hostname": "a", "port": 70000}), "port"),
        (json!({"hostname": "a", "check_host_keys": "maybe"}), "check_host_keys"),
        (json!({"hostname": "a", "ssh_args": "-v"}), "ssh_args"),
        (json!({"hostname": "a", "ssh_debug_level": 4}), "ssh_debug_level"),
        (json!({"hostname": "a", "passphrase": "x"}), "passphrase"),
        (json!({"hostname": "a", "prompt_host": "x"}), "prompt_host"),
        (json!({"hostname": "a", "compresion": true}), "compresion"),
    ];
    check_option_errors(&kind(), &table).unwrap_or_else(|difference| panic!("{difference}"));
}

#[test]
fn defaults_are_the_same_from_code_and_from_a_profile() {
    let read: Options = parse_options(METHOD, json!({"hostname": "web1"})).unwrap();
    assert_eq!(read, Options::new("web1"));
}
