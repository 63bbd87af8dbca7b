//! The directories that a virtual environment adds to the search path. No code is executed.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{FinderError, is_absent, real_path};

/// The `site-packages` of the environment at `root`, and the directories that their `.pth` files add.
pub(super) fn paths(root: &Path) -> Result<Vec<PathBuf>, FinderError> {
    let mut sites = Vec::new();
    // `lib64` is often a link to `lib`.
    for lib in ["lib", "lib64"] {
        for interpreter in names(&root.join(lib))?.iter().rev().filter(|name| is_interpreter(name)) {
            let site = root.join(lib).join(interpreter).join("site-packages");
            if site.is_dir() {
                push(&mut sites, site)?;
            }
        }
    }
    if sites.is_empty() {
        // A missing directory gets the more specific error.
        real_path(root)?;
        return Err(FinderError::NoSitePackages { path: root.to_owned() });
    }
    let mut paths = Vec::new();
    for site in sites {
        push(&mut paths, site.clone())?;
        // Hidden files are ignored, as Python does.
        let files = names(&site)?;
        for file in files.iter().filter(|name| name.ends_with(".pth") && !name.starts_with('.')) {
            for path in additions(&site, &site.join(file))? {
                push(&mut paths, path)?;
            }
        }
    }
    Ok(paths)
}

/// The existing paths that a `.pth` file adds.
fn additions(site: &Path, file: &Path) -> Result<Vec<PathBuf>, FinderError> {
    let unreadable = |source| FinderError::Unreadable { path: file.to_owned(), source };
    let content = fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&content);
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim_end);
    let is_code = |line: &str| line.starts_with("import ") || line.starts_with("import\t");
    let paths = lines.filter(|line| !line.is_empty() && !line.starts_with('#') && !is_code(line));
    Ok(paths.map(|line| site.join(line)).filter(|path| path.exists()).collect())
}

/// Adds a path unless the same directory was added before.
fn push(paths: &mut Vec<PathBuf>, path: PathBuf) -> Result<(), FinderError> {
    let identity = real_path(&path)?;
    if !paths.iter().any(|known| known.canonicalize().is_ok_and(|known| known == identity)) {
        paths.push(path);
    }
    Ok(())
}

/// The names in a directory, sorted with version numbers by value; none if it does not exist.
fn names(directory: &Path) -> Result<Vec<String>, FinderError> {
    let unreadable = |source| FinderError::Unreadable { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(unreadable)?.file_name().into_string());
    }
    names.sort_by_cached_key(|name| (minor(name), name.clone()));
    Ok(names)
}

fn is_interpreter(name: &str) -> bool {
    name.starts_with("python") || name.starts_with("pypy")
}

/// The 11 of `python3.11`, so that it is sorted after `python3.9`; `None` for other names.
fn minor(name: &str) -> Option<u32> {
    let (interpreter, minor) = name.rsplit_once('.')?;
    if is_interpreter(interpreter) { minor.parse().ok() } else { None }
}
