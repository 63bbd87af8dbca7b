//! Prints what the Python tests need to start children, as one JSON object: the arguments of the
//! interpreter, the command line that finds an interpreter, the runtime, its modules, and minified
//! versions of the files named as arguments. Byte strings are hexadecimal.
//!
//!     cargo run -q -p mitogen-python --example bootstrap_parts

use mitogen_core::runtime::{BootRequest, ChildConfig, Runtime as _};
use mitogen_python::{Python, command, embedded_module, minify, runtime};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn main() {
    let names = [
        "api",
        "process",
        "dialogue",
        "plan",
        "routes",
        "parent",
        "command",
        "resources",
        "fork",
        "script",
        "files",
        "service",
        "detach",
        "names",
        "master",
        "utils",
        "select",
        "os_fork",
        "minify",
        "unix",
        "debug",
        "ssh",
        "sudo",
    ]
    .map(|name| format!("mitogen.{name}"));
    let modules: serde_json::Map<_, _> = names
        .iter()
        .filter_map(|name| embedded_module(name))
        .map(|module| {
            let value = serde_json::json!({
                "source": hex(module.source_deflated),
                "path": module.path,
                "related": module.related,
            });
            (module.fullname.to_owned(), value)
        })
        .collect();
    let minified: serde_json::Map<_, _> = std::env::args()
        .skip(1)
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            Some((path, minify(&text).ok()?.into()))
        })
        .collect();
    let config = ChildConfig::new(1, vec![0], "local.1");
    let boot = Python::new().boot(&BootRequest::new(&config, "test")).expect("Python boots every context");
    let parts = serde_json::json!({
        "argv": &command(&["python".to_owned()], "test")[1..],
        "probe": command(&[], "test"),
        "runtime": hex(runtime().data()),
        "preamble": hex(&boot.preamble()),
        "modules": modules,
        "minified": minified,
    });
    println!("{parts}");
}
