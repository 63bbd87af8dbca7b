//! Target expressions: which machines are meant, as a text.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::adhoc::AdHoc;
use super::nodeset::{MAX_NODES, NodeSet, NodeSetError};

/// What is wrong with the text of a target expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// Nothing was named.
    #[error("no target named; name a profile, a host, `@group` or `local`")]
    Empty,
    /// A `!` or `&` with nothing behind it.
    #[error("`{0}` stands alone; write a name behind it")]
    DanglingOperator(char),
    /// An `@` or a `profile/` with nothing behind it.
    #[error("`{0}`: a name is missing")]
    MissingName(String),
    /// A node set that cannot be read, or is too large.
    #[error(transparent)]
    NodeSet(#[from] NodeSetError),
    /// An ad-hoc address that cannot be read.
    #[error("`{text}`: {message}")]
    AdHoc {
        /// The term, without any password.
        text: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// How a term takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Named plainly: adds machines.
    Include,
    /// `&x`: keeps only the machines that are also meant by `x`.
    Intersect,
    /// `!x`: takes away the machines meant by `x`.
    Exclude,
}

/// One name after its node sets are expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    /// What stood before the slash of `profile/host`.
    pub profile: Option<String>,
    /// A profile, a host, a host's first label, or a glob with `*` and `?`.
    pub name: String,
}

impl NamePattern {
    /// Whether `*` or `?` occurs in the name.
    pub fn is_glob(&self) -> bool {
        self.name.contains(['*', '?'])
    }
}

/// What a term names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Atom {
    /// `@name`; several if written as a node set.
    Groups(Vec<String>),
    /// Profiles, hosts and globs.
    Names(Vec<NamePattern>),
    /// Addresses for ssh.
    AdHoc(Vec<AdHoc>),
}

/// One term of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// How it takes part.
    pub operator: Operator,
    /// As it was written, without the operator.
    pub text: String,
    /// What it names.
    pub atom: Atom,
}

/// A parsed target expression.
///
/// Terms are separated by commas or blanks. The machines meant are those of all plain terms
/// together, of which only those stay that every `&` term means too and no `!` term means; the order of
/// the terms does not matter for that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expression {
    /// The terms, as written.
    pub terms: Vec<Term>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// An empty text, an operator without a name, a faulty node set or address.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let mut terms = Vec::new();
        let mut operator = None;
        for mut word in split_terms(text) {
            if let Some(rest) = word.strip_prefix(['!', '&']) {
                if let Some((_, sign)) = operator {
                    return Err(ExpressionError::DanglingOperator(sign));
                }
                operator = Some(if word.starts_with('!') {
                    (Operator::Exclude, '!')
                } else {
                    (Operator::Intersect, '&')
                });
                word = rest;
            }
            if word.is_empty() {
                continue;
            }
            let (operator, _) = operator.take().unwrap_or((Operator::Include, ' '));
            terms.push(Term { operator, text: word.to_owned(), atom: parse_atom(word)? });
        }
        match operator {
            Some((_, sign)) => Err(ExpressionError::DanglingOperator(sign)),
            None if terms.is_empty() => Err(ExpressionError::Empty),
            None => Ok(Self { terms }),
        }
    }

    /// Whether any term names machines plainly, rather than taking from what others named.
    pub fn has_includes(&self) -> bool {
        self.terms.iter().any(|term| term.operator == Operator::Include)
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let sign = match term.operator {
                Operator::Include => "",
                Operator::Intersect => "&",
                Operator::Exclude => "!",
            };
            write!(f, "{comma}{sign}{}", term.text)?;
        }
        Ok(())
    }
}

/// Splits at commas and blanks outside of brackets.
fn split_terms(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && (c == ',' || c.is_whitespace())
    })
    .filter(|word| !word.is_empty())
}

fn parse_atom(word: &str) -> Result<Atom, ExpressionError> {
    let missing = || ExpressionError::MissingName(word.to_owned());
    let atom = if let Some(group) = word.strip_prefix('@') {
        if group.is_empty() {
            return Err(missing());
        }
        Atom::Groups(NodeSet::parse(group)?.expand()?)
    } else if AdHoc::is_meant(word) {
        Atom::AdHoc(AdHoc::parse(word)?)
    } else {
        let names = NodeSet::parse(word)?.expand()?.into_iter().map(|name| match name.split_once('/') {
            None => Ok(NamePattern { profile: None, name }),
            Some((profile, host)) if profile.is_empty() || host.is_empty() => Err(missing()),
            Some((profile, host)) => {
                Ok(NamePattern { profile: Some(profile.to_owned()), name: host.to_owned() })
            }
        });
        Atom::Names(names.collect::<Result<_, _>>()?)
    };
    debug_assert!(match &atom {
        Atom::Names(names) => names.len() <= MAX_NODES,
        _ => true,
    });
    Ok(atom)
}

/// Whether `name` matches a pattern of `*` (any text) and `?` (one letter).
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go back to: behind the last star, and the first letter it has not swallowed yet.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p + 1, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((behind, swallowed)) = star {
            star = Some((behind, swallowed + 1));
            (p, n) = (behind, swallowed + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_and_written() {
        let table = [
            ("web", "web"),
            ("web,db", "web,db"),
            ("  web   db\tcache ", "web,db,cache"),
            ("web[01-20,25],@all", "web[01-20,25],@all"),
            ("web !web01 &@prod", "web,!web01,&@prod"),
            ("web & @prod ! x", "web,&@prod,!x"),
            ("root@a:22,ssh:b", "root@a:22,ssh:b"),
            ("!web", "!web"),
            ("web-root/web01,*/db1", "web-root/web01,*/db1"),
        ];
        for (text, written) in table {
            assert_eq!(Expression::parse(text).unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn faults_are_named() {
        let table = [
            ("", "no target named; name a profile, a host, `@group` or `local`"),
            (" , ", "no target named; name a profile, a host, `@group` or `local`"),
            ("web !", "`!` stands alone; write a name behind it"),
            ("web & ! x", "`&` stands alone; write a name behind it"),
            ("@", "`@`: a name is missing"),
            ("web/", "`web/`: a name is missing"),
            ("web[1", "`web[1`: unbalanced bracket; write ranges like `[1-5,9]`"),
        ];
        for (text, message) in table {
            assert_eq!(Expression::parse(text).unwrap_err().to_string(), message, "{text:?}");
        }
    }

    #[test]
    fn globs_match() {
        let table = [
            ("*", "", true),
            ("*", "web", true),
            ("web*", "web", true),
            ("web*", "we", false),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("*01*", "web01.example.org", true),
            ("*.org", "web01.example.org", true),
            ("*.org", "web01.example.com", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("é?", "éa", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }
}
