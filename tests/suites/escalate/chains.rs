//! Privilege tools on another host: the master makes the plan, and the remote context runs it.

use mitogen::dialogue::{FailureKind, Secret, Stage};
use mitogen::transports::{doas, su, sudo};
use mitogen::{Master, Transport};
use mitogen_tests::users::Rule;
use mitogen_tests::{Leaks, Sshd, TestUser, isolated};

use crate::common::{
    TIMEOUT, by_key, by_password, check, connect_with, down, master, no_process_left, ssh, started_by, uid,
    up,
};

fn sudo(password: Option<&str>) -> sudo::Sudo {
    let password = password.map(Secret::new);
    sudo::Sudo::new(sudo::Options::new().password(password)).unwrap()
}

fn su(user: &TestUser, password: &str) -> su::Su {
    let options = su::Options::new().username(user.name()).password(Secret::new(password));
    su::Su::new(options).unwrap()
}

fn doas(password: Option<&str>) -> doas::Doas {
    let password = password.map(Secret::new);
    doas::Doas::new(doas::Options::new().password(password)).unwrap()
}

#[test]
fn every_tool_behind_a_host_is_requested_without_waiting() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let user = TestUser::options().sudo(Rule::Password).doas(Rule::Password).create().unwrap();
        let other = TestUser::new().unwrap();
        let master = master();
        let secret = user.password();
        for options in [by_key(&server, user.name()), by_password(&server, user.name(), secret)] {
            let host = master.connect(&ssh(options)).unwrap();
            // No connection has been waited for.
            let via = |transport: &dyn Transport| master.connect_via(host.context(), transport).unwrap();
            let (root, other_user, root_too) =
                (via(&sudo(Some(secret))), via(&su(&other, other.password())), via(&doas(Some(secret))));
            // A third hop, back to an ordinary user.
            let again = master.connect_via(root.context(), &su(&other, "unused")).unwrap();
            assert_eq!(uid(&up(&root)), 0);
            assert_eq!(uid(&up(&other_user)), other.uid());
            assert_eq!(uid(&up(&root_too)), 0);
            assert_eq!(uid(&up(&again)), other.uid());
            assert_eq!(uid(&up(&host)), user.uid());
            let name = again.context().name().to_owned();
            assert!(name.contains("ssh.") && name.contains(".sudo.root.su."), "{name}");
        }
        master.shutdown();
    });
}

#[test]
fn failures_behind_a_host_name_their_hop() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let user = TestUser::options().sudo(Rule::Password).doas(Rule::Password).create().unwrap();
        let other = TestUser::new().unwrap();
        let leaks = Leaks::start();
        let master = master();
        let host = up(&master.connect(&ssh(by_key(&server, user.name()))).unwrap());
        let transports: [(&str, FailureKind, &dyn Transport); 5] = [
            ("sudo", FailureKind::PasswordIncorrect, &sudo(Some("not-the-password"))),
            ("sudo", FailureKind::PasswordRequired, &sudo(None)),
            ("su", FailureKind::PasswordIncorrect, &su(&other, "not-the-password")),
            ("doas", FailureKind::PasswordIncorrect, &doas(Some("not-the-password"))),
            ("doas", FailureKind::PasswordRequired, &doas(None)),
        ];
        let connecting = transports
            .map(|(tool, kind, transport)| (tool, kind, master.connect_via(&host, transport).unwrap()));
        for (tool, kind, connecting) in connecting {
            let error = down(&connecting);
            check(&error, Stage::Privilege, kind);
            assert!(error.hop.starts_with(&format!("{}.{tool}.", host.name())), "{}", error.report());
            assert!(error.argv.first().is_some_and(|program| program == tool), "{}", error.report());
            assert!(!error.report().contains("not-the-password"));
        }
        // The tool works, but there is no interpreter.
        let settings = started_by(&["/nonexistent/python"]);
        let secret = user.password();
        let error = down(&connect_with(&master, Some(&host), &sudo(Some(secret)), &settings));
        check(&error, Stage::Interpreter, FailureKind::NoInterpreter);
        assert_eq!(uid(&host), user.uid());
        host.shutdown().unwrap();
        no_process_left(&leaks);
        master.shutdown();
    });
}

fn fails_beyond(master: &Master, host: &mitogen::ConnectHandle) {
    let beyond = master.connect_via(host.context(), &sudo(None)).unwrap();
    // Sending fails if the connection has failed already.
    let call = beyond.context().call_async::<u32>("os.getuid", ());
    let first = down(host);
    let second = down(&beyond);
    assert_eq!(second.kind, FailureKind::ViaLost, "{}", second.report());
    assert!(second.message.contains(&first.message), "{}", second.report());
    assert!(call.and_then(|call| call.get_timeout(TIMEOUT)).is_err());
}

#[test]
fn contexts_behind_a_failed_host_fail_with_its_error() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let master = master();
        fails_beyond(
            &master,
            &master.connect(&ssh(by_password(&server, "root", "not-the-password"))).unwrap(),
        );
        let settings = started_by(&["/nonexistent/python"]);
        let host = connect_with(&master, None, &ssh(by_key(&server, "root")), &settings);
        fails_beyond(&master, &host);
        master.shutdown();
    });
}
