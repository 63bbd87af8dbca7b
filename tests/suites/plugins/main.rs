//! Transports that are data or loaded at run time, with the command: templates of a profile file and those that are built
//! in, each with a stand-in for its tool that executes the command line it is given, and chroot for real.

mod libraries;
mod templates;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mitogen_tests::mitogen_bin;

/// A directory with a profile file and programs.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    /// With this profile file, in which `BIN` stands for the directory of the programs.
    fn new(profiles: &str) -> Self {
        let site = Self { dir: tempfile::tempdir().expect("a directory") };
        let text = profiles.replace("BIN", &site.path().display().to_string());
        site.write("mitogen.toml", 0o600, &text);
        site
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file with this mode.
    fn write(&self, name: &str, mode: u32, text: &str) -> PathBuf {
        let path = self.path().join(name);
        let mut file = std::fs::File::create(&path).expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file.set_permissions(std::fs::Permissions::from_mode(mode)).expect("its mode");
        path
    }

    /// Runs the command with these arguments.
    fn mitogen(&self, words: &[&str]) -> Output {
        Command::new(mitogen_bin().expect("the command is built"))
            .arg("--profiles")
            .arg(self.path().join("mitogen.toml"))
            .args(words)
            .stdin(Stdio::null())
            .output()
            .expect("the command starts")
    }
}

/// What a run that must end with `status` printed on both streams.
fn said(output: &Output, status: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}\n{err}");
    (out, err)
}
