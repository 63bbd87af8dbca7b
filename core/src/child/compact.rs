//! Shrinks our own Python sources: comments, docstrings, blank lines and needless spaces go.
//!
//! The result parses to the same tree, docstrings aside (a test holds every interpreter to that).

/// The same program in fewer bytes. For the sources in `core/python`, which are embedded.
pub fn compact(source: &str) -> String {
    mitogen_minify::compact(source).expect("a test compacts every embedded source")
}
