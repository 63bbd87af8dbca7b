//! A child's configuration, and its pickle.

use serde::{Deserialize, Serialize};

/// What a new child is told about itself (protocol 5.6). Serialized names are the wire's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildConfig {
    /// The child's id.
    pub context_id: u32,
    /// Its ancestors' ids, nearest first; the last is the master's, 0.
    pub parent_ids: Vec<u32>,
    /// The context's name, such as `ssh.web1`.
    pub name: String,
    /// Whether the user asked for debugging.
    pub debug: bool,
    /// Whether siblings may not talk to each other (protocol 4.9).
    pub unidirectional: bool,
    /// The largest payload accepted, in bytes.
    pub max_message_size: u64,
    /// Levels of the loggers root, `mitogen` and `mitogen.io`.
    pub log_levels: [i64; 3],
    /// The protocol's version.
    pub version: (u32, u32, u32),
    /// Module name prefixes that are fetched even when present locally; when not empty, the only ones served.
    #[serde(default)]
    pub import_overrides: Vec<String>,
    /// Module name prefixes that are never fetched.
    #[serde(default)]
    pub import_blocks: Vec<String>,
}

impl ChildConfig {
    /// The configuration of a context with everything else at its default.
    pub fn new(context_id: u32, parent_ids: Vec<u32>, name: impl Into<String>) -> Self {
        Self {
            context_id,
            parent_ids,
            name: name.into(),
            debug: false,
            unidirectional: false,
            max_message_size: 128 << 20,
            log_levels: [30, 30, 30],
            version: (0, 3, 54),
            import_overrides: Vec::new(),
            import_blocks: Vec::new(),
        }
    }

    /// A protocol 2 pickle of the configuration as a dict with text keys, without what a child
    /// takes for granted (`core/python/core/main.py`). It is written by hand, so that this room
    /// needs no other.
    pub(crate) fn to_pickle(&self) -> Vec<u8> {
        let usual = Self::new(self.context_id, Vec::new(), "");
        let mut out = vec![0x80, 2, b'}', b'('];
        put_text(&mut out, "context_id");
        put_int(&mut out, i64::from(self.context_id));
        put_text(&mut out, "parent_ids");
        put_list(&mut out, &self.parent_ids, |out, id| put_int(out, i64::from(*id)));
        put_text(&mut out, "name");
        put_text(&mut out, &self.name);
        for (name, value, usual) in [
            ("debug", self.debug, usual.debug),
            ("unidirectional", self.unidirectional, usual.unidirectional),
        ] {
            if value != usual {
                put_text(&mut out, name);
                out.push(if value { 0x88 } else { 0x89 });
            }
        }
        if self.max_message_size != usual.max_message_size {
            put_text(&mut out, "max_message_size");
            put_int(&mut out, i64::try_from(self.max_message_size).unwrap_or(i64::MAX));
        }
        if self.log_levels != usual.log_levels {
            put_text(&mut out, "log_levels");
            put_list(&mut out, &self.log_levels, |out, level| put_int(out, *level));
        }
        if self.version != usual.version {
            put_text(&mut out, "version");
            put_int(&mut out, i64::from(self.version.0));
            put_int(&mut out, i64::from(self.version.1));
            put_int(&mut out, i64::from(self.version.2));
            out.push(0x87);
        }
        for (name, value) in
            [("import_overrides", &self.import_overrides), ("import_blocks", &self.import_blocks)]
        {
            if !value.is_empty() {
                put_text(&mut out, name);
                put_list(&mut out, value, |out, name| put_text(out, name));
            }
        }
        out.extend_from_slice(b"u.");
        out
    }
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
