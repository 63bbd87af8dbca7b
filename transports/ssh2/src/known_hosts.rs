//! The files of known hosts: what they say about the key of a host.
//!
//! A line has a marker (`@revoked`, `@cert-authority`) or none, patterns of hosts or one hashed host, and a key. The
//! format is that of sshd(8), section SSH_KNOWN_HOSTS FILE FORMAT; `ssh-key` parses it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use mitogen_core::glob::glob;
use sha1::Sha1;
use ssh_key::known_hosts::{Entry, HostPatterns, Marker};

/// What the files say about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the key of the host.
    Known,
    /// No key is on file for the host.
    Unknown,
    /// Another key of the same type is on file, in this place.
    Changed(Place),
    /// The key is revoked, in this place.
    Revoked(Place),
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    /// From 1.
    pub(crate) line: usize,
}

/// The lines that concern one host.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys {
    keys: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    place: Place,
    revoked: bool,
    algorithm: String,
    blob: Vec<u8>,
}

impl KnownKeys {
    /// Reads what `files` say about `name`, the name of the host as [`name`] makes it. Files that do not exist and lines
    /// that cannot be read are skipped, as ssh does.
    pub(crate) fn read<'a>(files: impl IntoIterator<Item = &'a PathBuf>, name: &str) -> Self {
        let mut known = Self::default();
        for file in files {
            match fs::read(file) {
                Ok(bytes) => known.add(file, &String::from_utf8_lossy(&bytes), name),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(file = %file.display(), %error, "cannot read known hosts"),
            }
        }
        known
    }

    fn add(&mut self, file: &Path, text: &str, name: &str) {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // ssh separates the fields with any white space, the parser with one space.
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            let Ok(entry) = line.parse::<Entry>() else {
                tracing::debug!(file = %file.display(), line = index + 1, "not a line of known hosts");
                continue;
            };
            let authority = entry.marker() == Some(&Marker::CertAuthority);
            let Ok(blob) = entry.public_key().to_bytes() else { continue };
            if authority || !matches(entry.host_patterns(), name) {
                continue;
            }
            self.keys.push(Known {
                place: Place { file: file.to_owned(), line: index + 1 },
                revoked: entry.marker() == Some(&Marker::Revoked),
                algorithm: entry.public_key().algorithm().as_str().to_owned(),
                blob,
            });
        }
    }

    /// What is known about the key `blob` of the host, in the encoding of the protocol.
    pub(crate) fn check(&self, blob: &[u8]) -> Verdict {
        if let Some(revoked) = self.keys.iter().find(|known| known.revoked && known.blob == blob) {
            return Verdict::Revoked(revoked.place.clone());
        }
        let mut valid = self.keys.iter().filter(|known| !known.revoked);
        if valid.clone().any(|known| known.blob == blob) {
            return Verdict::Known;
        }
        let algorithm = algorithm_of(blob);
        match valid.find(|known| Some(known.algorithm.as_bytes()) == algorithm) {
            Some(other) => Verdict::Changed(other.place.clone()),
            None => Verdict::Unknown,
        }
    }

    /// The order in which to ask for the host's keys: first the types on file, so that a host with several keys shows
    /// the one that is known.
    pub(crate) fn preference(&self, supported: &[&str]) -> String {
        let on_file = |name: &str| {
            let of = match name {
                "rsa-sha2-256" | "rsa-sha2-512" => "ssh-rsa",
                other => other,
            };
            self.keys.iter().any(|known| !known.revoked && known.algorithm == of)
        };
        let (mut first, last): (Vec<&str>, Vec<&str>) = supported.iter().partition(|name| on_file(name));
        first.extend(last);
        first.join(",")
    }
}

/// The name under which the keys of a host are filed: with the port, if it is not 22.
pub(crate) fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == crate::tcp::DEFAULT_PORT { host } else { format!("[{host}]:{port}") }
}

/// Adds a key to a file of known hosts, which is created if it does not exist. `key` is the type and the encoded key.
pub(crate) fn append(file: &Path, name: &str, key: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let ends_in_line = match fs::read(file) {
        Ok(bytes) => bytes.last().is_none_or(|last| *last == b'\n'),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error),
    };
    let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    // One write, so that connections at the same time do not mix their lines.
    file.write_all(format!("{}{name} {key}\n", if ends_in_line { "" } else { "\n" }).as_bytes())
}

/// The type of a key in the encoding of the protocol: a string with its length first.
fn algorithm_of(blob: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*blob.first_chunk()?);
    blob.get(4..)?.get(..usize::try_from(length).ok()?)
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let Ok(mut mac) = <Hmac<Sha1> as Mac>::new_from_slice(salt) else { return false };
            mac.update(name.as_bytes());
            mac.verify_slice(hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let of = |pattern: &String| glob(&pattern.to_ascii_lowercase(), name);
            let (negated, plain): (Vec<_>, Vec<_>) =
                patterns.iter().partition(|pattern| pattern.starts_with('!'));
            !negated.into_iter().any(|pattern| of(&pattern[1..].to_owned())) && plain.into_iter().any(of)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn blob(key: &str) -> Vec<u8> {
        key.parse::<ssh_key::PublicKey>().unwrap().to_bytes().unwrap()
    }

    fn known(text: &str, name: &str) -> KnownKeys {
        let mut known = KnownKeys::default();
        known.add(Path::new("/file"), text, name);
        known
    }

    fn place(line: usize) -> Place {
        Place { file: "/file".into(), line }
    }

    #[test]
    fn keys_are_known_unknown_changed_or_revoked() {
        let text = format!("# comment\nweb,10.0.0.7 {ONE} a comment\n\nnonsense\n@revoked * {OTHER}\n");
        assert_eq!(known(&text, "web").check(&blob(ONE)), Verdict::Known);
        assert_eq!(known(&text, "10.0.0.7").check(&blob(ONE)), Verdict::Known);
        assert_eq!(known(&text, "elsewhere").check(&blob(ONE)), Verdict::Unknown);
        assert_eq!(known(&text, "web").check(&blob(OTHER)), Verdict::Revoked(place(5)));
        let text = format!("web {OTHER}\n");
        assert_eq!(known(&text, "web").check(&blob(ONE)), Verdict::Changed(place(1)));
        // A certificate authority vouches for certificates only.
        let text = format!("@cert-authority web {ONE}\n");
        assert_eq!(known(&text, "web").check(&blob(ONE)), Verdict::Unknown);
    }

    #[test]
    fn names_are_patterns_and_have_ports() {
        let table = [
            ("web", "web", true),
            ("WEB", "web", true),
            ("web*", "web12", true),
            ("w?b", "web", true),
            ("w?b", "weeb", false),
            ("*.example.org,!db.example.org", "web.example.org", true),
            ("*.example.org,!db.example.org", "db.example.org", false),
            ("[web]:2222", "[web]:2222", true),
            ("web", "[web]:2222", false),
        ];
        for (patterns, name, matched) in table {
            let verdict = known(&format!("{patterns} {ONE}"), name).check(&blob(ONE));
            assert_eq!(verdict == Verdict::Known, matched, "{patterns} {name}");
        }
        assert_eq!((name("Web", 22).as_str(), name("Web", 2222).as_str()), ("web", "[web]:2222"));
    }

    #[test]
    fn hashed_names_match() {
        let salt = b"01234567890123456789";
        let mut mac = <Hmac<Sha1> as Mac>::new_from_slice(salt).unwrap();
        mac.update(b"[web]:2222");
        let patterns =
            HostPatterns::HashedName { salt: salt.to_vec(), hash: mac.finalize().into_bytes().into() };
        assert!(matches(&patterns, "[web]:2222"));
        assert!(!matches(&patterns, "web"));
    }

    #[test]
    fn types_on_file_are_asked_for_first() {
        let supported = ["ecdsa-sha2-nistp256", "rsa-sha2-512", "ssh-ed25519"];
        assert_eq!(
            known(&format!("web {ONE}"), "web").preference(&supported),
            "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512"
        );
        assert_eq!(known("", "web").preference(&supported), supported.join(","));
    }

    #[test]
    fn keys_are_added_to_files() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("below/known_hosts");
        append(&file, "web", ONE).unwrap();
        fs::write(&file, fs::read_to_string(&file).unwrap().trim_end()).unwrap();
        append(&file, "[web]:2222", OTHER).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("web {ONE}\n[web]:2222 {OTHER}\n"));
        let files = [file, directory.path().join("missing")];
        assert_eq!(KnownKeys::read(&files, "web").check(&blob(ONE)), Verdict::Known);
    }
}
