//! Which files of a folder are plugins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file itself, or the shared objects of a folder, by name.
///
/// # Errors
/// A path that does not exist, and a folder that cannot be read.
pub fn find(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let is_library = file.extension().is_some_and(|extension| extension == "so" || extension == "dylib");
        if is_library && !file.is_dir() {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_its_shared_objects_in_order() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.so", "a.so", "c.txt", "d.dylib"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("e.so")).unwrap();
        let names = |files: Vec<PathBuf>| -> Vec<String> {
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(find(directory.path()).unwrap()), ["a.so", "b.so", "d.dylib"]);
        assert_eq!(names(find(&directory.path().join("c.txt")).unwrap()), ["c.txt"]);
        assert!(find(&directory.path().join("none")).is_err());
    }
}
