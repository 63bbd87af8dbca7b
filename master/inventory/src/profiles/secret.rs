//! Sources of secrets. Each source is asked only when its secret is needed, and once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use mitogen_core::dialogue::Secret;
use thiserror::Error;
use zeroize::Zeroizing;

use super::terminal;

/// At most this many bytes are read from a program or a file.
const MAX_SECRET: u64 = 64 * 1024;

/// Why a secret could not be obtained. Never contains any part of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("cannot get the secret from {from}: {reason}")]
pub struct SecretError {
    /// The source, in the display form of [`SecretSource`].
    pub from: String,
    /// Why it failed: a lowercase fragment.
    pub reason: String,
}

/// Where a secret comes from. Its display and debug forms never contain the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// The profile itself.
    Literal(Secret),
    /// The value of an environment variable.
    Env(String),
    /// The first line of the output of a program, which is run without a shell.
    Command(Vec<String>),
    /// The first line of a file.
    File(PathBuf),
    /// The user's answer to this question.
    Prompt(String),
}

impl SecretSource {
    /// The same source with every `{host}` replaced.
    pub(super) fn for_host(&self, expand: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Literal(secret) => Self::Literal(secret.clone()),
            Self::Env(name) => Self::Env(expand(name)),
            Self::Command(argv) => Self::Command(argv.iter().map(|arg| expand(arg)).collect()),
            Self::File(path) => match path.to_str() {
                Some(text) => Self::File(expand(text).into()),
                None => Self::File(path.clone()),
            },
            Self::Prompt(question) => Self::Prompt(expand(question)),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("the profile"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Command(argv) => write!(f, "command `{}`", argv.join(" ")),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Prompt(question) => write!(f, "the answer to \"{question}\""),
        }
    }
}

/// Obtains secrets. [`SystemSecrets`] is the implementation that the command uses.
pub trait SecretResolver: Send + Sync {
    /// Obtains the secret. [`SecretStore`] never calls this for a literal.
    ///
    /// # Errors
    /// Why it failed, as a lowercase fragment.
    fn get(&self, source: &SecretSource) -> Result<Secret, String>;
}

/// A cache of secrets: each source is asked once, however many hops need it.
pub struct SecretStore<R> {
    resolver: R,
    /// Locked while a source is asked, so that there is never more than one prompt on the terminal.
    known: Mutex<HashMap<String, Result<Secret, SecretError>>>,
}

impl<R> fmt::Debug for SecretStore<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretStore").finish_non_exhaustive()
    }
}

impl<R: SecretResolver> SecretStore<R> {
    /// An empty store.
    pub fn new(resolver: R) -> Self {
        Self { resolver, known: Mutex::default() }
    }

    /// The secret of a source. Failures are cached, too, so that a user who declines to answer is not
    /// prompted again for every host.
    ///
    /// # Errors
    /// The secret cannot be obtained.
    pub fn get(&self, source: &SecretSource) -> Result<Secret, SecretError> {
        if let SecretSource::Literal(secret) = source {
            return Ok(secret.clone());
        }
        // A panic cannot leave a partial result in the map, so a poisoned lock is harmless.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let get =
            || self.resolver.get(source).map_err(|reason| SecretError { from: source.to_string(), reason });
        known.entry(format!("{source:?}")).or_insert_with(get).clone()
    }
}

/// Obtains secrets from the environment, programs, files and the terminal of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSecrets;

impl SecretResolver for SystemSecrets {
    fn get(&self, source: &SecretSource) -> Result<Secret, String> {
        match source {
            SecretSource::Literal(secret) => Ok(secret.clone()),
            SecretSource::Env(name) => from_env(name),
            SecretSource::Command(argv) => from_command(argv),
            SecretSource::File(path) => from_file(path),
            SecretSource::Prompt(question) => terminal::ask(question),
        }
    }
}

fn from_env(name: &str) -> Result<Secret, String> {
    match std::env::var(name) {
        Ok(value) => Ok(Secret::new(value)),
        Err(std::env::VarError::NotPresent) => Err("it is not set".to_owned()),
        Err(std::env::VarError::NotUnicode(_)) => Err("its value is not UTF-8".to_owned()),
    }
}

fn from_command(argv: &[String]) -> Result<Secret, String> {
    let (program, arguments) = argv.split_first().ok_or("it is empty")?;
    // Standard error is inherited: password managers print errors and prompts to it.
    let mut child = Command::new(program)
        .args(arguments.iter().map(OsStr::new))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut output = Zeroizing::new(Vec::new());
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(MAX_SECRET).read_to_end(&mut output).map_err(|error| error.to_string()),
        None => Ok(0),
    };
    let status = child.wait().map_err(|error| error.to_string())?;
    read?;
    if !status.success() {
        return Err(format!("it failed with {status}"));
    }
    first_line(&output)
}

fn from_file(path: &Path) -> Result<Secret, String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let path = match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    };
    let file = File::open(&path).map_err(|error| error.to_string())?;
    let status = file.metadata().map_err(|error| error.to_string())?;
    if status.is_file() && status.mode() & 0o077 != 0 {
        return Err(format!("other users can read or write it; run: chmod 600 {}", path.display()));
    }
    let mut content = Zeroizing::new(Vec::new());
    file.take(MAX_SECRET).read_to_end(&mut content).map_err(|error| error.to_string())?;
    first_line(&content)
}

fn first_line(output: &[u8]) -> Result<Secret, String> {
    let line = output.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| "its first line is not UTF-8")?;
    if text.is_empty() { Err("its first line is empty".to_owned()) } else { Ok(Secret::new(text)) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counting(AtomicUsize);

    impl SecretResolver for &Counting {
        fn get(&self, source: &SecretSource) -> Result<Secret, String> {
            self.0.fetch_add(1, Ordering::SeqCst);
            match source {
                SecretSource::Env(name) if name == "NONE" => Err("it is not set".into()),
                other => Ok(Secret::new(format!("got {other}"))),
            }
        }
    }

    #[test]
    fn every_source_is_asked_once() {
        let counting = Counting(AtomicUsize::new(0));
        let store = SecretStore::new(&counting);
        let sources = [
            SecretSource::Env("A".into()),
            SecretSource::File("A".into()),
            SecretSource::Prompt("A".into()),
            SecretSource::Command(vec!["A".into()]),
            SecretSource::Command(vec!["A B".into()]),
            SecretSource::Command(vec!["A".into(), "B".into()]),
            SecretSource::Env("NONE".into()),
        ];
        for _ in 0..2 {
            for source in &sources {
                let found = store.get(source);
                if *source == SecretSource::Env("NONE".into()) {
                    let message = "cannot get the secret from environment variable NONE: it is not set";
                    assert_eq!(found.unwrap_err().to_string(), message);
                } else {
                    assert_eq!(found.unwrap().expose(), format!("got {source}"));
                }
            }
        }
        assert_eq!(store.get(&SecretSource::Literal(Secret::new("x"))).unwrap().expose(), "x");
        assert_eq!(counting.0.load(Ordering::SeqCst), sources.len());
    }

    #[test]
    fn the_secret_is_never_printed() {
        let source = SecretSource::Literal(Secret::new("hunter2"));
        assert!(!format!("{source} {source:?}").contains("hunter2"));
    }

    #[test]
    fn the_first_line_of_a_program_is_used() {
        let get = |script: &str| {
            let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
            SystemSecrets.get(&SecretSource::Command(argv)).map(|secret| secret.expose().to_owned())
        };
        assert_eq!(get("printf 'a b\\r\\nuser: x\\n'"), Ok("a b".into()));
        assert_eq!(get("printf abc"), Ok("abc".into()));
        assert_eq!(get("true"), Err("its first line is empty".into()));
        assert_eq!(get("echo x; exit 3"), Err("it failed with exit status: 3".into()));
        assert_eq!(get("printf '\\377'"), Err("its first line is not UTF-8".into()));
        let missing = SystemSecrets.get(&SecretSource::Command(vec!["/nowhere/at/all".into()]));
        assert!(missing.unwrap_err().contains("No such file"));
    }

    #[test]
    fn files_readable_by_other_users_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "hunter2\nmore\n").unwrap();
        let get = |mode| {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            SystemSecrets.get(&SecretSource::File(path.clone()))
        };
        assert_eq!(get(0o600).unwrap().expose(), "hunter2");
        assert!(get(0o640).unwrap_err().starts_with("other users can read or write it; run: chmod 600 "));
    }
}
