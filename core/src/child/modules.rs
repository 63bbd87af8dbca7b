//! Our own Python modules that are sent on demand.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::compact::compact;

/// A module as a `LOAD_MODULE` message carries it.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedModule {
    /// Its full name.
    pub fullname: &'static str,
    /// The shrunk source as a zlib stream: the fourth field of `LOAD_MODULE`.
    pub source_deflated: &'static Bytes,
    /// The path to report, without the `master:` that children put before it.
    pub path: &'static str,
    /// Whether it is a package; none of ours is.
    pub is_pkg: bool,
    /// Full names of our own modules that it imports, which should travel ahead of it.
    pub related: &'static [&'static str],
}

struct Source {
    fullname: &'static str,
    path: &'static str,
    text: &'static str,
    related: &'static [&'static str],
}

const SOURCES: &[Source] = &[
    Source {
        fullname: "mitogen.api",
        path: "mitogen/api.py",
        text: include_str!("../../python/api.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.process",
        path: "mitogen/process.py",
        text: include_str!("../../python/process.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.command",
        path: "mitogen/command.py",
        text: include_str!("../../python/command.py"),
        related: &["mitogen.process"],
    },
    Source {
        fullname: "mitogen.files",
        path: "mitogen/files.py",
        text: include_str!("../../python/files.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.service",
        path: "mitogen/service.py",
        // One module in two files: the services, and those for files.
        text: concat!(
            include_str!("../../python/service.py"),
            "\n\n",
            include_str!("../../python/service_files.py")
        ),
        related: &["mitogen.api"],
    },
    Source {
        fullname: "mitogen.detach",
        path: "mitogen/detach.py",
        text: include_str!("../../python/detach.py"),
        related: &["mitogen.api"],
    },
    Source {
        fullname: "mitogen.dialogue",
        path: "mitogen/dialogue.py",
        text: include_str!("../../python/dialogue.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.routes",
        path: "mitogen/routes.py",
        text: include_str!("../../python/routes.py"),
        related: &["mitogen.process"],
    },
    Source {
        fullname: "mitogen.resources",
        path: "mitogen/resources.py",
        text: include_str!("../../python/resources.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.plan",
        path: "mitogen/plan.py",
        text: include_str!("../../python/plan.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.parent",
        path: "mitogen/parent.py",
        text: include_str!("../../python/parent.py"),
        related: &["mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes"],
    },
    Source {
        fullname: "mitogen.fork",
        path: "mitogen/fork.py",
        text: include_str!("../../python/fork.py"),
        related: &["mitogen.parent"],
    },
    Source {
        fullname: "mitogen.guest",
        path: "mitogen/guest.py",
        text: include_str!("../../python/guest.py"),
        related: &["mitogen.fork"],
    },
    Source {
        fullname: "mitogen.script",
        path: "mitogen/script.py",
        text: include_str!("../../python/script.py"),
        related: &["mitogen.command", "mitogen.fork"],
    },
];

/// The module of ours called `fullname`, such as `mitogen.parent`.
pub fn embedded_module(fullname: &str) -> Option<EmbeddedModule> {
    // Each when it is first sent: to deflate all of them takes longer than a command.
    static DEFLATED: [OnceLock<Bytes>; SOURCES.len()] = [const { OnceLock::new() }; SOURCES.len()];
    let index = SOURCES.iter().position(|source| source.fullname == fullname)?;
    let source = &SOURCES[index];
    Some(EmbeddedModule {
        fullname: source.fullname,
        source_deflated: DEFLATED[index].get_or_init(|| deflate(source.text)),
        path: source.path,
        is_pkg: false,
        related: source.related,
    })
}

/// What our own module `fullname` imports of ours; nothing, if there is none of this name.
pub fn embedded_related(fullname: &str) -> &'static [&'static str] {
    SOURCES.iter().find(|source| source.fullname == fullname).map_or(&[], |source| source.related)
}

fn deflate(text: &str) -> Bytes {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(compact(text).as_bytes()).expect("a Vec takes every byte");
    encoder.finish().expect("a Vec takes every byte").into()
}
