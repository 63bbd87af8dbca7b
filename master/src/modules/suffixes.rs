//! Which file names stand for modules.

use std::ops::Bound;

use super::tree::{Kind, Listing};

/// What a module's file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Python source.
    Source,
    /// Machine code.
    Extension,
    /// Python compiled for one version of the interpreter, without its source.
    Bytecode,
}

/// The file of module `name` in a directory, the one that serves best.
pub(super) fn best<'a>(names: &'a Listing, name: &str) -> Option<(&'a str, Form)> {
    let stem = format!("{name}.");
    let candidates = names
        .range::<str, _>((Bound::Included(stem.as_str()), Bound::Unbounded))
        .take_while(|(file, _)| file.starts_with(&stem))
        .filter(|(_, kind)| **kind == Kind::File)
        .filter_map(|(file, _)| match split(file) {
            Some((found, form)) if found == name => Some((file.as_str(), form)),
            _ => None,
        });
    // The first of the best: names are sorted, so it is the same everywhere.
    candidates.min_by_key(|(_, form)| match form {
        Form::Source => 0,
        Form::Extension => 1,
        Form::Bytecode => 2,
    })
}

/// The name of the module that a file is.
pub(super) fn module_name(file: &str) -> Option<&str> {
    split(file).map(|(name, _)| name)
}

/// Whether an `import` statement could name it, near enough: the parser's tables are left out.
pub(super) fn is_identifier(name: &str) -> bool {
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    name.chars().all(is_word) && name.starts_with(|c: char| !c.is_numeric()) && name != "__pycache__"
}

/// A module's name and what its file holds; `None` for other files.
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
    fn files() {
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
    fn the_best_of_several() {
        let names = ["a.so", "a.pyc", "a.abi3.so", "aa.py", "b.pyc", "c.py", "c.so", "d.b.py"];
        let names: Listing = names.map(|name| (name.to_owned(), Kind::File)).into();
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
    fn identifiers() {
        for name in ["a", "_a1", "ünder"] {
            assert!(is_identifier(name), "{name}");
        }
        for name in ["", "1a", "a-b", "a.b", "__pycache__", "a b"] {
            assert!(!is_identifier(name), "{name}");
        }
    }
}
