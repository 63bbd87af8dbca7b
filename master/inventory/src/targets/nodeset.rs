//! Node sets: expanding `web[01-20,25].x[1-2]` to names.

use std::collections::HashSet;
use std::fmt;
use std::net::Ipv6Addr;

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
    /// A range in parentheses.
    #[error("`{text}`: write ranges in brackets, as in `{corrected}`")]
    Parentheses {
        /// The whole node set.
        text: String,
        /// The same with brackets.
        corrected: String,
    },
    /// A range of letters.
    #[error("`{text}`: ranges are of numbers; write `{corrected}`")]
    Letters {
        /// The whole node set.
        text: String,
        /// The names, separated by commas.
        corrected: String,
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
    /// Whether a number that is written with so many digits is in the range.
    fn contains(self, number: u64, digits: usize) -> bool {
        let natural = number.checked_ilog10().map_or(1, |log| log as usize + 1);
        (self.first..=self.last).contains(&number)
            && (number - self.first).is_multiple_of(self.step)
            && digits == natural.max(self.width)
    }

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
    /// Parses a node set. A name without brackets is one, too. A bracket that contains an IPv6 address is
    /// plain text. Ranges may also be written as in Ansible, `[1:3]` or `[1:9:2]`.
    ///
    /// # Errors
    /// Unbalanced brackets and invalid ranges.
    pub fn parse(text: &str) -> Result<Self, NodeSetError> {
        if text.is_empty() {
            return Err(NodeSetError::Empty);
        }
        let unbalanced = || NodeSetError::Unbalanced(text.to_owned());
        if let Some(corrected) = with_brackets(text) {
            return Err(NodeSetError::Parentheses { text: text.to_owned(), corrected });
        }
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
            if is_ipv6(inside) {
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

    /// Whether `name` is one of the names, where `*` and `?` in the text of the set match any text and any character.
    /// It takes time by the length of the set's text, not by the number of its names.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        // The ends of all beginnings of the name that match the parts so far.
        let mut ends = vec![false; name.len() + 1];
        ends[0] = true;
        for part in &self.parts {
            match part {
                Part::Text(text) => text.chars().for_each(|c| ends = after_char(&ends, c, &name)),
                Part::Ranges(ranges) => ends = after_ranges(&ends, ranges, &name),
            }
        }
        ends[name.len()]
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

/// The ends of what matches if one character of a pattern follows.
fn after_char(ends: &[bool], pattern: char, name: &[char]) -> Vec<bool> {
    let mut after = vec![false; ends.len()];
    match pattern {
        '*' => {
            let first = ends.iter().position(|end| *end).unwrap_or(ends.len());
            after[first..].fill(true);
        }
        _ => {
            for (at, c) in name.iter().enumerate() {
                after[at + 1] = ends[at] && (pattern == '?' || pattern == *c);
            }
        }
    }
    after
}

/// The same if a number of one of `ranges` follows.
fn after_ranges(ends: &[bool], ranges: &[Range], name: &[char]) -> Vec<bool> {
    let mut after = vec![false; ends.len()];
    for start in (0..name.len()).filter(|at| ends[*at]) {
        let mut number = 0_u64;
        for (length, c) in name[start..].iter().take(MAX_DIGITS).enumerate() {
            let Some(digit) = c.to_digit(10) else { break };
            number = number * 10 + u64::from(digit);
            if ranges.iter().any(|range| range.contains(number, length + 1)) {
                after[start + length + 1] = true;
            }
        }
    }
    after
}

fn is_ipv6(text: &str) -> bool {
    // A zone follows the address of a link.
    text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// The text with brackets, if it has a range in parentheses.
fn with_brackets(text: &str) -> Option<String> {
    let (before, rest) = text.split_once('(')?;
    let (inside, after) = rest.split_once(')')?;
    let range = !inside.is_empty() && inside.chars().all(|c| c.is_ascii_digit() || "-,:".contains(c));
    range.then(|| format!("{before}[{}]{after}", inside.replace(':', "-")))
}

/// The names of a range of letters such as `a:c`, with the text around it.
fn letters(text: &str, range: &str) -> Option<String> {
    let (from, to) = range.split_once([':', '-'])?;
    let letter = |text: &str| text.parse::<char>().ok().filter(char::is_ascii_alphabetic);
    let (from, to) = (letter(from)?, letter(to)?);
    let name = |c: char| text.replacen(&format!("[{range}]"), &c.to_string(), 1);
    let names: Vec<String> = (from..=to).map(name).collect();
    (!names.is_empty() && text.contains(&format!("[{range}]"))).then(|| names.join(","))
}

fn parse_range(text: &str, range: &str) -> Result<Range, NodeSetError> {
    if let Some(corrected) = letters(text, range) {
        return Err(NodeSetError::Letters { text: text.to_owned(), corrected });
    }
    let bad = || NodeSetError::BadRange { text: text.to_owned(), range: range.to_owned() };
    // As in Ansible: start, end and step.
    let spelled: String;
    let range = match range.split(':').collect::<Vec<_>>()[..] {
        [from, to] => {
            spelled = format!("{from}-{to}");
            &spelled
        }
        [from, to, step] => {
            spelled = format!("{from}-{to}/{step}");
            &spelled
        }
        _ => range,
    };
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
            ("[fe80::1%eth0]:22", &["[fe80::1%eth0]:22"]),
            ("h[1:3]", &["h1", "h2", "h3"]),
            ("h[001:003]", &["h001", "h002", "h003"]),
            ("h[1:9:4]", &["h1", "h5", "h9"]),
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
            ("web[a-c]", "`web[a-c]`: ranges are of numbers; write `weba,webb,webc`"),
            ("h[a:c].x", "`h[a:c].x`: ranges are of numbers; write `ha.x,hb.x,hc.x`"),
            ("h[a:cc]", "`h[a:cc]`: invalid range `a:cc`; write ranges as `[1-5,9]` or `[01-20]`"),
            ("h[1:2:3:4]", "`h[1:2:3:4]`: invalid range `1:2:3:4`; write ranges as `[1-5,9]` or `[01-20]`"),
            ("h[:]", "`h[:]`: invalid range `:`; write ranges as `[1-5,9]` or `[01-20]`"),
            ("h(1-3)", "`h(1-3)`: write ranges in brackets, as in `h[1-3]`"),
            ("h(1:3)x", "`h(1:3)x`: write ranges in brackets, as in `h[1-3]x`"),
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
    fn a_set_matches_the_names_that_it_expands_to() {
        for text in ["n[1-12]", "n[08-11]x", "a[1-3]b[01-02]", "[0-3/3]", "n[098-101]", "n[1,7,100]", "n[0]"]
        {
            let (set, names) = (NodeSet::parse(text).unwrap(), expand(text).unwrap());
            assert!(names.iter().all(|name| set.matches(name)), "{text}");
            for other in
                ["n0", "n1x", "n13", "n01", "n8x", "n12x", "a1b1", "a0b01", "3", "1", "03", "n98", "n"]
            {
                assert_eq!(set.matches(other), names.contains(&other.to_owned()), "{text} {other}");
            }
        }
        let table = [
            ("db*-[1-100000]", "db-x-99999", true),
            ("db*-[1-100000]", "db-x-100001", false),
            ("*[1-3]?", "web2x", true),
            ("*[1-3]?", "web22", true),
            ("*[1-3]?", "web2", false),
            ("*", "", true),
        ];
        for (text, name, matches) in table {
            assert_eq!(NodeSet::parse(text).unwrap().matches(name), matches, "{text} {name}");
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
