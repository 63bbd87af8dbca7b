//! The one error of the fixtures: a sentence for the person who reads the failed test.

use std::fmt;

/// Why a fixture could not be made.
///
/// `Debug` prints the sentence itself, so that `.unwrap()` in a test shows something worth reading.
#[derive(Clone, PartialEq, Eq)]
pub struct FixtureError(String);

/// What making a fixture gives.
pub type Result<T> = std::result::Result<T, FixtureError>;

impl FixtureError {
    /// An error that reads as `what`.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Debug for FixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FixtureError {}

/// Says what was being done when something failed.
pub trait Context<T> {
    /// Turns the error into a [`FixtureError`] that starts with `what()`.
    ///
    /// # Errors
    /// The error of `self`, with those words before it.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| FixtureError::new(format!("{}: {error}", what().into())))
    }
}
