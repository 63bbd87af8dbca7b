//! A copy of the upstream package: the sources of its modules, and what is computed of them once.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use thiserror::Error;

use mitogen_core::importer;
use mitogen_core::runtime::{Blob, ChildConfig};

use crate::config::last_line;
use crate::version::Version;

/// A module of an upstream package.
#[derive(Clone, Debug)]
pub struct UpstreamModule {
    text: Bytes,
    /// The names of the modules directly in it, if it is a package.
    submodules: Option<Vec<String>>,
    deflated: OnceLock<Bytes>,
}

impl UpstreamModule {
    /// The modules directly in it, if it is a package.
    pub fn submodules(&self) -> Option<&[String]> {
        self.submodules.as_deref()
    }

    /// The text as `LOAD_MODULE` carries it.
    pub fn deflated(&self) -> Bytes {
        self.deflated
            .get_or_init(|| {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(&self.text).expect("a Vec takes every byte");
                encoder.finish().expect("a Vec takes every byte").into()
            })
            .clone()
    }
}

/// Why a set of files is not a usable upstream package.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadPackage {
    /// A file that is part of every release is missing.
    #[error("`{path}` is missing")]
    Missing {
        /// Its path relative to the package's directory.
        path: &'static str,
    },
    /// `mitogen/__init__.py` does not contain the release's version.
    #[error("`__init__.py` has no line `__version__ = (major, minor, patch)`")]
    NoVersion,
    /// The release is too old.
    #[error("version {version} is too old: {} is the oldest that can be used", Version::OLDEST)]
    TooOld {
        /// Its version.
        version: Version,
    },
}

/// The user's own copy of Python Mitogen: the sources of its modules.
///
/// `mitogen::upstream::find` reads an installed one.
pub struct UpstreamPackage {
    version: Version,
    modules: BTreeMap<String, UpstreamModule>,
    core: DeflatedCore,
}

/// The deflated source of the core: the beginning of a zlib stream, and its checksum so far.
struct DeflatedCore {
    /// Begins with the header of a zlib stream.
    head: Blob,
    checksum: Adler,
}

impl fmt::Debug for UpstreamPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamPackage({})", self.version)
    }
}

impl PartialEq for UpstreamPackage {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
            && self.modules.len() == other.modules.len()
            && self.modules.iter().zip(&other.modules).all(|(a, b)| a.0 == b.0 && a.1.text == b.1.text)
    }
}

impl Eq for UpstreamPackage {}

impl UpstreamPackage {
    /// A package of `files`: paths relative to the directory `mitogen`, such as `parent.py` and
    /// `compat/__init__.py`, and their contents.
    ///
    /// # Errors
    /// See [`BadPackage`].
    pub fn new(files: BTreeMap<String, Bytes>) -> Result<Self, BadPackage> {
        let init = files.get("__init__.py").ok_or(BadPackage::Missing { path: "__init__.py" })?;
        let version = Version::of_init(&String::from_utf8_lossy(init)).ok_or(BadPackage::NoVersion)?;
        if version < Version::OLDEST {
            return Err(BadPackage::TooOld { version });
        }
        let core = files.get("core.py").ok_or(BadPackage::Missing { path: "core.py" })?;
        // As upstream does; line numbers stay the same. A source that is not Python is sent unchanged, and
        // the child reports it.
        let core = mitogen_minify::minimize_source(core).map_or_else(|_| core.clone(), Bytes::from);
        let core = DeflatedCore::new(&core);
        let mut modules: BTreeMap<String, UpstreamModule> = BTreeMap::new();
        for (path, text) in files {
            let Some(stem) = path.strip_suffix(".py") else { continue };
            let name = format!("mitogen.{}", stem.replace('/', "."));
            let (name, submodules) = match name.strip_suffix(".__init__") {
                Some(package) => (package.to_owned(), Some(Vec::new())),
                None => (name, None),
            };
            modules.insert(name, UpstreamModule { text, submodules, deflated: OnceLock::new() });
        }
        let names: Vec<String> = modules.keys().cloned().collect();
        for name in names {
            if let Some((package, own)) = name.rsplit_once('.')
                && let Some(submodules) = modules.get_mut(package).and_then(|m| m.submodules.as_mut())
            {
                submodules.push(own.to_owned());
            }
        }
        Ok(Self { version, modules, core })
    }

    /// The release's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The payload of the `LOAD_MODULE` message that carries the module `fullname`. `None` if the
    /// package has no module of this name.
    pub fn payload(&self, fullname: &str) -> Option<Bytes> {
        let module = self.module(fullname)?;
        let path = format!("{}.py", fullname.replace('.', "/"));
        Some(importer::payload(fullname, module.submodules(), &path, module.deflated(), &[]))
    }

    /// The module `fullname`, such as `mitogen.parent`.
    pub fn module(&self, fullname: &str) -> Option<&UpstreamModule> {
        self.modules.get(fullname)
    }

    /// What is written to a child's standard input first: a zlib stream without its end.
    pub(crate) fn head(&self) -> &Blob {
        &self.core.head
    }

    /// What is written after that: the end of the stream, with the configuration.
    pub(crate) fn tail(&self, config: &ChildConfig) -> Bytes {
        let line = last_line(config, self.version);
        let mut last = DeflateEncoder::new(Vec::new(), Compression::best());
        last.write_all(line.as_bytes()).expect("a Vec takes every byte");
        let last = last.finish().expect("a Vec takes every byte");
        let mut checksum = self.core.checksum;
        checksum.update(line.as_bytes());
        let mut out = BytesMut::with_capacity(last.len() + 4);
        out.put_slice(&last);
        out.put_u32(checksum.value());
        out.freeze()
    }
}

impl DeflatedCore {
    fn new(text: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("a Vec takes every byte");
        // Ends at a byte's boundary, so that more deflated data can follow.
        encoder.flush().expect("a Vec takes every byte");
        let mut checksum = Adler::default();
        checksum.update(text);
        let head = Blob::new([&[0x78, 0xda][..], encoder.get_ref()].concat());
        Self { head, checksum }
    }
}

/// The checksum at the end of a zlib stream (RFC 1950), which can be continued.
#[derive(Clone, Copy, Debug)]
struct Adler {
    a: u32,
    b: u32,
}

impl Default for Adler {
    fn default() -> Self {
        Self { a: 1, b: 0 }
    }
}

impl Adler {
    const MODULUS: u32 = 65_521;
    /// How many bytes can be added before the sums must be reduced.
    const RUN: usize = 5552;

    fn update(&mut self, data: &[u8]) {
        for run in data.chunks(Self::RUN) {
            for byte in run {
                self.a += u32::from(*byte);
                self.b += self.a;
            }
            self.a %= Self::MODULUS;
            self.b %= Self::MODULUS;
        }
    }

    fn value(self) -> u32 {
        self.b << 16 | self.a
    }
}
