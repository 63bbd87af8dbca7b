//! Errors and warnings about a profile file, each with its position.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// A line of a profile file.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line, counted from 1.
        line: usize,
    },
    /// An option of the command line.
    CommandLine,
    /// Not set, so the default applies.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::CommandLine => f.write_str("command line"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// An error or a warning about a profile file. Its display form has several lines and shows the text
/// it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The full name of the key, such as `profile.web.port`, if it is about a key.
    pub key: Option<String>,
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// How to correct it.
    pub hint: Option<String>,
    /// The text of the line, with secrets masked.
    pub excerpt: String,
    /// How many characters to mark, from the column on.
    pub width: usize,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.path.display(), self.line, self.column)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        let number = self.line.to_string();
        let gap = " ".repeat(number.len());
        // Tabs are repeated, so that the marks are aligned whatever the width of a tab is.
        let indent: String =
            self.excerpt.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(
            f,
            "{}\n  {number} | {}\n  {gap} | {indent}{}",
            self.message,
            self.excerpt,
            "^".repeat(self.width)
        )?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {gap} = {hint}"),
            None => Ok(()),
        }
    }
}

/// All errors in a profile file, in the order of their positions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            write!(f, "{}{diagnostic}", if i == 0 { "" } else { "\n\n" })?;
        }
        Ok(())
    }
}
