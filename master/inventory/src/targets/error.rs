//! Why a target expression cannot be parsed, or selects nothing.

use thiserror::Error;

use super::nodeset::{MAX_NODES, NodeSetError};

/// What is wrong with the text of a target expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// The expression has no terms.
    #[error("no target given; name a profile, a host, `@group` or `local`")]
    Empty,
    /// A `!` or `&` without a name after it.
    #[error("expected a target name after `{0}`")]
    DanglingOperator(char),
    /// An `@` or a `profile/` without a name after it.
    #[error("`{0}`: missing name")]
    MissingName(String),
    /// A node set that cannot be parsed, or is too large.
    #[error(transparent)]
    NodeSet(#[from] NodeSetError),
    /// An ad-hoc address that cannot be parsed.
    #[error("`{text}`: {message}")]
    AdHoc {
        /// The term, without any password.
        text: String,
        /// What is wrong and how to correct it.
        message: String,
    },
}

/// Why an expression does not select targets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The expression cannot be parsed.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// No profile and no host has this name.
    #[error("no profile or host named `{name}`{}", alternatives_to(.name, .suggestion.as_deref()))]
    UnknownName {
        /// The name in the expression.
        name: String,
        /// A similar name that exists.
        suggestion: Option<String>,
    },
    /// No group has this name.
    #[error("no group named `@{name}`{}", hint(.suggestion.as_deref(), "@"))]
    UnknownGroup {
        /// The name in the expression.
        name: String,
        /// A similar name that exists.
        suggestion: Option<String>,
    },
    /// Several targets have this name.
    #[error("`{name}` is ambiguous; write {}", alternatives(.candidates))]
    Ambiguous {
        /// The name in the expression.
        name: String,
        /// An unambiguous name of each of them.
        candidates: Vec<String>,
    },
    /// A glob that matches nothing.
    #[error("`{0}` matches no profile or host")]
    NoMatch(String),
    /// An expression of `!` and `&` terms only.
    #[error("`{0}` has nothing to {verb}; start with an inclusion, e.g. `*,{0}`", verb = filter_verb(.0))]
    OnlyFilters(String),
    /// Every target was excluded.
    #[error("no targets match {0}")]
    NothingLeft(String),
    /// More than [`MAX_NODES`] targets.
    #[error("{0} selects more than {MAX_NODES} targets; select fewer at once")]
    TooMany(String),
    /// Groups that contain each other.
    #[error("group cycle: {}", .0.iter().map(|g| format!("@{g}")).collect::<Vec<_>>().join(" -> "))]
    GroupCycle(Vec<String>),
}

/// A similar name, and how the name is taken as it is.
fn alternatives_to(name: &str, suggestion: Option<&str>) -> String {
    let plain = !name.contains(['/', '*', '?']);
    match suggestion {
        Some(similar) if plain => {
            format!("; did you mean `{similar}`? (`ssh:{name}` connects to a host without a profile)")
        }
        Some(similar) => format!("; did you mean `{similar}`?"),
        None => String::new(),
    }
}

fn hint(suggestion: Option<&str>, sign: &str) -> String {
    suggestion.map(|name| format!("; did you mean `{sign}{name}`?")).unwrap_or_default()
}

fn filter_verb(expression: &str) -> &'static str {
    if expression.starts_with('&') { "intersect with" } else { "exclude from" }
}

fn alternatives(candidates: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut names: Vec<String> = candidates.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if candidates.len() > SHOWN {
        names.push(format!("one of {} others", candidates.len() - SHOWN));
    }
    names.join(" or ")
}
