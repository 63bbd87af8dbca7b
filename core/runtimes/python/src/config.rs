//! The pickle of a child's configuration.

use mitogen_core::runtime::ChildConfig;

/// A protocol 2 pickle of the configuration as a dict with text keys. Entries with the default values of
/// `python/core/main.py` are omitted, to keep the start of a child small.
pub(crate) fn to_pickle(config: &ChildConfig) -> Vec<u8> {
    let default = ChildConfig::new(config.context_id, Vec::new(), "");
    let mut out = vec![0x80, 2, b'}', b'('];
    put_text(&mut out, "context_id");
    put_int(&mut out, i64::from(config.context_id));
    put_text(&mut out, "parent_ids");
    put_list(&mut out, &config.parent_ids, |out, id| put_int(out, i64::from(*id)));
    put_text(&mut out, "name");
    put_text(&mut out, &config.name);
    for (name, value, default) in [
        ("debug", config.debug, default.debug),
        ("unidirectional", config.unidirectional, default.unidirectional),
    ] {
        if value != default {
            put_text(&mut out, name);
            out.push(if value { 0x88 } else { 0x89 });
        }
    }
    if config.max_message_size != default.max_message_size {
        put_text(&mut out, "max_message_size");
        put_int(&mut out, i64::try_from(config.max_message_size).unwrap_or(i64::MAX));
    }
    if config.log_levels != default.log_levels {
        put_text(&mut out, "log_levels");
        put_list(&mut out, &config.log_levels, |out, level| put_int(out, *level));
    }
    if config.version != default.version {
        put_text(&mut out, "version");
        put_int(&mut out, i64::from(config.version.0));
        put_int(&mut out, i64::from(config.version.1));
        put_int(&mut out, i64::from(config.version.2));
        out.push(0x87);
    }
    for (name, value) in
        [("import_overrides", &config.import_overrides), ("import_blocks", &config.import_blocks)]
    {
        if !value.is_empty() {
            put_text(&mut out, name);
            put_list(&mut out, value, |out, name| put_text(out, name));
        }
    }
    out.extend_from_slice(b"u.");
    out
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).expect("names are far below 4 GiB");
    out.push(b'X');
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(small) = i32::try_from(value) {
        out.push(b'J');
        out.extend_from_slice(&small.to_le_bytes());
    } else {
        out.extend_from_slice(&[0x8a, 8]);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    out.extend_from_slice(b"](");
    for item in items {
        put(out, item);
    }
    out.push(b'e');
}
