//! Faults in a profile file, each at its place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::discover::Source;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// A place in a profile file.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
    /// An option of the command line.
    CommandLine,
    /// Nobody said anything, so this holds.
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

/// One fault in a profile file. Its display form has several lines and shows the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in letters, from 1.
    pub column: usize,
    /// The key at fault with its table, such as `profile.web.port`, if it is one.
    pub key: Option<String>,
    /// What is wrong: one lowercase fragment.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line's text; what may be a secret is masked.
    pub excerpt: String,
    /// How many letters of the line are at fault.
    pub width: usize,
}

impl Diagnostic {
    /// A fault at a range of bytes of the source. `secrets` are the keys whose values are not shown.
    pub(super) fn at(source: &Source, span: Range<usize>, secrets: &[&str]) -> Self {
        let place = source.place(span.start);
        let text = source.line(place.line);
        let excerpt = mask(source, place.line, secrets).unwrap_or_else(|| text.trim_end().to_owned());
        let start = source.line_start(place.line);
        let end = span.end.clamp(span.start, start + text.len());
        let width = source.text().get(span.start..end).map_or(0, |marked| marked.chars().count());
        let width = width.min((excerpt.chars().count() + 1).saturating_sub(place.column)).max(1);
        Self {
            path: source.path().to_owned(),
            line: place.line,
            column: place.column,
            key: None,
            message: String::new(),
            hint: None,
            excerpt,
            width,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.path.display(), self.line, self.column)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        let number = self.line.to_string();
        let gap = " ".repeat(number.len());
        // Tabs keep their width above the marks that stand below them.
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

/// All faults found in a profile file, in the order of their places.
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

const MASK: &str = "********";

/// The line with secrets masked, if there are any. Works on the text, because it must also work when
/// the text is no TOML: from the `=` behind a secret's key the rest of the line is hidden, and so
/// are the further lines of a text in triple quotes.
fn mask(source: &Source, line: usize, secrets: &[&str]) -> Option<String> {
    let mut inside: Option<&str> = None;
    for number in 1..=line {
        let text = source.line(number);
        if let Some(quotes) = inside {
            if number == line {
                return Some(MASK.to_owned());
            }
            if text.contains(quotes) {
                inside = None;
            }
            continue;
        }
        let Some(value) = secret_value(text, secrets) else { continue };
        if number == line {
            return Some(format!("{} {MASK}", &text[..value]));
        }
        inside = ["\"\"\"", "'''"].into_iter().find(|quotes| text[value..].matches(quotes).count() == 1);
    }
    None
}

/// Where the value of a secret's key begins in a line. A table is no secret itself, only a reference
/// to one, unless it is written on one line with a secret inside: then the inner key is found.
fn secret_value(line: &str, secrets: &[&str]) -> Option<usize> {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    for (equals, _) in line.match_indices('=') {
        let key = line[..equals].trim_end().trim_end_matches(['"', '\'']);
        let name = &key[key
            .rfind(|c| !word(c))
            .map_or(0, |at| at + key[at..].chars().next().map_or(1, char::len_utf8))..];
        if !secrets.contains(&name) {
            continue;
        }
        let value = line[equals + 1..].trim_start();
        if !value.starts_with('{') {
            return Some(equals + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, marked: &str) -> String {
        let source = Source::from_text("m.toml", text);
        let start = text.find(marked).unwrap();
        let mut found = Diagnostic::at(&source, start..start + marked.len(), &["password"]);
        found.message = "wrong".into();
        found.to_string()
    }

    #[test]
    fn the_place_is_shown() {
        let expected = "m.toml:2:5: wrong\n  2 | b = 22\n    |     ^^";
        assert_eq!(shown("a = 1\nb = 22\n", "22"), expected);
        let expected = "m.toml:1:9: wrong\n  1 | 'é' = [ 1,\n    |         ^^";
        assert_eq!(shown("'é' = [ 1,\n 2]\n", "1,\n 2"), expected);
        assert_eq!(shown("\tx = 1", "x"), "m.toml:1:2: wrong\n  1 | \tx = 1\n    | \t^");
    }

    #[test]
    fn secrets_are_masked() {
        let table = [
            ("password = \"hunter2\"", "hunter2", "password = ********"),
            ("\"password\" = 'hunter2'", "password", "\"password\" = ********"),
            ("x = { password = 'hunter2' }", "x", "x = { password = ********"),
            ("a.password='hunter2", "hunter2", "a.password= ********"),
            ("password = { env = \"A\" }", "env", "password = { env = \"A\" }"),
            ("password = \"\"\"\nhunter2\n\"\"\"", "hunter2", "********"),
            ("password = '''hunter2'''\nport = 1", "port", "port = 1"),
            ("password = '''\nhunter2\n'''\nport = 1", "port", "port = 1"),
            ("xpassword = \"hunter2\"", "hunter2", "xpassword = \"hunter2\""),
        ];
        for (text, marked, excerpt) in table {
            let shown = shown(text, marked);
            assert!(shown.contains(&format!(" | {excerpt}\n")), "{text}: {shown}");
        }
    }
}
