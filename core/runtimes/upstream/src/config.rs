//! The configuration of an upstream child: the last line of its program, a Python literal
//! (docs/protocol.md, Configuration).
//!
//! Releases differ in three keys. Each ignores the keys that it does not know, so all are sent.

use std::fmt::Write;

use mitogen_core::runtime::ChildConfig;

use crate::version::Version;

/// The call at the end of the program. The upstream core removes exactly one line from its source, so
/// this is one line.
pub(crate) fn last_line(config: &ChildConfig, version: Version) -> String {
    let Version(major, minor, patch) = version;
    let [root, mitogen, io] = config.log_levels;
    let overrides = texts(&config.import_overrides);
    let blocks = texts(&config.import_blocks);
    let mut out = String::from("\nExternalContext({");
    let mut put = |key: &str, value: &dyn std::fmt::Display| {
        // Writing to a string cannot fail.
        let _ = write!(out, "'{key}':{value},");
    };
    put("context_id", &config.context_id);
    put("parent_ids", &format_args!("{:?}", config.parent_ids));
    put("debug", &truth(config.debug));
    put("profiling", &truth(false));
    put("unidirectional", &truth(config.unidirectional));
    put("max_message_size", &config.max_message_size);
    put("version", &format_args!("({major},{minor},{patch})"));
    put("log_levels", &format_args!("[{root},{mitogen},{io}]"));
    put("import_overrides", &overrides);
    put("import_blocks", &blocks);
    // Until 0.3.41.
    put("log_level", &root);
    put("whitelist", &overrides);
    put("blacklist", &blocks);
    out.push_str("}).main()\n");
    out
}

fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

fn texts(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
    format!("[{}]", quoted.join(","))
}

/// A string literal that Python 2 and 3 read alike. Every special character is escaped, so that a module
/// name cannot end the literal and be executed.
fn quote(text: &str) -> String {
    let mut out = String::from("'");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('\'');
    out
}
