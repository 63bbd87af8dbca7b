//! `mitogen put` and `get` with hosts behind ssh, and as root on them.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use mitogen_tests::users::Rule;
use mitogen_tests::{Sshd, TestUser, isolated, mitogen_bin};
use serde_json::Value;

use crate::{Scratch, names, noise};

/// A server under three names, an account on it, and a profile file.
struct Site {
    _server: Sshd,
    user: TestUser,
    scratch: Scratch,
}

impl Site {
    fn new() -> Self {
        let server = Sshd::start().unwrap();
        let user = TestUser::options().sudo(Rule::NoPassword).create().unwrap();
        let scratch = Scratch::new();
        let mut text = String::new();
        for name in ["alpha", "beta", "gamma"] {
            text += &format!(
                "[profile.{name}]\nmethod = \"ssh\"\nhostname = \"{}\"\nport = {}\nusername = \"{}\"\n\
                 identity_file = \"{}\"\nssh_args = [\"-F\", \"none\", \"-o\", \"UserKnownHostsFile={}\"]\n\n",
                server.host(),
                server.port(),
                user.name(),
                server.key().display(),
                server.known_hosts().display(),
            );
        }
        text += "[profile.gone]\nmethod = \"local\"\npython = [\"/nowhere\"]\n\n[group]\nall = [\"alpha\", \"beta\", \"gamma\"]\n";
        let path = scratch.at("mitogen.toml");
        let mut file = fs::File::create(&path).unwrap();
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Self { _server: server, user, scratch }
    }

    fn mitogen(&self, words: &[&str]) -> Output {
        Command::new(mitogen_bin().unwrap())
            .arg("--profiles")
            .arg(self.scratch.at("mitogen.toml"))
            .args(words)
            .current_dir(self.scratch.at(""))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn home(&self, name: &str) -> PathBuf {
        self.user.home().join(name)
    }
}

fn well(output: &Output) -> Vec<Value> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "status {:?}\n{said}", output.status.code());
    assert_eq!(said, "", "no progress bar without a terminal");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn complained(output: &Output, status: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{said}");
    said
}

#[test]
fn put_and_get_over_ssh_and_as_root() {
    isolated(|| {
        let site = Site::new();
        site.scratch.file("plain", &noise(2_500_000));
        fs::create_dir(site.scratch.at("conf")).unwrap();
        site.scratch.file("conf/a", b"a");
        site.scratch.file("-odd\nname", b"odd");

        // To the login directory, as the account.
        well(&site.mitogen(&["put", "alpha", "plain", "copy"]));
        assert!(fs::read(site.home("copy")).unwrap() == noise(2_500_000));
        assert_eq!(fs::metadata(site.home("copy")).unwrap().uid(), site.user.uid());
        well(&site.mitogen(&["put", "alpha", "--mode", "600", "--", "-odd\nname", "conf", "."]));
        assert_eq!(fs::read(site.home("-odd\nname")).unwrap(), b"odd");
        assert_eq!(fs::metadata(site.home("conf/a")).unwrap().mode() & 0o777, 0o600);

        // As root, with the account as the new owner.
        well(&site.mitogen(&["put", "-b", "alpha", "plain", site.home("root").to_str().unwrap()]));
        assert_eq!(fs::metadata(site.home("root")).unwrap().uid(), 0);
        let owner = format!("{}:", site.user.name());
        well(&site.mitogen(&[
            "put",
            "-b",
            "alpha",
            "--owner",
            &owner,
            "plain",
            site.home("given").to_str().unwrap(),
        ]));
        assert_eq!(fs::metadata(site.home("given")).unwrap().uid(), site.user.uid());

        // From one target into the destination itself, from several into one directory each.
        well(&site.mitogen(&["get", "alpha", "copy", "back"]));
        assert!(fs::read(site.scratch.at("back")).unwrap() == noise(2_500_000));
        let events = well(&site.mitogen(&["get", "@all", "--json", "copy", "conf", "logs/today"]));
        assert_eq!(names(&site.scratch.at("logs/today")), ["alpha", "beta", "gamma"]);
        assert_eq!(names(&site.scratch.at("logs/today/beta")), ["conf", "copy"]);
        let ends: Vec<&Value> = events.iter().filter(|event| event["event"] == "end").collect();
        assert_eq!(ends.len(), 3);
        assert!(ends.iter().all(|end| end["files"] == 2 && end["bytes"] == 2_500_001), "{ends:?}");
        assert!(events.iter().any(|event| event["event"] == "progress" && event["total_files"] == 2));
        assert_eq!(events.last().unwrap()["exit"], 0);
    });
}

#[test]
fn errors_name_the_file_and_set_the_exit_status() {
    isolated(|| {
        let site = Site::new();
        site.scratch.file("plain", b"x");
        let said = complained(&site.mitogen(&["put", "alpha", "missing", "copy"]), 2);
        assert!(said.contains("missing") && said.contains("No such file"), "{said}");
        let said = complained(&site.mitogen(&["put", "@all", "plain", "/nowhere/copy"]), 3);
        assert!(
            said.contains("/nowhere/copy: No such file or directory") && said.contains("alpha"),
            "{said}"
        );
        let said = complained(&site.mitogen(&["put", "alpha", "plain", "/etc/copy"]), 3);
        assert!(said.contains("/etc/copy: Permission denied"), "{said}");
        let said = complained(&site.mitogen(&["get", "alpha", "/etc/shadow", "."]), 3);
        assert!(said.contains("/etc/shadow") && said.contains("Permission denied"), "{said}");
        let output = site.mitogen(&["put", "alpha,gone", "--json", "plain", "copy"]);
        complained(&output, 4);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("\"outcome\":\"ok\"") && text.contains("\"outcome\":\"unreachable\""),
            "{text}"
        );
        complained(&site.mitogen(&["put", "alpha", "plain"]), 2);
        complained(&site.mitogen(&["put", "alpha", "--mode", "9", "plain", "x"]), 2);
        // A dry run changes nothing, and prints what would be done.
        let output = site.mitogen(&["-C", "put", "alpha", "plain", "elsewhere"]);
        assert!(String::from_utf8(output.stdout).unwrap().contains("then put plain to elsewhere"));
        assert!(!site.home("elsewhere").exists());
    });
}
