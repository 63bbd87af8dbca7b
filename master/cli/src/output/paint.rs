//! Colours: never the only sign of anything.

/// Wraps text in colours, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    /// A host's prefix or the header of its output.
    pub fn host(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// A failure.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// A line that was taken away.
    pub fn removed(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// A line that was added.
    pub fn added(self, text: &str) -> String {
        self.wrap("32", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
