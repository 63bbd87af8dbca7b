//! The C header and the Rust types are the same: a C program prints sizes, offsets and constants.

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use mitogen_plugin_abi::{ABI_MAJOR, ABI_MINOR, Buf, ERROR, MAGIC, OK, PANICKED, Plugin, Str};

/// The members of the types, with what Rust says about them.
fn offsets() -> Vec<(&'static str, &'static str, usize)> {
    vec![
        ("mitogen_str", "ptr", offset_of!(Str, ptr)),
        ("mitogen_str", "len", offset_of!(Str, len)),
        ("mitogen_buf", "ptr", offset_of!(Buf, ptr)),
        ("mitogen_buf", "len", offset_of!(Buf, len)),
        ("mitogen_buf", "free", offset_of!(Buf, free)),
        ("mitogen_plugin", "magic", offset_of!(Plugin, magic)),
        ("mitogen_plugin", "struct_size", offset_of!(Plugin, struct_size)),
        ("mitogen_plugin", "abi_major", offset_of!(Plugin, abi_major)),
        ("mitogen_plugin", "abi_minor", offset_of!(Plugin, abi_minor)),
        ("mitogen_plugin", "reserved", offset_of!(Plugin, reserved)),
        ("mitogen_plugin", "name", offset_of!(Plugin, name)),
        ("mitogen_plugin", "version", offset_of!(Plugin, version)),
        ("mitogen_plugin", "options", offset_of!(Plugin, options)),
        ("mitogen_plugin", "plan", offset_of!(Plugin, plan)),
    ]
}

#[test]
fn the_header_agrees_with_the_types() {
    let sizes = [
        ("mitogen_str", size_of::<Str>()),
        ("mitogen_buf", size_of::<Buf>()),
        ("mitogen_plugin", size_of::<Plugin>()),
    ];
    let constants = [
        ("MITOGEN_PLUGIN_MAGIC", i64::from(MAGIC)),
        ("MITOGEN_PLUGIN_ABI_MAJOR", i64::from(ABI_MAJOR)),
        ("MITOGEN_PLUGIN_ABI_MINOR", i64::from(ABI_MINOR)),
        ("MITOGEN_PLUGIN_OK", i64::from(OK)),
        ("MITOGEN_PLUGIN_ERROR", i64::from(ERROR)),
        ("MITOGEN_PLUGIN_PANICKED", i64::from(PANICKED)),
    ];
    let (mut source, mut expected) =
        ("#include <stdio.h>\n#include \"mitogen_plugin.h\"\nint main(void) {\n".to_owned(), String::new());
    for (name, size) in sizes {
        writeln!(source, "printf(\"{name} %zu\\n\", sizeof({name}));").unwrap();
        writeln!(expected, "{name} {size}").unwrap();
    }
    for (name, member, offset) in offsets() {
        writeln!(source, "printf(\"{name}.{member} %zu\\n\", offsetof({name}, {member}));").unwrap();
        writeln!(expected, "{name}.{member} {offset}").unwrap();
    }
    for (name, value) in constants {
        writeln!(source, "printf(\"{name} %lld\\n\", (long long){name});").unwrap();
        writeln!(expected, "{name} {value}").unwrap();
    }
    source.push_str("return 0; }\n");
    let directory = tempfile::tempdir().unwrap();
    let (file, program) = (directory.path().join("header.c"), directory.path().join("header"));
    std::fs::write(&file, source).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(include)
        .arg("-o")
        .arg(&program)
        .arg(&file)
        .output()
        .expect("a C compiler, which the README requires");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), expected);
}
