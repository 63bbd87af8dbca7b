//! Logins by key, agent, passphrase, password and keyboard-interactive, and remote commands that fail.

use std::process::{Child, Command, Stdio};

use mitogen::dialogue::{FailureKind, Secret, Stage};
use mitogen_tests::run::run;
use mitogen_tests::{Sshd, TestUser, isolated, mitogen_bin, wait};

use crate::common::{
    TIMEOUT, by_key, by_password, check, down, master, options, ssh_args, ssh_clients, uid, up,
};
use crate::ssh2;

#[test]
fn a_key_logs_in_and_no_ssh_runs() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let master = master();
        let context = up(&master.connect(&ssh2(by_key(&server, user.name()))).unwrap());
        assert_eq!(uid(&context), user.uid());
        assert_eq!(ssh_clients(), 0, "an ssh runs");
        // The child can be an intermediate.
        let below = up(&master.connect_via(&context, &crate::common::local()).unwrap());
        assert_eq!(uid(&below), user.uid());
        master.shutdown();
    });
}

#[test]
fn a_password_is_sent_once() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let master = master();
        let right = master.connect(&ssh2(by_password(&server, user.name(), user.password()))).unwrap();
        let wrong = master.connect(&ssh2(by_password(&server, user.name(), "not-the-password"))).unwrap();
        let missing = master.connect(&ssh2(options(&server, user.name()))).unwrap();
        assert_eq!(uid(&up(&right)), user.uid());
        let error = down(&wrong);
        check(&error, Stage::Authenticate, FailureKind::PasswordIncorrect);
        assert!(!format!("{error:?}{}", error.report()).contains("not-the-password"));
        check(&down(&missing), Stage::Authenticate, FailureKind::PasswordRequired);
        let log = server.log();
        assert_eq!(log.matches("Failed password for mitotest").count(), 1, "{log}");
        master.shutdown();
    });
}

#[test]
fn a_server_that_accepts_only_keys_refuses_passwords() {
    isolated(|| {
        let server = Sshd::options().keys_only().start().unwrap();
        let user = TestUser::new().unwrap();
        let master = master();
        let none = master.connect(&ssh2(options(&server, user.name()))).unwrap();
        let password = master.connect(&ssh2(by_password(&server, user.name(), user.password()))).unwrap();
        let stranger = master.connect(&ssh2(by_key(&server, "mitonobody"))).unwrap();
        for refused in [none, password, stranger] {
            check(&down(&refused), Stage::Authenticate, FailureKind::AuthenticationFailed);
        }
        master.shutdown();
    });
}

#[test]
fn questions_are_answered_with_the_password() {
    isolated(|| {
        let server = Sshd::options()
            .line("UsePAM yes")
            .line("KbdInteractiveAuthentication yes")
            .line("PasswordAuthentication no")
            .start()
            .unwrap();
        let user = TestUser::new().unwrap();
        let master = master();
        let right = master.connect(&ssh2(by_password(&server, user.name(), user.password()))).unwrap();
        let wrong = master.connect(&ssh2(by_password(&server, user.name(), "not-the-password"))).unwrap();
        assert_eq!(uid(&up(&right)), user.uid());
        check(&down(&wrong), Stage::Authenticate, FailureKind::PasswordIncorrect);
        assert!(server.log().contains("keyboard-interactive/pam"), "{}", server.log());
        master.shutdown();
    });
}

#[test]
fn a_host_may_require_a_key_and_a_password() {
    isolated(|| {
        let server = Sshd::options().line("AuthenticationMethods publickey,password").start().unwrap();
        let user = TestUser::new().unwrap();
        let master = master();
        let mut both = by_password(&server, user.name(), user.password());
        both.identity_file = by_key(&server, user.name()).identity_file;
        assert_eq!(uid(&up(&master.connect(&ssh2(both)).unwrap())), user.uid());
        let key = master.connect(&ssh2(by_key(&server, user.name()))).unwrap();
        check(&down(&key), Stage::Authenticate, FailureKind::PasswordRequired);
        master.shutdown();
    });
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    isolated(|| {
        let server = Sshd::options().keys_only().start().unwrap();
        let user = TestUser::new().unwrap();
        let locked = server.key().with_file_name("locked_key");
        std::fs::copy(server.key(), &locked).unwrap();
        let locked = locked.display().to_string();
        run(&["ssh-keygen", "-q", "-p", "-P", "", "-N", "a phrase", "-f", &locked]).unwrap();
        let master = master();
        let with = |passphrase: Option<&str>| {
            let mut options = options(&server, user.name());
            options.identity_file = Some(locked.clone());
            options.passphrase = passphrase.map(Secret::new);
            master.connect(&ssh2(options)).unwrap()
        };
        let (right, wrong, missing) = (with(Some("a phrase")), with(Some("no phrase")), with(None));
        assert_eq!(uid(&up(&right)), user.uid());
        for refused in [wrong, missing] {
            let error = down(&refused);
            check(&error, Stage::Authenticate, FailureKind::AuthenticationFailed);
            assert!(error.message.contains("locked_key"), "{}", error.report());
        }
        master.shutdown();
    });
}

/// The method is the only change in a profile.
#[test]
fn a_profile_works_with_both_methods() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let file = server.key().with_file_name("mitogen.toml");
        for method in ["ssh", "ssh2"] {
            let profile = format!(
                "[profile.web]\nmethod = \"{method}\"\nhostname = \"{}\"\nport = {}\nusername = {:?}\n\
                 identity_file = {:?}\nssh_args = {:?}\n",
                server.host(),
                server.port(),
                user.name(),
                server.key(),
                ssh_args(&server.known_hosts().display().to_string()),
            );
            std::fs::write(&file, profile).unwrap();
            let output = Command::new(mitogen_bin().unwrap())
                .args(["--profiles", file.to_str().unwrap(), "run", "web", "--", "id", "-un"])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let (stdout, stderr) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && stdout.contains(user.name()), "{method}: {stdout}{stderr}");
        }
    });
}

/// An agent with one key; ended on drop.
struct Agent {
    child: Child,
    socket: std::path::PathBuf,
}

impl Agent {
    fn with(server: &Sshd) -> Self {
        let socket = server.key().with_file_name("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a", socket.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { child, socket };
        wait::until(TIMEOUT, || agent.socket.exists().then_some(())).expect("the agent listens");
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(server.key())
            .env("SSH_AUTH_SOCK", &agent.socket)
            .status()
            .unwrap();
        assert!(added.success());
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_of_an_agent_log_in() {
    isolated(|| {
        let server = Sshd::options().keys_only().start().unwrap();
        let user = TestUser::new().unwrap();
        let agent = Agent::with(&server);
        let master = master();
        let mut with_agent = options(&server, user.name());
        // The first value of an option counts.
        let chosen = ["-o".to_owned(), format!("IdentityAgent={}", agent.socket.display())];
        with_agent.ssh_args = [&with_agent.ssh_args[..2], &chosen, &with_agent.ssh_args[2..]].concat();
        assert_eq!(uid(&up(&master.connect(&ssh2(with_agent.clone())).unwrap())), user.uid());
        // IdentitiesOnly keeps its other keys back.
        with_agent.identity_file = Some("/nonexistent/key".to_owned());
        let error = down(&master.connect(&ssh2(with_agent)).unwrap());
        check(&error, Stage::Authenticate, FailureKind::AuthenticationFailed);
        master.shutdown();
    });
}

#[test]
fn banners_and_output_of_the_login_shell_do_no_harm() {
    isolated(|| {
        let user = TestUser::new().unwrap();
        let server = Sshd::options().banner("Password: MITO000\nPermission denied\n").start().unwrap();
        // More on standard error than the window of the channel takes.
        let noise = "i=0; while [ $i -lt 60000 ]; do echo 'a line of the start-up file, of some sixty bytes or so' >&2; i=$((i+1)); done";
        let profile = user.home().join(".bashrc");
        std::fs::write(profile, format!("{noise}\n")).unwrap();
        let master = master();
        let context = up(&master.connect(&ssh2(by_key(&server, user.name()))).unwrap());
        assert_eq!(uid(&context), user.uid());
        master.shutdown();
    });
}

#[test]
fn remote_commands_that_fail_are_explained() {
    isolated(|| {
        let user = TestUser::new().unwrap();
        let refused = Sshd::options().force_command("/bin/false").start().unwrap();
        let master = master();
        let error = down(&master.connect(&ssh2(by_key(&refused, user.name()))).unwrap());
        assert_eq!(error.status, Some(1), "{}", error.report());
        let missing = Sshd::options().force_command("echo not here >&2; exit 127").start().unwrap();
        let error = down(&master.connect(&ssh2(by_key(&missing, user.name()))).unwrap());
        assert_eq!(error.status, Some(127), "{}", error.report());
        assert!(error.report().contains("not here"), "{}", error.report());
        master.shutdown();
    });
}
