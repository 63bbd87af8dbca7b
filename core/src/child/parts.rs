//! The runtime's source files; their order here is the order in which they are joined.

/// Compiled by every child before it says that it is up.
pub(crate) const BOOT: &[(&str, &str)] = &[
    ("prelude.py", include_str!("../../python/core/prelude.py")),
    ("stream.py", include_str!("../../python/core/stream.py")),
    ("loop.py", include_str!("../../python/core/loop.py")),
    ("dispatcher.py", include_str!("../../python/core/dispatcher.py")),
    ("main.py", include_str!("../../python/core/main.py")),
];

/// Sent in the same flight, compiled when first needed: most children are asked something before
/// they need it, and compiling takes as long as starting the interpreter.
pub(crate) const REST: &[(&str, &str)] = &[
    ("message.py", include_str!("../../python/core/message.py")),
    ("router.py", include_str!("../../python/core/router.py")),
    ("logs.py", include_str!("../../python/core/logs.py")),
    ("importer.py", include_str!("../../python/core/importer.py")),
];

/// Stands between the two; the first stage splits there, so it occurs nowhere else.
pub(crate) const CUT: &str = "@@";

/// The files of `parts`, joined, as they stand.
pub(crate) fn join(parts: &[(&str, &str)]) -> String {
    parts.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n")
}
