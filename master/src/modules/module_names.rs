//! Names of modules: those of the standard library, and those of module files.

use std::ops::Bound;

use super::file_tree::{FileKind, Listing};
use super::stdlib_names::NAMES;

/// Whether a module has the top-level name of a module in the standard library of Python 2.7 or of any
/// version from 3.6 to 3.14, on any platform.
///
/// The name does not say where the module is from: `dataclasses` is standard since 3.7 and was a package
/// on PyPI before, `commands` was standard in 2.7 and is free since. So a module that a child requests
/// is searched for whatever its name, except in the library of an interpreter; but it is never sent
/// before it is requested.
pub fn is_standard(name: &str) -> bool {
    let top = name.split_once('.').map_or(name, |(top, _)| top);
    // Every build has one, named after its platform.
    NAMES.binary_search(&top).is_ok() || top.starts_with("_sysconfigdata")
}

/// The content of a module's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Python source.
    Source,
    /// Machine code.
    Extension,
    /// Python compiled for one version of the interpreter, without its source.
    Bytecode,
}

/// The file of module `name` in a directory: source if there is one, else an extension, else bytecode.
pub(super) fn best<'a>(names: &'a Listing, name: &str) -> Option<(&'a str, Form)> {
    let stem = format!("{name}.");
    let candidates = names
        .range::<str, _>((Bound::Included(stem.as_str()), Bound::Unbounded))
        .take_while(|(file, _)| file.starts_with(&stem))
        .filter(|(_, kind)| **kind == FileKind::File)
        .filter_map(|(file, _)| match split(file) {
            Some((found, form)) if found == name => Some((file.as_str(), form)),
            _ => None,
        });
    // Names are sorted, so the result is the same on every file system.
    candidates.min_by_key(|(_, form)| match form {
        Form::Source => 0,
        Form::Extension => 1,
        Form::Bytecode => 2,
    })
}

/// The name of the module in a file; `None` for a file that is not a module.
pub(super) fn module_name(file: &str) -> Option<&str> {
    split(file).map(|(name, _)| name)
}

/// Whether an `import` statement could name it. An approximation of Python's rule, without its tables.
pub(super) fn is_identifier(name: &str) -> bool {
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    name.chars().all(is_word) && name.starts_with(|c: char| !c.is_numeric()) && name != "__pycache__"
}

/// The name and form of the module in a file; `None` for other files.
fn split(file: &str) -> Option<(&str, Form)> {
    let (rest, suffix) = file.rsplit_once('.')?;
    let (name, form) = match suffix {
        "py" => (rest, Form::Source),
        "pyc" | "pyo" => (rest, Form::Bytecode),
        // `x.so`, or with the interpreter it is for: `x.cpython-311-x86_64-linux-gnu.so`, `x.abi3.so`.
        "so" | "pyd" => (rest.split_once('.').map_or(rest, |(name, _)| name), Form::Extension),
        _ => return None,
    };
    (!name.is_empty() && !name.contains('.')).then_some((name, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_name_modules() {
        for (file, name) in [
            ("a.py", Some("a")),
            ("a.pyc", Some("a")),
            ("a.so", Some("a")),
            ("a.abi3.so", Some("a")),
            ("a.cpython-311-x86_64-linux-gnu.so", Some("a")),
            ("a.cp311-win_amd64.pyd", Some("a")),
            ("__init__.py", Some("__init__")),
            ("a.b.py", None),
            (".py", None),
            ("py", None),
            ("a.txt", None),
            ("a.PY", None),
            ("liba.so.1", None),
        ] {
            assert_eq!(module_name(file), name, "{file}");
        }
    }

    #[test]
    fn source_is_preferred() {
        let names = ["a.so", "a.pyc", "a.abi3.so", "aa.py", "b.pyc", "c.py", "c.so", "d.b.py"];
        let names: Listing = names.map(|name| (name.to_owned(), FileKind::File)).into();
        for (name, file) in [
            ("a", Some(("a.abi3.so", Form::Extension))),
            ("b", Some(("b.pyc", Form::Bytecode))),
            ("c", Some(("c.py", Form::Source))),
            ("d", None),
            ("A", None),
            ("", None),
        ] {
            assert_eq!(best(&names, name), file, "{name}");
        }
    }

    #[test]
    fn identifiers_are_recognized() {
        for name in ["a", "_a1", "ünder"] {
            assert!(is_identifier(name), "{name}");
        }
        for name in ["", "1a", "a-b", "a.b", "__pycache__", "a b"] {
            assert!(!is_identifier(name), "{name}");
        }
    }

    #[test]
    fn standard_names_are_sorted() {
        assert!(NAMES.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn standard_modules_are_known() {
        for name in ["os", "os.path", "Tkinter", "__builtin__", "zoneinfo", "_winreg", "compression.zstd"] {
            assert!(is_standard(name), "{name}");
        }
        for name in ["", "typing_extensions", "importlib_metadata", "requests", "mitogen", "os_path", "test"]
        {
            assert!(!is_standard(name), "{name}");
        }
    }
}
