//! Printing an error together with its causes.
//!
//! The error types of this workspace do not repeat their cause in their own text; the cause is
//! [`Error::source`]. Where an error ends as plain text (a log line, a message to another context), it
//! is printed with [`with_causes`], so that each cause appears exactly once.

use std::error::Error;
use std::fmt;

/// An error and its chain of causes on one line, separated by colons.
///
/// ```
/// use mitogen_core::error::with_causes;
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("cannot read hosts.txt")]
/// struct Unreadable(#[source] std::io::Error);
///
/// let error = Unreadable(std::io::Error::other("the disk is on fire"));
/// assert_eq!(with_causes(&error).to_string(), "cannot read hosts.txt: the disk is on fire");
/// ```
pub fn with_causes<'a>(error: &'a (dyn Error + 'static)) -> impl fmt::Display + 'a {
    WithCauses(error)
}

struct WithCauses<'a>(&'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
