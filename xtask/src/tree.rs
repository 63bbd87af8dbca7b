//! The source tree: which files belong to it.

use std::path::Path;

use crate::root::Result;
use crate::root::root;
use crate::steps;

/// Every file of the project, relative to the top directory and sorted: those that git tracks or would add, or, without
/// git, all files except build products.
pub(crate) fn files() -> Result<Vec<String>> {
    let root = root();
    let mut files = match steps::succeeds(&mut steps::command("git", ["rev-parse", "--is-inside-work-tree"]))
    {
        true => steps::output(&mut steps::command(
            "git",
            ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        ))?
        .split('\0')
        // Deleted but not yet staged files are listed too.
        .filter(|file| !file.is_empty() && root.join(file).is_file())
        .map(str::to_owned)
        .collect(),
        false => walk(&root)?,
    };
    files.sort();
    files.dedup();
    Ok(files)
}

/// Reads a file of the project; `None` if it is not UTF-8.
pub(crate) fn text(file: &str) -> Result<Option<String>> {
    let bytes = std::fs::read(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
    Ok(String::from_utf8(bytes).ok())
}

fn walk(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        let entries = std::fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let built = path.join("CACHEDIR.TAG").exists() || name == "__pycache__" || name == ".git";
            if path.is_symlink() || built {
                continue;
            } else if path.is_dir() {
                dirs.push(path);
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}
