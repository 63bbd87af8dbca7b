//! Chains of five: calls, large values, output, log records and shutdown.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use mitogen::Value;
use mitogen_tests::{Leaks, isolated, mitogen_bin, procs};

use crate::common::{TIMEOUT, master, no_process_left, up};
use crate::five::{Site, Way, pid, wait_gone};

#[test]
fn a_chain_of_five_is_requested_without_waiting_and_carries_calls() {
    isolated(|| {
        let site = Site::new();
        for way in [Way::Sudo, Way::Doas] {
            let master = master();
            let chain = site.start(&master, way);
            // No connection has been waited for.
            let data: Vec<u8> =
                (0..2_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let data = Value::Bytes(data.into());
            let echo = chain[4].context().call_async::<Value>("copy.copy", (data.clone(),)).unwrap();
            assert!(echo.get_timeout(TIMEOUT).expect("an answer") == data, "{way:?}");
            for (at, hop) in chain.iter().enumerate() {
                let context = up(hop);
                let joined: String =
                    context.call("posixpath.join", ("a", at.to_string())).expect("an answer");
                assert_eq!(joined, format!("a/{at}"));
                assert_eq!(context.name().split(".").next(), Some("local"), "{}", context.name());
            }
            master.shutdown();
        }
    });
}

#[test]
fn a_shutdown_ends_every_hop() {
    isolated(|| {
        let site = Site::new();
        for way in [Way::Sudo, Way::Doas] {
            // By the end of the master, and by the shutdown of each hop while master and server run.
            for asked in [None, Some(0), Some(1), Some(2), Some(3), Some(4)] {
                let leaks = Leaks::start();
                let master = master();
                let chain = site.chain(&master, way);
                let pids: Vec<i32> = chain.iter().map(pid).collect();
                match asked {
                    None => master.shutdown(),
                    Some(at) => {
                        chain[at].shutdown().expect("sent");
                        pids[at..].iter().copied().for_each(wait_gone);
                        for context in &chain[..at] {
                            pid(context);
                        }
                        master.shutdown();
                    }
                }
                no_process_left(&leaks);
            }
        }
    });
}

/// Profiles for [`Way::Sudo`], one for each hop: `one` to `five`.
fn profiles(site: &Site) -> String {
    format!(
        "[profile.one]\nmethod = \"local\"\n\n\
         [profile.two]\nmethod = \"ssh\"\nvia = \"one\"\nhostname = \"127.0.0.1\"\nport = {}\nusername = \"{}\"\n\
         identity_file = \"{}\"\nssh_args = [\"-F\", \"none\", \"-o\", \"UserKnownHostsFile={}\"]\n\n\
         [profile.three]\nmethod = \"sudo\"\nvia = \"two\"\npassword = {{ env = \"THE_PASSWORD\" }}\n\n\
         [profile.four]\nmethod = \"su\"\nvia = \"three\"\nusername = \"{}\"\n\n\
         [profile.five]\nmethod = \"local\"\nvia = \"four\"\n",
        site.server.port(),
        site.user.name(),
        site.server.key().display(),
        site.server.known_hosts().display(),
        site.other.name(),
    )
}

/// Profiles for [`Way::Doas`], with a password at three hops.
fn profiles_with_passwords(site: &Site) -> String {
    format!(
        "[profile.one]\nmethod = \"local\"\n\n\
         [profile.two]\nmethod = \"ssh\"\nvia = \"one\"\nhostname = \"127.0.0.1\"\nport = {}\nusername = \"{}\"\n\
         password = {{ env = \"THE_PASSWORD\" }}\nssh_debug_level = 3\n\
         ssh_args = [\"-F\", \"none\", \"-o\", \"UserKnownHostsFile={}\"]\n\n\
         [profile.three]\nmethod = \"su\"\nvia = \"two\"\nusername = \"{}\"\n\
         password = {{ env = \"THE_OTHER_PASSWORD\" }}\n\n\
         [profile.four]\nmethod = \"doas\"\nvia = \"three\"\npassword = {{ env = \"THE_OTHER_PASSWORD\" }}\n\n\
         [profile.five]\nmethod = \"local\"\nvia = \"four\"\n",
        site.server.port(),
        site.user.name(),
        site.server.known_hosts().display(),
        site.other.name(),
    )
}

/// The command with a profile file of this text, and the passwords in its environment.
fn command(site: &Site, dir: &Path, text: &str) -> Command {
    let file = dir.join("mitogen.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(mitogen_bin().unwrap());
    command
        .arg("--profiles")
        .arg(file)
        .env("THE_PASSWORD", site.user.password())
        .env("THE_OTHER_PASSWORD", site.other.password())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

#[test]
fn no_password_is_in_a_log_or_on_a_command_line() {
    isolated(|| {
        let site = Site::new();
        let secrets = [site.user.password(), site.other.password()];
        for text in [profiles(&site), profiles_with_passwords(&site)] {
            let dir = tempfile::tempdir().unwrap();
            let logs = dir.path().join("logs");
            // Everything is logged, locally and at every hop; the call fails at the last one.
            let mut command = command(&site, dir.path(), &text);
            command.args(["-vvv", "--debug-log"]).arg(&logs).args([
                "call",
                "five",
                "os.listdir",
                "\"/nowhere\"",
            ]);
            let output = command.output().unwrap();
            let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
            said += &String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(3), "{said}");
            let files: Vec<_> = std::fs::read_dir(&logs).unwrap().flatten().collect();
            assert_eq!(files.len(), 1);
            assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
            said += &String::from_utf8_lossy(&std::fs::read(files[0].path()).unwrap());
            assert!(said.contains("DEBUG mitogen::remote") && said.contains(".su."), "{said}");
            for secret in secrets {
                assert!(!said.contains(secret), "{said}");
            }
        }
        for way in [Way::Sudo, Way::Doas] {
            let master = master();
            let chain = site.start(&master, way);
            let watch = || {
                for process in procs::all() {
                    assert!(!secrets.iter().any(|secret| process.command.contains(secret)), "{process:?}");
                }
                chain[4].outcome()
            };
            // From the first process until all are connected.
            assert!(mitogen_tests::wait::until(TIMEOUT, watch).expect("an outcome").is_ok());
            watch();
            master.shutdown();
        }
    });
}

#[test]
fn output_and_log_records_of_every_hop_carry_its_name() {
    isolated(|| {
        let site = Site::new();
        let dir = tempfile::tempdir().unwrap();
        let ssh = format!("local.ssh.127.0.0.1:{}", site.server.port());
        let su = format!("{ssh}.sudo.root.su.{}", site.other.name());
        let names =
            ["local".to_owned(), ssh.clone(), format!("{ssh}.sudo.root"), su.clone(), format!("{su}.local")];
        let code = "import logging, sys; print(\"from \" + \"stdout\"); sys.stderr.write(\"from \" + \"stderr\\n\"); \
                    logging.getLogger(\"some.where\").warning(\"from %s\", \"a logger\")";
        let code = serde_json::to_string(code).unwrap();
        for (target, name) in ["one", "two", "three", "four", "five"].iter().zip(names) {
            let output = command(&site, dir.path(), &profiles(&site))
                .args(["-v", "call", target, "builtins.exec", &code, "{}"])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            for (logger, text) in
                [("stdout", "from stdout"), ("stderr", "from stderr"), ("some.where", "from a logger")]
            {
                let lines: Vec<&str> = said.lines().filter(|line| line.contains(text)).collect();
                let wanted = format!("context=\"{name}\" logger=\"{logger}\"");
                assert!(lines.len() == 1 && lines[0].contains(&wanted), "{wanted}: {text}\n{said}");
            }
            assert!(!said.contains(site.user.password()), "{said}");
        }
    });
}
