//! The master is killed by SIGKILL at several stages. It cannot clean up; the remote side must.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use mitogen::command::{Command, CommandEvent};
use mitogen::dialogue::Secret;
use mitogen::transports::{ssh, sudo};
use mitogen::{Context, Value};
use mitogen_tests::users::Rule;
use mitogen_tests::{Leaks, Sshd, TestUser, isolated};
use serde::{Deserialize, Serialize};

use crate::common;

/// Set in the copy of the test process that acts as the master to be killed.
const ROLE: &str = "MITOGEN_TESTS_ROLE";

/// How the master that will be killed connects.
#[derive(Serialize, Deserialize)]
struct Role {
    port: u16,
    user: String,
    password: Option<String>,
    key: Option<String>,
    known_hosts: String,
}

impl Role {
    fn of(server: &Sshd, user: &TestUser, by_password: bool) -> Self {
        Self {
            port: server.port(),
            user: user.name().to_owned(),
            password: by_password.then(|| user.password().to_owned()),
            key: (!by_password).then(|| server.key().display().to_string()),
            known_hosts: server.known_hosts().display().to_string(),
        }
    }

    /// The role of this process, if it is the one to be killed.
    fn of_this_process() -> Option<Self> {
        Some(serde_json::from_str(&std::env::var(ROLE).ok()?).expect("a role"))
    }

    fn options(&self) -> ssh::Options {
        let mut options = ssh::Options::new("127.0.0.1");
        options.port = Some(self.port);
        options.username = Some(self.user.clone());
        options.password = self.password.as_deref().map(Secret::new);
        options.identity_file.clone_from(&self.key);
        options.ssh_args = common::ssh_args(&self.known_hosts);
        options
    }

    /// Runs the test `name` again as the master with this role, until it is ready.
    fn start(&self, name: &str) -> Child {
        let mut victim = Program::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, serde_json::to_string(self).unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(victim.stdout.take().unwrap());
        let ready = out.lines().map_while(Result::ok).any(|line| line == READY);
        assert!(ready, "the master ended early");
        victim
    }
}

const READY: &str = "ready to be killed";

/// Reports that this process can be killed now, and waits.
fn ready() -> ! {
    println!("\n{READY}");
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
    }
}

fn kill(mut victim: Child) {
    victim.kill().unwrap();
    victim.wait().unwrap();
}

/// Keeps a context busy with a call and with a command that ignores signals.
fn work(context: &Context) {
    let (_, events) = common::start(context, &Command::shell("trap '' HUP TERM INT; echo on; sleep 3600"));
    while !matches!(events.recv_timeout(common::TIMEOUT).unwrap(), CommandEvent::Stdout(_)) {}
    let call = context.call_async::<Value>("time.sleep", (3600,)).unwrap();
    // Not dropped before the process ends.
    std::mem::forget((call, events));
}

#[test]
fn killing_the_master_while_the_host_is_silent_leaves_nothing() {
    isolated(|| {
        if let Some(role) = Role::of_this_process() {
            let mut options = role.options();
            // ssh must not wait longer than this, because no master is left to kill it.
            options.connect_timeout = Duration::from_secs(2);
            let master = common::master();
            master.connect(&common::ssh(options)).unwrap();
            ready();
        }
        for password in [None, Some("x".to_owned())] {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let leaks = Leaks::start();
            let role = Role {
                port: listener.local_addr().unwrap().port(),
                user: "root".to_owned(),
                password,
                key: None,
                known_hosts: "/dev/null".to_owned(),
            };
            let victim = role.start("masters::killing_the_master_while_the_host_is_silent_leaves_nothing");
            let silent = listener.accept().unwrap();
            kill(victim);
            common::no_process_left(&leaks);
            drop(silent);
        }
    });
}

#[test]
fn killing_the_master_while_the_interpreter_starts_leaves_nothing() {
    isolated(|| {
        if let Some(role) = Role::of_this_process() {
            let master = common::master();
            let settings = common::started_by(&common::STUCK);
            common::connect_with(&master, None, &common::ssh(role.options()), &settings);
            common::the_process(common::is_stuck);
            ready();
        }
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        for by_password in [false, true] {
            let leaks = Leaks::start();
            kill(
                Role::of(&server, &user, by_password)
                    .start("masters::killing_the_master_while_the_interpreter_starts_leaves_nothing"),
            );
            common::no_process_left(&leaks);
        }
    });
}

#[test]
fn killing_the_master_of_a_busy_context_leaves_nothing() {
    isolated(|| {
        if let Some(role) = Role::of_this_process() {
            let master = common::master();
            work(&common::up(&master.connect(&common::ssh(role.options())).unwrap()));
            ready();
        }
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        for by_password in [false, true] {
            let leaks = Leaks::start();
            kill(
                Role::of(&server, &user, by_password)
                    .start("masters::killing_the_master_of_a_busy_context_leaves_nothing"),
            );
            common::no_process_left(&leaks);
        }
    });
}

#[test]
fn killing_the_master_of_a_busy_sudo_context_leaves_nothing() {
    isolated(|| {
        if let Some(role) = Role::of_this_process() {
            let master = common::master();
            let host = common::up(&master.connect(&common::ssh(role.options())).unwrap());
            let password = role.password.as_deref().map(Secret::new);
            let root = sudo::Sudo::new(sudo::Options::new().password(password)).unwrap();
            let root = common::up(&master.connect_via(&host, &root).unwrap());
            work(&host);
            work(&root);
            ready();
        }
        let server = Sshd::start().unwrap();
        for rule in [Rule::NoPassword, Rule::Password] {
            let user = TestUser::options().sudo(rule).create().unwrap();
            let leaks = Leaks::start();
            let role = Role::of(&server, &user, rule == Rule::Password);
            kill(role.start("masters::killing_the_master_of_a_busy_sudo_context_leaves_nothing"));
            common::no_process_left(&leaks);
        }
    });
}
