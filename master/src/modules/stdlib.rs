//! Which names are the standard library's.

use super::stdlib_names::NAMES;

/// Whether a module is part of the standard library of Python 2.7 or of any version from 3.6 to
/// 3.14, on any platform; that is, whether its top-level name is one of theirs.
///
/// A name says little about who brings the module: `dataclasses` is standard since 3.7 and a package
/// from PyPI before, `commands` was standard in 2.7 and may be anybody's since. So a module that a
/// child asks for is found whatever its name, unless it lies in an interpreter's own library; but it
/// is not sent unasked.
pub fn is_standard(name: &str) -> bool {
    let top = name.split_once('.').map_or(name, |(top, _)| top);
    // Of each build there is one, named after its platform.
    NAMES.binary_search(&top).is_ok() || top.starts_with("_sysconfigdata")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted() {
        assert!(NAMES.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn names() {
        for name in ["os", "os.path", "Tkinter", "__builtin__", "zoneinfo", "_winreg", "compression.zstd"] {
            assert!(is_standard(name), "{name}");
        }
        for name in ["", "typing_extensions", "importlib_metadata", "requests", "mitogen", "os_path", "test"]
        {
            assert!(!is_standard(name), "{name}");
        }
    }
}
