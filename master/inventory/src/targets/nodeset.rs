//! Node sets: expanding `web[01-20,25].x[1-2]` to names.

use std::collections::HashSet;
use std::fmt;

use thiserror::Error;

/// The largest number of names in one node set or targets in one selection.
pub const MAX_NODES: usize = 100_000;

/// Longer runs of digits are treated as text: they would not fit an integer.
pub(super) const MAX_DIGITS: usize = 18;

/// What is wrong with a node set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NodeSetError {
    /// The node set is empty.
    #[error("empty name")]
    Empty,
    /// A `[` without its `]`, or a `]` without its `[`.
    #[error("`{0}`: unbalanced bracket; write ranges as `[1-5,9]`")]
    Unbalanced(String),
    /// A bracket that contains something other than ranges.
    #[error("`{text}`: invalid range `{range}`; write ranges as `[1-5,9]` or `[01-20]`")]
    BadRange {
        /// The whole node set.
        text: String,
        /// The invalid range.
        range: String,
    },
    /// The end of a range is below its start.
    #[error("`{text}`: the start of the range `{range}` is above its end")]
    Backwards {
        /// The whole node set.
        text: String,
        /// The invalid range.
        range: String,
    },
    /// Start and end of a range are padded with zeros to different widths.
    #[error("`{text}`: the ends of the range `{range}` have different widths; pad both, as in `[001-100]`")]
    Padding {
        /// The whole node set.
        text: String,
        /// The invalid range.
        range: String,
    },
    /// More than [`MAX_NODES`] names.
    #[error("`{0}` expands to more than {MAX_NODES} names; use fewer at once")]
    TooMany(String),
}

/// A range of numbers, such as `01-20` or `1-9/2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u64,
    last: u64,
    step: u64,
    /// Numbers are padded with zeros to this many digits; 0 for none.
    width: usize,
}

impl Range {
    fn len(self) -> u64 {
        (self.last - self.first) / self.step + 1
    }

    fn numbers(self) -> impl Iterator<Item = String> {
        let width = self.width;
        (0..self.len()).map(move |n| format!("{:0width$}", self.first + n * self.step))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Ranges(Vec<Range>),
}

/// A parsed node set.
///
/// ```
/// use mitogen_inventory::targets::NodeSet;
///
/// let set = NodeSet::parse("web[08-10].example.org")?;
/// assert_eq!(set.count(), 3);
/// assert_eq!(set.expand()?[2], "web10.example.org");
/// # Ok::<(), mitogen_inventory::targets::NodeSetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSet {
    text: String,
    parts: Vec<Part>,
}

impl NodeSet {
    /// Parses a node set. A name without brackets is one, too. A bracket that contains a colon, as in
    /// the IPv6 address `[::1]`, is plain text.
    ///
    /// # Errors
    /// Unbalanced brackets and invalid ranges.
    pub fn parse(text: &str) -> Result<Self, NodeSetError> {
        if text.is_empty() {
            return Err(NodeSetError::Empty);
        }
        let unbalanced = || NodeSetError::Unbalanced(text.to_owned());
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['[', ']']) {
            if rest[at..].starts_with(']') {
                return Err(unbalanced());
            }
            let end = at + rest[at..].find(']').ok_or_else(unbalanced)?;
            let inside = &rest[at + 1..end];
            if inside.contains('[') {
                return Err(unbalanced());
            }
            plain.push_str(&rest[..at]);
            if inside.contains(':') {
                plain.push_str(&rest[at..=end]);
            } else {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                let ranges = inside.split(',').map(|range| parse_range(text, range.trim()));
                parts.push(Part::Ranges(ranges.collect::<Result<_, _>>()?));
            }
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The number of names, with repetitions.
    pub fn count(&self) -> u64 {
        self.parts.iter().fold(1, |product: u64, part| match part {
            Part::Text(_) => product,
            Part::Ranges(ranges) => product
                .saturating_mul(ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.len()))),
        })
    }

    /// The names, each once, in an order in which the last bracket changes fastest.
    ///
    /// # Errors
    /// More than [`MAX_NODES`] names.
    pub fn expand(&self) -> Result<Vec<String>, NodeSetError> {
        if self.count() > MAX_NODES as u64 {
            return Err(NodeSetError::TooMany(self.text.clone()));
        }
        let mut names = vec![String::new()];
        for part in &self.parts {
            names = match part {
                Part::Text(text) => {
                    names.iter_mut().for_each(|name| name.push_str(text));
                    names
                }
                Part::Ranges(ranges) => {
                    let numbers: Vec<String> = ranges.iter().flat_map(|range| range.numbers()).collect();
                    names.iter().flat_map(|name| numbers.iter().map(move |n| format!("{name}{n}"))).collect()
                }
            };
        }
        let mut seen = HashSet::with_capacity(names.len());
        names.retain(|name| seen.insert(name.clone()));
        Ok(names)
    }
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Parses and expands a node set.
///
/// # Errors
/// As [`NodeSet::parse`] and [`NodeSet::expand`].
pub fn expand(text: &str) -> Result<Vec<String>, NodeSetError> {
    NodeSet::parse(text)?.expand()
}

fn parse_range(text: &str, range: &str) -> Result<Range, NodeSetError> {
    let bad = || NodeSetError::BadRange { text: text.to_owned(), range: range.to_owned() };
    let number = |digits: &str| {
        let plain = digits.len() <= MAX_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        if plain { digits.parse::<u64>().map_err(|_| bad()) } else { Err(bad()) }
    };
    let (ends, step) = match range.split_once('/') {
        Some((ends, step)) => (ends, number(step)?),
        None => (range, 1),
    };
    let (from, to) = ends.split_once('-').unwrap_or((ends, ends));
    let (first, last) = (number(from)?, number(to)?);
    if step == 0 {
        return Err(bad());
    }
    if last < first {
        return Err(NodeSetError::Backwards { text: text.to_owned(), range: range.to_owned() });
    }
    let padding = |digits: &str| if digits.len() > 1 && digits.starts_with('0') { digits.len() } else { 0 };
    let width = padding(from);
    if padding(to) != 0 && padding(to) != width {
        return Err(NodeSetError::Padding { text: text.to_owned(), range: range.to_owned() });
    }
    // `[01-5]` could mean `[01-05]` or `[1-5]`.
    if width > to.len() {
        return Err(NodeSetError::Padding { text: text.to_owned(), range: range.to_owned() });
    }
    Ok(Range { first, last, step, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_expand() {
        let table: &[(&str, &[&str])] = &[
            ("web", &["web"]),
            ("web1", &["web1"]),
            ("web[1-3]", &["web1", "web2", "web3"]),
            ("web[08-11]", &["web08", "web09", "web10", "web11"]),
            ("web[98-101]", &["web98", "web99", "web100", "web101"]),
            ("web[099-101]", &["web099", "web100", "web101"]),
            ("web[1,3, 5]", &["web1", "web3", "web5"]),
            ("web[1-2].x[1-2]", &["web1.x1", "web1.x2", "web2.x1", "web2.x2"]),
            ("[1-2]a", &["1a", "2a"]),
            ("n[0-8/4]", &["n0", "n4", "n8"]),
            ("n[1,1-2]", &["n1", "n2"]),
            ("n[0]", &["n0"]),
            ("n[00-01]", &["n00", "n01"]),
            ("[::1]", &["[::1]"]),
            ("[fe80::[1-2]]x", &[]),
            ("a[1-2]@[::1]:22", &["a1@[::1]:22", "a2@[::1]:22"]),
        ];
        for (text, expected) in table {
            if expected.is_empty() {
                assert!(expand(text).is_err(), "{text}");
            } else {
                assert_eq!(expand(text).unwrap(), *expected, "{text}");
            }
        }
    }

    #[test]
    fn errors_show_the_invalid_part() {
        let table = [
            ("", "empty name"),
            ("web[1-3", "`web[1-3`: unbalanced bracket; write ranges as `[1-5,9]`"),
            ("web1-3]", "`web1-3]`: unbalanced bracket; write ranges as `[1-5,9]`"),
            ("web[[1]]", "`web[[1]]`: unbalanced bracket; write ranges as `[1-5,9]`"),
            ("web[]", "`web[]`: invalid range ``; write ranges as `[1-5,9]` or `[01-20]`"),
            ("web[a-c]", "`web[a-c]`: invalid range `a-c`; write ranges as `[1-5,9]` or `[01-20]`"),
            ("web[1-2-3]", "`web[1-2-3]`: invalid range `1-2-3`; write ranges as `[1-5,9]` or `[01-20]`"),
            ("web[+1]", "`web[+1]`: invalid range `+1`; write ranges as `[1-5,9]` or `[01-20]`"),
            ("web[1-9/0]", "`web[1-9/0]`: invalid range `1-9/0`; write ranges as `[1-5,9]` or `[01-20]`"),
            ("web[5-3]", "`web[5-3]`: the start of the range `5-3` is above its end"),
            (
                "web[1-010]",
                "`web[1-010]`: the ends of the range `1-010` have different widths; pad both, as in `[001-100]`",
            ),
            (
                "web[01-5]",
                "`web[01-5]`: the ends of the range `01-5` have different widths; pad both, as in `[001-100]`",
            ),
        ];
        for (text, message) in table {
            assert_eq!(expand(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn expansion_is_limited_before_it_allocates() {
        assert_eq!(expand("n[1-100000]").unwrap().len(), 100_000);
        for text in ["n[1-100001]", "n[1-1000][1-1000]", "n[0-999999999999999999][0-999999999999999999]"] {
            assert_eq!(expand(text), Err(NodeSetError::TooMany(text.to_owned())));
        }
        let message = expand("n[0-100000]").unwrap_err().to_string();
        assert_eq!(message, "`n[0-100000]` expands to more than 100000 names; use fewer at once");
    }
}
