//! The modules of the runtime that only some children need. They are sent on demand.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use mitogen_core::importer;

/// A module as a `LOAD_MODULE` message carries it.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedModule {
    /// Its full name.
    pub fullname: &'static str,
    /// The minified source as a zlib stream: the fourth field of `LOAD_MODULE`.
    pub source_deflated: &'static Bytes,
    /// The path that the module reports, without the prefix `master:` that children add.
    pub path: &'static str,
    /// Full names of the runtime's modules that it imports, which should be sent before it.
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
        text: include_str!("../python/api.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.process",
        path: "mitogen/process.py",
        text: include_str!("../python/process.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.command",
        path: "mitogen/command.py",
        text: include_str!("../python/command.py"),
        related: &["mitogen.process"],
    },
    Source {
        fullname: "mitogen.files",
        path: "mitogen/files.py",
        text: include_str!("../python/files.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.service",
        path: "mitogen/service.py",
        // One module in two files: the services, and those for files.
        text: concat!(
            include_str!("../python/service.py"),
            "\n\n",
            include_str!("../python/service_files.py")
        ),
        related: &["mitogen.api"],
    },
    Source {
        fullname: "mitogen.detach",
        path: "mitogen/detach.py",
        text: include_str!("../python/detach.py"),
        related: &["mitogen.api"],
    },
    Source {
        fullname: "mitogen.dialogue",
        path: "mitogen/dialogue.py",
        text: include_str!("../python/dialogue.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.routes",
        path: "mitogen/routes.py",
        text: include_str!("../python/routes.py"),
        related: &["mitogen.process"],
    },
    Source {
        fullname: "mitogen.resources",
        path: "mitogen/resources.py",
        text: include_str!("../python/resources.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.plan",
        path: "mitogen/plan.py",
        text: include_str!("../python/plan.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.parent",
        path: "mitogen/parent.py",
        text: include_str!("../python/parent.py"),
        related: &["mitogen.process", "mitogen.dialogue", "mitogen.plan", "mitogen.routes"],
    },
    Source {
        fullname: "mitogen.dial",
        path: "mitogen/dial.py",
        text: include_str!("../python/dial.py"),
        related: &["mitogen.parent"],
    },
    Source {
        fullname: "mitogen.fork",
        path: "mitogen/fork.py",
        text: include_str!("../python/fork.py"),
        related: &["mitogen.parent"],
    },
    Source {
        fullname: "mitogen.scoped",
        path: "mitogen/scoped.py",
        text: include_str!("../python/scoped.py"),
        related: &["mitogen.fork"],
    },
    Source {
        fullname: "mitogen.script",
        path: "mitogen/script.py",
        text: include_str!("../python/script.py"),
        related: &["mitogen.command", "mitogen.fork"],
    },
    // Names of upstream Mitogen that programs use.
    Source {
        fullname: "mitogen.names",
        path: "mitogen/names.py",
        text: include_str!("../python/upstream/names.py"),
        related: &["mitogen.api"],
    },
    Source {
        fullname: "mitogen.master",
        path: "mitogen/master.py",
        text: include_str!("../python/upstream/master.py"),
        related: &["mitogen.names"],
    },
    Source {
        fullname: "mitogen.utils",
        path: "mitogen/utils.py",
        text: include_str!("../python/upstream/utils.py"),
        related: &["mitogen.api"],
    },
    Source {
        fullname: "mitogen.select",
        path: "mitogen/select.py",
        text: include_str!("../python/upstream/select.py"),
        related: &["mitogen.names"],
    },
    Source {
        fullname: "mitogen.os_fork",
        path: "mitogen/os_fork.py",
        text: include_str!("../python/upstream/os_fork.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.minify",
        path: "mitogen/minify.py",
        text: include_str!("../python/upstream/minify.py"),
        related: &["mitogen.names"],
    },
    Source {
        fullname: "mitogen.unix",
        path: "mitogen/unix.py",
        text: include_str!("../python/upstream/unix.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.debug",
        path: "mitogen/debug.py",
        text: include_str!("../python/upstream/debug.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.ssh",
        path: "mitogen/ssh.py",
        text: include_str!("../python/upstream/method.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.sudo",
        path: "mitogen/sudo.py",
        text: include_str!("../python/upstream/method.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.su",
        path: "mitogen/su.py",
        text: include_str!("../python/upstream/method.py"),
        related: &[],
    },
    Source {
        fullname: "mitogen.doas",
        path: "mitogen/doas.py",
        text: include_str!("../python/upstream/method.py"),
        related: &[],
    },
];

/// The module of the runtime called `fullname`, such as `mitogen.parent`. `None` if it is not one of
/// those that are sent on demand.
pub fn embedded_module(fullname: &str) -> Option<EmbeddedModule> {
    // Each is deflated when first sent: deflating all of them takes longer than running a command.
    static DEFLATED: [OnceLock<Bytes>; SOURCES.len()] = [const { OnceLock::new() }; SOURCES.len()];
    let index = SOURCES.iter().position(|source| source.fullname == fullname)?;
    let source = &SOURCES[index];
    Some(EmbeddedModule {
        fullname: source.fullname,
        source_deflated: DEFLATED[index].get_or_init(|| deflate(source.text)),
        path: source.path,
        related: source.related,
    })
}

impl EmbeddedModule {
    /// The payload of the `LOAD_MODULE` message that carries the module.
    pub fn payload(&self) -> Bytes {
        let related: Vec<String> = self.related.iter().map(|&name| name.to_owned()).collect();
        importer::payload(self.fullname, None, self.path, self.source_deflated.clone(), &related)
    }
}

/// `fullname` and the modules of the runtime that it imports, each after those that it imports itself.
/// Sent in this order, no import causes a request.
pub(crate) fn with_related(fullname: &'static str) -> Vec<&'static str> {
    fn collect(fullname: &'static str, found: &mut Vec<&'static str>) {
        let source = SOURCES.iter().find(|source| source.fullname == fullname);
        for related in source.map_or(&[][..], |source| source.related) {
            collect(related, found);
        }
        if !found.contains(&fullname) {
            found.push(fullname);
        }
    }
    let mut found = Vec::new();
    collect(fullname, &mut found);
    found
}

/// Minifies a program: removes comments, docstrings, blank lines and unneeded spaces. Apart from
/// docstrings, the syntax tree stays the same.
///
/// # Errors
/// `source` is not Python.
pub fn minify(source: &str) -> Result<String, mitogen_minify::Error> {
    mitogen_minify::compact(source)
}

fn deflate(text: &str) -> Bytes {
    let text = minify(text).expect("a test minifies every embedded source");
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).expect("a Vec takes every byte");
    encoder.finish().expect("a Vec takes every byte").into()
}
