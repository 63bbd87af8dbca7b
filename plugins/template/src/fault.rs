//! What is wrong with a template, and where.

use std::fmt;

/// One step on the way to a value of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value of this key.
    Key(String),
    /// The item at this position of an array.
    Index(usize),
}

/// Something that is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The way to the value at fault; empty for the whole table.
    pub path: Vec<Step>,
    /// Whether the last key of the path is at fault and not its value.
    pub in_key: bool,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Fault {
    /// The path as text, such as `argv[2]` or `options.port.type`.
    pub fn key(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.push_str(&format!(".{key}")),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.key())?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Collects faults while a table is read.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    path: Vec<Step>,
    pub(crate) found: Vec<Fault>,
    /// Whether what takes long to check was checked before.
    pub(crate) checked: bool,
}

impl Faults {
    /// For a table that was checked before.
    pub(crate) fn checked() -> Self {
        Self { checked: true, ..Self::default() }
    }

    /// Runs `read` for the value of `key`.
    pub(crate) fn at<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Step::Key(key.to_owned()));
        let value = read(self);
        self.path.pop();
        value
    }

    /// Runs `read` for the item at `index`.
    pub(crate) fn at_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Step::Index(index));
        let value = read(self);
        self.path.pop();
        value
    }

    /// Reports something that is wrong at the present place.
    pub(crate) fn report(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self.found.push(Fault { path: self.path.clone(), in_key: false, message: message.into(), hint });
    }

    /// Reports something that is wrong with `key` itself.
    pub(crate) fn report_key(&mut self, key: &str, message: &str, hint: impl Into<String>) {
        self.at(key, |faults| faults.report(message, hint));
        if let Some(fault) = self.found.last_mut() {
            fault.in_key = true;
        }
    }
}
