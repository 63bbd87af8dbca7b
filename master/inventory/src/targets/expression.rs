//! Target expressions: parsing which targets are meant.

use std::fmt;
use std::str::FromStr;

use super::adhoc::AdHoc;
use super::error::ExpressionError;
use super::nodeset::{MAX_NODES, NodeSet};

/// The effect of a term on the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `x`: adds the targets of `x`.
    Include,
    /// `&x`: keeps only the targets that are also in `x`.
    Intersect,
    /// `!x`: removes the targets of `x`.
    Exclude,
}

/// One name, with its node sets expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamePattern {
    /// The part before the slash of `profile/host`.
    pub profile: Option<String>,
    /// A profile, a host, the first label of a host name, or a glob with `*` and `?`.
    pub name: String,
}

impl NamePattern {
    /// Whether `*` or `?` occurs in the name.
    pub fn is_glob(&self) -> bool {
        self.name.contains(['*', '?'])
    }
}

/// Globs in which node sets occur.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GlobSet {
    /// The part before the slash of `profile/host`.
    pub profile: Option<NodeSet>,
    /// The profiles and hosts.
    pub name: NodeSet,
}

/// What a term names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Atom {
    /// `@name`; several names if it is a node set.
    Groups(Vec<String>),
    /// Profiles, hosts and globs.
    Names(Vec<NamePattern>),
    /// Globs with node sets, such as `db*-[1-100]`: they are matched without being expanded.
    Globs(GlobSet),
    /// Addresses to connect to with ssh.
    AdHoc(Vec<AdHoc>),
}

/// One term of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Term {
    /// The effect on the selection.
    pub operator: Operator,
    /// The text of the term, without the operator.
    pub text: String,
    /// What it names.
    pub atom: Atom,
}

/// A parsed target expression.
///
/// Terms are separated by commas or white space. The selection is the union of all terms without an
/// operator, of which only those remain that are in every `&` term and in no `!` term. The order of the
/// terms does not matter for that.
///
/// ```
/// use mitogen_inventory::targets::{Expression, Operator};
///
/// let expression = Expression::parse("web[01-20] & @prod !web13")?;
/// assert_eq!(expression.to_string(), "web[01-20],&@prod,!web13");
/// assert_eq!(expression.terms[2].operator, Operator::Exclude);
/// assert_eq!(
///     Expression::parse("web !").unwrap_err().to_string(),
///     "expected a target name after `!`"
/// );
/// # Ok::<(), mitogen_inventory::targets::ExpressionError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expression {
    /// The terms, in order.
    pub terms: Vec<Term>,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// An empty expression, an operator without a name, an invalid node set or address.
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

    /// Whether any term adds targets.
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

/// Splits at commas and white space outside of brackets.
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
    } else if AdHoc::is_adhoc(word) {
        Atom::AdHoc(AdHoc::parse(word)?)
    } else if word.contains(['*', '?']) && word.contains('[') {
        let (profile, name) = match word.split_once('/') {
            None => (None, word),
            Some((profile, host)) if profile.is_empty() || host.is_empty() => return Err(missing()),
            Some((profile, host)) => (Some(NodeSet::parse(profile)?), host),
        };
        Atom::Globs(GlobSet { profile, name: NodeSet::parse(name)? })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_round_trip() {
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
    fn errors_say_what_is_expected() {
        let table = [
            ("", "no target given; name a profile, a host, `@group` or `local`"),
            (" , ", "no target given; name a profile, a host, `@group` or `local`"),
            ("web !", "expected a target name after `!`"),
            ("web & ! x", "expected a target name after `&`"),
            ("@", "`@`: missing name"),
            ("web/", "`web/`: missing name"),
            ("web[1", "`web[1`: unbalanced bracket; write ranges as `[1-5,9]`"),
        ];
        for (text, message) in table {
            assert_eq!(Expression::parse(text).unwrap_err().to_string(), message, "{text:?}");
        }
    }
}
