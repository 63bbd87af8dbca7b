//! Records the links of children: both directions are copied to files, and parsed as frames.

use std::path::Path;

use mitogen::ChildSettings;
use mitogen_core::wire::{FrameDecoder, Message};
use mitogen_python::runtime_size;
use tempfile::TempDir;

/// The links of children that are started with its settings are recorded.
pub(crate) struct FrameLog {
    dir: TempDir,
    argv: Vec<String>,
    settings: ChildSettings,
}

/// The frames of one link, in order.
#[derive(Debug)]
pub(crate) struct Link {
    /// From the parent to the child.
    pub(crate) down: Vec<Message>,
    /// From the child to the parent.
    pub(crate) up: Vec<Message>,
}

impl FrameLog {
    /// Records children that run `python`.
    pub(crate) fn new(python: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/frame_log.py");
        let python = python.to_string_lossy();
        let place = dir.path().to_string_lossy();
        let argv = [&python, "-S", "-E", script, &place, &python];
        let settings = super::started_by(&argv);
        let argv = argv.map(str::to_owned).to_vec();
        Self { dir, argv, settings }
    }

    /// The command line that starts such a child; the first stage's arguments are appended.
    #[allow(dead_code, reason = "not every suite that has this file writes profiles")]
    pub(crate) fn argv(&self) -> &[String] {
        &self.argv
    }

    pub(crate) fn settings(&self) -> &ChildSettings {
        &self.settings
    }

    /// The recorded links, in the order in which the children were started. Their contexts must have ended.
    pub(crate) fn links(&self) -> Vec<Link> {
        let mut pids: Vec<u32> = std::fs::read_dir(self.dir.path())
            .expect("the directory exists")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".in")?.parse().ok())
            .collect();
        pids.sort_unstable();
        pids.iter()
            .map(|pid| {
                let read =
                    |kind: &str| std::fs::read(self.dir.path().join(format!("{pid}.{kind}"))).expect(kind);
                Link { down: frames(after_preamble(&read("in"))), up: frames(after_marker(&read("out"))) }
            })
            .collect()
    }
}

/// The bytes after the runtime and the length-prefixed configuration.
fn after_preamble(data: &[u8]) -> &[u8] {
    let rest = &data[runtime_size()..];
    let length = u32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
    &rest[4 + length..]
}

/// The bytes after the marker of a child that is up.
fn after_marker(data: &[u8]) -> &[u8] {
    const UP: &[u8] = b"MITO002\n";
    let at = data.windows(UP.len()).position(|window| window == UP).expect("the child came up");
    &data[at + UP.len()..]
}

fn frames(data: &[u8]) -> Vec<Message> {
    let mut decoder = FrameDecoder::new(1 << 30);
    decoder.feed(data);
    let mut messages = Vec::new();
    while let Some(frame) = decoder.next_frame().expect("valid frames") {
        messages.push(frame.into_message());
    }
    messages
}
