//! A stock package: the texts of its modules, and what is made of them once.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use thiserror::Error;

use super::config::last_line;
use crate::child::ChildConfig;

/// A release of stock Mitogen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The oldest release that can be a child of ours.
    pub const OLDEST: Self = Self(0, 3, 0);
    /// The first release that tells pickles from plain bytes in a frame's header; those before it
    /// take anything but the one old value for a corrupt stream.
    pub const FIRST_WITH_ENCODINGS: Self = Self(0, 3, 39);

    /// Whether a link to it may carry nothing but the old header.
    pub fn legacy_encoding_only(self) -> bool {
        self < Self::FIRST_WITH_ENCODINGS
    }

    /// Reads what `mitogen/__init__.py` says: `__version__ = (0, 3, 54)`, with or without more
    /// behind the third number.
    fn of_init(text: &str) -> Option<Self> {
        let line = text.lines().find(|line| line.starts_with("__version__"))?;
        let (_, tuple) = line.split_once('(')?;
        let mut numbers = tuple.split([',', ')']).map(str::trim).map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self(next()?, next()?, next()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A module of a stock package.
#[derive(Clone, Debug)]
pub struct StockModule {
    text: Bytes,
    /// For a package the names of the modules directly in it.
    submodules: Option<Vec<String>>,
    deflated: OnceLock<Bytes>,
}

impl StockModule {
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

/// Files that are no stock package that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadPackage {
    /// A file that every release has is not there.
    #[error("`{path}` is missing")]
    Missing {
        /// Its path in the package's directory.
        path: &'static str,
    },
    /// `mitogen/__init__.py` does not say which release it is.
    #[error("`__init__.py` has no line `__version__ = (major, minor, patch)`")]
    NoVersion,
    /// The release is older than we speak with.
    #[error("version {version} is too old: {} is the oldest that can be used", Version::OLDEST)]
    TooOld {
        /// What it is.
        version: Version,
    },
}

/// Stock Mitogen as its user has it: the texts of the package's modules.
pub struct StockPackage {
    version: Version,
    modules: BTreeMap<String, StockModule>,
    core: DeflatedCore,
}

/// The core's text deflated, to be gone on with, and its checksum so far.
struct DeflatedCore {
    /// With the header of a zlib stream before it.
    head: Bytes,
    checksum: Adler,
}

impl fmt::Debug for StockPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StockPackage({})", self.version)
    }
}

impl PartialEq for StockPackage {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
            && self.modules.len() == other.modules.len()
            && self.modules.iter().zip(&other.modules).all(|(a, b)| a.0 == b.0 && a.1.text == b.1.text)
    }
}

impl Eq for StockPackage {}

impl StockPackage {
    /// A package of these files: paths in the directory `mitogen`, such as `parent.py` and
    /// `compat/__init__.py`, with their contents.
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
        // As stock does; its lines stay where they are. What no Python would read goes as it is, for the
        // child to complain of.
        let core = mitogen_minify::minimize_source(core).map_or_else(|_| core.clone(), Bytes::from);
        let core = DeflatedCore::new(&core);
        let mut modules: BTreeMap<String, StockModule> = BTreeMap::new();
        for (path, text) in files {
            let Some(stem) = path.strip_suffix(".py") else { continue };
            let name = format!("mitogen.{}", stem.replace('/', "."));
            let (name, submodules) = match name.strip_suffix(".__init__") {
                Some(package) => (package.to_owned(), Some(Vec::new())),
                None => (name, None),
            };
            modules.insert(name, StockModule { text, submodules, deflated: OnceLock::new() });
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

    /// Which release it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The module `fullname`, such as `mitogen.parent`.
    pub fn module(&self, fullname: &str) -> Option<&StockModule> {
        self.modules.get(fullname)
    }

    /// What is written to a child's standard input first: a zlib stream that has not ended.
    pub(super) fn preamble_head(&self) -> Bytes {
        self.core.head.clone()
    }

    /// What is written behind that, ahead of the first frame.
    pub(super) fn preamble_tail(&self, config: &ChildConfig) -> Bytes {
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
        // Ends on a byte's boundary with the stream still open: another one can follow.
        encoder.flush().expect("a Vec takes every byte");
        let mut checksum = Adler::default();
        checksum.update(text);
        let head = [&[0x78, 0xda][..], encoder.get_ref()].concat().into();
        Self { head, checksum }
    }
}

/// The checksum that ends a zlib stream (RFC 1950), to be gone on with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adler {
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
    /// As many bytes as can be added before the sums must be reduced.
    const RUN: usize = 5552;

    pub(super) fn update(&mut self, data: &[u8]) {
        for run in data.chunks(Self::RUN) {
            for byte in run {
                self.a += u32::from(*byte);
                self.b += self.a;
            }
            self.a %= Self::MODULUS;
            self.b %= Self::MODULUS;
        }
    }

    pub(super) fn value(self) -> u32 {
        self.b << 16 | self.a
    }
}
