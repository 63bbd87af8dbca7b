//! The Python interpreters of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An interpreter that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// The path of the program.
    pub path: PathBuf,
    /// Its version: major, minor, micro.
    pub version: (u8, u8, u8),
}

impl Python {
    /// Asks the program at `path` for its version; `None` if it is not a working Python.
    ///
    /// The result contains the path of the interpreter itself, also if `path` is a wrapper.
    pub fn at(path: &Path) -> Option<Self> {
        const QUESTION: &str =
            "import sys; sys.stdout.write('%s\\n%d.%d.%d' % ((sys.executable,) + sys.version_info[:3]))";
        let output = Command::new(path)
            .args(["-S", "-c", QUESTION])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (executable, text) = text.split_once('\n')?;
        Some(Self { path: PathBuf::from(executable), version: version(text)? })
    }

    /// Whether the product's Python runtime supports it: 2.7, and 3.6 or later.
    pub fn is_supported(&self) -> bool {
        let (major, minor, _) = self.version;
        (major, minor) == (2, 7) || (major == 3 && minor >= 6)
    }

    /// The version as text, e.g. `3.12.1`.
    pub fn version_text(&self) -> String {
        let (major, minor, micro) = self.version;
        format!("{major}.{minor}.{micro}")
    }

    /// Whether every account of this machine can start it: false for one in a private home directory.
    pub fn is_public(&self) -> bool {
        use std::os::unix::fs::PermissionsExt;
        let Ok(real) = self.path.canonicalize() else { return false };
        real.ancestors()
            .all(|part| std::fs::metadata(part).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0))
    }
}

/// The interpreters of this machine as lines of JSON, in the format of `fixture pythons`. `cargo xtask test` sets it, so
/// that not each of some hundred test processes starts every interpreter.
pub const PYTHONS_ENV: &str = "MITOGEN_TESTS_PYTHONS";

/// Every interpreter on `PATH`, in the system's directories and under pyenv, each once, oldest version first.
///
/// They are searched for once in a process, or read from the environment ([`PYTHONS_ENV`]).
///
/// # Panics
///
/// If the environment variable is set to something else than the output of `fixture pythons`.
pub fn pythons() -> Vec<Python> {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    let found = FOUND.get_or_init(|| match std::env::var(PYTHONS_ENV) {
        Ok(lines) => listed(&lines)
            .unwrap_or_else(|| panic!("{PYTHONS_ENV}: not the output of `fixture pythons`: {lines}")),
        Err(_) => search(),
    });
    found.clone()
}

/// Reads the output of `fixture pythons`.
fn listed(lines: &str) -> Option<Vec<Python>> {
    let one = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        Some(Python { path: value["path"].as_str()?.into(), version: version(value["version"].as_str()?)? })
    };
    lines.lines().map(one).collect()
}

/// Reads `3.12.1`.
fn version(text: &str) -> Option<(u8, u8, u8)> {
    let mut parts = text.split('.').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some((next()?, next()?, next()?))
}

fn search() -> Vec<Python> {
    let mut found = BTreeMap::new();
    for candidate in candidates() {
        if let Some(python) = Python::at(&candidate) {
            let real = python.path.canonicalize().unwrap_or_else(|_| python.path.clone());
            found.entry((python.version, real)).or_insert(python);
        }
    }
    found.into_values().collect()
}

/// The newest supported interpreter that every account can start.
pub fn public_python() -> Option<Python> {
    pythons().into_iter().rev().find(|python| python.is_public() && python.is_supported())
}

fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    dirs.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from));
    let root = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv")));
    if let Some(versions) = root.and_then(|root| std::fs::read_dir(root.join("versions")).ok()) {
        dirs.extend(versions.flatten().map(|entry| entry.path().join("bin")));
    }
    let mut files: Vec<PathBuf> = dirs
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| is_python_name(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files.dedup();
    files
}

/// `python`, `python3`, `python2.7` and the like, but not `python3-config`.
fn is_python_name(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::{Python, is_python_name, listed};

    #[test]
    fn the_list_of_interpreters_is_read() {
        let line = r#"{"path":"/usr/bin/python3.11","public":true,"supported":true,"version":"3.11.2"}"#;
        let python = Python { path: "/usr/bin/python3.11".into(), version: (3, 11, 2) };
        assert_eq!(listed(&format!("{line}\n{line}\n")), Some(vec![python.clone(), python]));
        assert_eq!(listed("/usr/bin/python3"), None);
        assert_eq!(listed(r#"{"path":"/usr/bin/python3","version":"3"}"#), None);
    }

    #[test]
    fn names() {
        for name in ["python", "python3", "python2.7", "python3.14"] {
            assert!(is_python_name(name), "{name}");
        }
        for name in ["python3-config", "python3.11-gdb.py", "pythonw", "ipython3"] {
            assert!(!is_python_name(name), "{name}");
        }
    }
}
