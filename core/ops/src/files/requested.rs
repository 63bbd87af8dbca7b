//! Which names a remote source may send at the top of a transfer: those that were requested, in the order of the
//! requests. Without this check, a source could put files of its choice beside those that the user asked for.

use std::collections::HashSet;

/// What may still be sent.
#[derive(Debug)]
pub(super) struct Requested {
    expected: Vec<Expected>,
    next: usize,
    /// What the pattern at `next` has matched.
    seen: HashSet<Vec<u8>>,
}

#[derive(Debug)]
enum Expected {
    Name(Vec<u8>),
    /// Any number of names that this pattern matches, each once.
    Pattern(Vec<u8>),
    /// The source knows the name: of its working directory, or of its user's home directory.
    Unknown,
}

/// Why a name may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The request has this name.
    Requested,
    /// The source has chosen it.
    Chosen,
}

impl Requested {
    pub(super) fn new(sources: &[Vec<u8>]) -> Self {
        let expected = sources.iter().map(|source| Expected::of(source)).collect();
        Self { expected, next: 0, seen: HashSet::new() }
    }

    /// Whether the source may send `name` now. What comes before it in the list was left out by the source.
    pub(super) fn admit(&mut self, name: &[u8]) -> Option<Admission> {
        while let Some(expected) = self.expected.get(self.next) {
            let admission = match expected {
                Expected::Pattern(pattern) => {
                    let fits = pattern == name || matches(pattern, name);
                    if fits && self.seen.insert(name.to_owned()) {
                        return Some(Admission::Requested);
                    }
                    None
                }
                Expected::Name(expected) => (expected == name).then_some(Admission::Requested),
                Expected::Unknown => (!name.starts_with(b".")).then_some(Admission::Chosen),
            };
            self.next += 1;
            self.seen.clear();
            if admission.is_some() {
                return admission;
            }
        }
        None
    }
}

impl Expected {
    fn of(source: &[u8]) -> Self {
        let end = source.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let path = &source[..end];
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        match name {
            b"." | b".." => Self::Unknown,
            b"~" if path == name => Self::Unknown,
            b"" => Self::Name(b"root".to_vec()),
            _ if path.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) => Self::Pattern(name.to_vec()),
            _ => Self::Name(name.to_vec()),
        }
    }
}

/// Whether a pattern of the shell matches; wildcards do not match a leading dot.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    (pattern.first() == Some(&b'.') || name.first() != Some(&b'.')) && matches_rest(pattern, name)
}

fn matches_rest(mut pattern: &[u8], mut name: &[u8]) -> bool {
    // Where to try again: behind the last star, with one more byte matched by it.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match (pattern, name) {
            ([b'*', rest @ ..], _) => {
                retry = Some((rest, name));
                Some((rest, name))
            }
            ([], []) => return true,
            ([b'?', rest @ ..], [_, left @ ..]) => Some((rest, left)),
            ([b'[', rest @ ..], [byte, left @ ..]) => match set(rest) {
                Some((set, rest)) => contains(set, *byte).then_some((rest, left)),
                None => (*byte == b'[').then_some((rest, left)),
            },
            ([expected, rest @ ..], [byte, left @ ..]) => (expected == byte).then_some((rest, left)),
            _ => None,
        };
        (pattern, name) = match (step, retry) {
            (Some(step), _) => step,
            (None, Some((rest, [_, left @ ..]))) => {
                retry = Some((rest, left));
                (rest, left)
            }
            (None, _) => return false,
        };
    }
}

/// The set that begins behind a bracket, and the rest of the pattern; `None` if it has no end.
fn set(pattern: &[u8]) -> Option<(&[u8], &[u8])> {
    let negation = usize::from(pattern.first() == Some(&b'!'));
    // A bracket in the first place belongs to the set.
    let from = negation + 1;
    let end = from + pattern.get(from..)?.iter().position(|byte| *byte == b']')?;
    Some((&pattern[..end], &pattern[end + 1..]))
}

fn contains(set: &[u8], byte: u8) -> bool {
    let (negated, mut set) = match set {
        [b'!', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    while let [first, rest @ ..] = set {
        set = rest;
        if let [b'-', last, rest @ ..] = rest {
            found |= (*first..=*last).contains(&byte);
            set = rest;
        } else {
            found |= *first == byte;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(sources: &[&str], names: &[&str]) -> Vec<bool> {
        let mut requested =
            Requested::new(&sources.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>());
        names.iter().map(|name| requested.admit(name.as_bytes()).is_some()).collect()
    }

    #[test]
    fn only_requested_names_once_each_and_in_order() {
        assert_eq!(answers(&["/var/log/syslog"], &["syslog", "syslog"]), [true, false]);
        assert_eq!(answers(&["a/x", "b/x/"], &["x", "x", "x"]), [true, true, false]);
        assert_eq!(answers(&["a", "b", "c"], &["a", "c", "b"]), [true, true, false]);
        assert_eq!(answers(&["a"], &[".bashrc", "a"]), [false, false]);
        assert_eq!(answers(&["/"], &["root"]), [true]);
        assert_eq!(answers(&[], &["a"]), [false]);
    }

    #[test]
    fn names_that_the_source_chooses_are_marked_and_not_hidden() {
        for source in [".", "a/..", "~", "~/", "./"] {
            let mut requested = Requested::new(&[source.as_bytes().to_vec()]);
            assert_eq!(requested.admit(b"work"), Some(Admission::Chosen), "{source}");
            assert_eq!(requested.admit(b"more"), None, "{source}");
            assert_eq!(answers(&[source], &[".ssh"]), [false]);
        }
        assert_eq!(answers(&["~/notes"], &["notes"]), [true]);
    }

    #[test]
    fn patterns_admit_what_the_shell_would_match() {
        assert_eq!(answers(&["/log/*.log"], &["a.log", "b.log", "a.log"]), [true, true, false]);
        assert_eq!(answers(&["*"], &["a", ".bashrc"]), [true, false]);
        assert_eq!(answers(&["*/log"], &["log", "log"]), [true, false]);
        assert_eq!(answers(&["a*", "b"], &["a1", "a2", "b", "a3"]), [true, true, true, false]);
        for (pattern, name, fits) in [
            ("*.log", "x.log.gz", false),
            ("a*b*c", "a1b2bc", true),
            ("a*b*c", "a1b2b", false),
            ("?", "ab", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            (".*", ".a", true),
            ("**", "", true),
            ("[.]a", ".a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }
}
