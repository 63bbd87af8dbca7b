//! The error of the fixtures: a message for the developer who reads the failed test.

use std::fmt;

/// Why a fixture could not be created.
///
/// `Debug` prints the message, so that `.unwrap()` in a test shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct FixtureError(String);

/// The result of creating a fixture.
pub type Result<T> = std::result::Result<T, FixtureError>;

impl FixtureError {
    /// An error with the message `what`.
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

/// Adds to an error what was being done.
pub trait Context<T> {
    /// Turns the error into a [`FixtureError`] that starts with `what()`.
    ///
    /// # Errors
    /// The error of `self`, prefixed with `what()`.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| FixtureError::new(format!("{}: {error}", what().into())))
    }
}
