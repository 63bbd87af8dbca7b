//! The source files of the runtime's core; their order here is the order in which they are joined.
//! Part of `build.rs` and of the tests.

/// The eager part: compiled by every child before it reports that it is running.
pub(crate) const EAGER: &[(&str, &str)] = &[
    ("prelude.py", include_str!("../python/core/prelude.py")),
    ("stream.py", include_str!("../python/core/stream.py")),
    ("loop.py", include_str!("../python/core/loop.py")),
    ("dispatcher.py", include_str!("../python/core/dispatcher.py")),
    ("main.py", include_str!("../python/core/main.py")),
];

/// The lazy part: sent together with the eager part, compiled when first needed. Most children get a call
/// before they need it, and compiling it takes as long as starting the interpreter.
pub(crate) const LAZY: &[(&str, &str)] = &[
    ("message.py", include_str!("../python/core/message.py")),
    ("router.py", include_str!("../python/core/router.py")),
    ("logs.py", include_str!("../python/core/logs.py")),
    ("importer.py", include_str!("../python/core/importer.py")),
];

/// The text between the two parts. The first stage splits at it, so it must not occur in them.
pub(crate) const SEPARATOR: &str = "@@";

/// The text of `files`, joined.
pub(crate) fn join(files: &[(&str, &str)]) -> String {
    files.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n")
}
