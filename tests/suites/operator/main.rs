//! The command with a profile file, two hosts behind ssh, and sudo with a password on one of them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use mitogen_tests::users::Rule;
use mitogen_tests::{Namespaces, TestUser, isolated, mitogen_bin};
use serde_json::Value;

/// Two hosts with their own addresses, an account, and a profile file for them.
struct Site {
    net: Namespaces,
    user: TestUser,
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let net = Namespaces::new(2).expect("two hosts");
        let user = TestUser::options().sudo(Rule::Password).create().expect("an account");
        let site = Self { net, user, dir: tempfile::tempdir().expect("a directory") };
        let mut text = String::new();
        for (name, host) in ["alpha", "beta"].iter().zip(site.net.hosts()) {
            text += &format!(
                "[profile.{name}]\nmethod = \"ssh\"\nhostname = \"{}\"\nport = {}\nusername = \"{}\"\n\
                 identity_file = \"{}\"\nssh_args = [\"-F\", \"none\", \"-o\", \"UserKnownHostsFile={}\"]\n\n",
                host.address,
                host.sshd.port(),
                site.user.name(),
                host.sshd.key().display(),
                host.sshd.known_hosts().display(),
            );
        }
        text += "[profile.beta-root]\nmethod = \"sudo\"\nvia = \"beta\"\npassword = { env = \"THE_PASSWORD\" }\n\n";
        text += "[profile.beta-none]\nmethod = \"sudo\"\nvia = \"beta\"\n\n";
        text += "[group]\nboth = [\"alpha\", \"beta\"]\nall = [\"@both\", \"beta-root\"]\n";
        let mut file = std::fs::File::create(site.profiles()).expect("a file");
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).expect("its mode");
        file.write_all(text.as_bytes()).expect("written");
        site
    }

    fn profiles(&self) -> PathBuf {
        self.dir.path().join("mitogen.toml")
    }

    /// Runs the command with these arguments and this password.
    fn mitogen_as(&self, password: &str, words: &[&str]) -> Output {
        Command::new(mitogen_bin().expect("the command is built"))
            .arg("--profiles")
            .arg(self.profiles())
            .args(words)
            .env("THE_PASSWORD", password)
            .stdin(Stdio::null())
            .output()
            .expect("the command starts")
    }

    fn mitogen(&self, words: &[&str]) -> Output {
        self.mitogen_as(self.user.password(), words)
    }
}

/// The standard output of a run that must succeed.
fn printed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "status {:?}\n{said}", output.status.code());
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// The standard error of a run that must exit with `status`.
fn complained(output: &Output, status: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{said}");
    said
}

#[test]
fn run_call_json_and_plan_over_ssh_and_sudo() {
    isolated(|| {
        let site = Site::new();
        let name = site.user.name();

        let text = printed(&site.mitogen(&["run", "@both", "--fold", "--", "id", "-un"]));
        assert!(text.contains(name), "{text}");
        assert_eq!(text.matches(name).count(), 1, "equal outputs are printed once: {text}");
        assert!(text.contains("alpha") && text.contains("beta"), "{text}");

        assert_eq!(printed(&site.mitogen(&["run", "beta-root", "--", "id -un; id -u"])), "root\n0\n");

        let text = printed(&site.mitogen(&["call", "beta-root", "os.geteuid"]));
        assert_eq!(text, "0\n");
        let text = printed(&site.mitogen(&["call", "@all", "platform.python_version", "--no-fold"]));
        assert_eq!(text.lines().filter(|line| line.contains('.')).count(), 3, "one line a target: {text}");

        let text = printed(&site.mitogen(&["run", "@all", "--json", "--", "id", "-un"]));
        let events: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
        let ends: Vec<&Value> = events.iter().filter(|event| event["event"] == "end").collect();
        assert_eq!(ends.len(), 3, "{text}");
        assert!(ends.iter().all(|end| end["outcome"] == "ok"), "{text}");
        let last = events.last().expect("a summary");
        assert_eq!((&last["event"], &last["exit"]), (&Value::from("summary"), &Value::from(0)), "{text}");

        let text = printed(&site.mitogen(&["plan", "beta-root"]));
        assert!(text.contains("ssh") && text.contains("sudo"), "{text}");
        assert!(!text.contains(site.user.password()), "a plan shows no secret");
    });
}

#[test]
fn a_local_script_runs_behind_ssh_and_sudo() {
    isolated(|| {
        let site = Site::new();
        let file = site.dir.path().join("whoami.py");
        let text = "import getpass, os, sys\nprint(getpass.getuser(), os.geteuid(), sys.argv[1:])\n";
        std::fs::write(&file, text).expect("written");
        let file = file.to_str().expect("text");
        let said = printed(&site.mitogen(&["script", "beta-root", file, "--days", "7"]));
        assert_eq!(said, "root 0 ['--days', '7']\n");
        let said = printed(&site.mitogen(&["script", "--fold", "@both", file]));
        assert!(said.contains("alpha,beta (2)") && said.matches(site.user.name()).count() == 1, "{said}");
    });
}

#[test]
fn refused_logins_have_distinct_errors_with_a_stage() {
    isolated(|| {
        let site = Site::new();
        let said = complained(&site.mitogen_as("not the password", &["run", "beta-root", "--", "id"]), 5);
        assert!(said.contains("sudo") && said.contains("password"), "{said}");
        let said = complained(&site.mitogen(&["run", "beta-none", "--", "id"]), 5);
        assert!(said.contains("password"), "{said}");
        site.net.set_connected(0, false).expect("the cable is pulled");
        let words = ["-T", "2", "run", "@both", "--fold", "--", "id", "-un"];
        let output = site.mitogen(&words);
        let said = complained(&output, 4);
        assert!(said.contains("alpha"), "{said}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(site.user.name()),
            "the other one has answered"
        );
    });
}

#[test]
fn large_data_and_exit_statuses_pass_unchanged() {
    isolated(|| {
        let site = Site::new();
        let data: Vec<u8> =
            (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut command = Command::new(mitogen_bin().expect("the command is built"))
            .arg("--profiles")
            .arg(site.profiles())
            .args(["run", "beta-root", "--", "cat; exit 9"])
            .env("THE_PASSWORD", site.user.password())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut input = command.stdin.take().expect("piped");
        let sent = data.clone();
        let writer = std::thread::spawn(move || input.write_all(&sent));
        let output = command.wait_with_output().expect("it ends");
        writer.join().expect("no panic").expect("all of it was taken");
        assert_eq!(output.status.code(), Some(3), "a command failed");
        assert!(output.stdout == data, "{} bytes came back of {}", output.stdout.len(), data.len());
    });
}
