//! Versions of Python Mitogen.

use std::fmt;

/// The version of a release of Python Mitogen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The oldest release that can be used.
    pub const OLDEST: Self = Self(0, 3, 0);
    /// The first release that distinguishes pickles from plain bytes in a frame's header. Older
    /// releases take any other value than the one for pickles for a corrupt stream.
    pub const FIRST_WITH_ENCODINGS: Self = Self(0, 3, 39);

    /// Whether the release accepts no other encoding in a frame's header than the one for pickles.
    pub fn legacy_encoding_only(self) -> bool {
        self < Self::FIRST_WITH_ENCODINGS
    }

    /// Reads the line `__version__ = (0, 3, 54)` of `mitogen/__init__.py`. The tuple may have more
    /// items.
    pub(crate) fn of_init(text: &str) -> Option<Self> {
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
