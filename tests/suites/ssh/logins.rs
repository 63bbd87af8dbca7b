//! Logins by key, password, passphrase and keyboard-interactive, and banners.

use mitogen::dialogue::{FailureKind, Secret, Stage};
use mitogen_tests::run::run;
use mitogen_tests::{Sshd, TestUser, isolated};

use crate::common::{by_key, by_password, check, down, master, options, ssh, uid, up};

/// A banner with every word that an imprecise prompt pattern might match.
fn banner(server_user: &str) -> String {
    format!(
        "Password policy: change your password: every year.\n\
         Permission denied, please try again. Host key verification failed.\n\
         {server_user}@127.0.0.1's password: \n({server_user}@127.0.0.1) Password: \n\
         MITO000\nMITO002\npassword: "
    )
}

#[test]
fn key_logins_use_no_terminal_and_no_compression() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let master = master();
        let transport = ssh(by_key(&server, user.name()));
        let context = up(&master.connect(&transport).unwrap());
        assert_eq!(uid(&context), user.uid());
        let environment: std::collections::BTreeMap<String, String> =
            context.call("os.environ.copy", ()).unwrap_or_default();
        assert!(!environment.contains_key("SSH_TTY"), "a terminal was made");
        let request = mitogen::ConnectRequest {
            transport: &transport,
            name: None,
            via: None,
            settings: master.settings(),
        };
        let plan = master.connector().plan(&request).unwrap();
        assert!(plan.argv().contains(&"Compression=no".to_owned()), "{:?}", plan.argv());
        master.shutdown();
    });
}

#[test]
fn a_wrong_password_is_tried_once() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let master = master();
        let right = master.connect(&ssh(by_password(&server, user.name(), user.password()))).unwrap();
        let wrong = master.connect(&ssh(by_password(&server, user.name(), "not-the-password"))).unwrap();
        let missing = master.connect(&ssh(options(&server, user.name()))).unwrap();
        let stranger = master.connect(&ssh(by_password(&server, "mitonobody", "not-the-password"))).unwrap();
        assert_eq!(uid(&up(&right)), user.uid());
        for refused in [&wrong, &stranger] {
            let error = down(refused);
            check(&error, Stage::Authenticate, FailureKind::PasswordIncorrect);
            assert!(error.hint.is_some() && error.is_refusal());
            assert!(!format!("{error:?}{}", error.report()).contains("not-the-password"));
        }
        check(&down(&missing), Stage::Authenticate, FailureKind::PasswordRequired);
        let log = server.log();
        assert_eq!(log.matches("Failed password for mitotest").count(), 1, "{log}");
        assert_eq!(log.matches("Failed password for invalid user mitonobody").count(), 1, "{log}");
        master.shutdown();
    });
}

#[test]
fn a_server_that_accepts_only_keys_refuses_passwords() {
    isolated(|| {
        let server = Sshd::options().keys_only().start().unwrap();
        let user = TestUser::new().unwrap();
        let master = master();
        let key = master.connect(&ssh(by_key(&server, user.name()))).unwrap();
        let none = master.connect(&ssh(options(&server, user.name()))).unwrap();
        let password = master.connect(&ssh(by_password(&server, user.name(), user.password()))).unwrap();
        let stranger = master.connect(&ssh(by_key(&server, "mitonobody"))).unwrap();
        assert_eq!(uid(&up(&key)), user.uid());
        for refused in [none, password, stranger] {
            check(&down(&refused), Stage::Authenticate, FailureKind::AuthenticationFailed);
        }
        master.shutdown();
    });
}

#[test]
fn keyboard_interactive_prompts_are_answered() {
    isolated(|| {
        let server = Sshd::options()
            .line("UsePAM yes")
            .line("KbdInteractiveAuthentication yes")
            .line("PasswordAuthentication no")
            .start()
            .unwrap();
        let user = TestUser::new().unwrap();
        let master = master();
        let right = master.connect(&ssh(by_password(&server, user.name(), user.password()))).unwrap();
        let wrong = master.connect(&ssh(by_password(&server, user.name(), "not-the-password"))).unwrap();
        let missing = master.connect(&ssh(options(&server, user.name()))).unwrap();
        assert_eq!(uid(&up(&right)), user.uid());
        check(&down(&wrong), Stage::Authenticate, FailureKind::PasswordIncorrect);
        check(&down(&missing), Stage::Authenticate, FailureKind::PasswordRequired);
        assert!(server.log().contains("keyboard-interactive/pam"), "{}", server.log());
        master.shutdown();
    });
}

#[test]
fn banners_that_mention_passwords_are_not_prompts() {
    isolated(|| {
        let user = TestUser::new().unwrap();
        let server = Sshd::options().banner(&banner(user.name())).start().unwrap();
        let master = master();
        // ssh prints the banner at higher log levels.
        for debug in [0, 1, 3] {
            let mut key = by_key(&server, user.name());
            let mut password = by_password(&server, user.name(), user.password());
            let mut wrong = by_password(&server, user.name(), "not-the-password");
            for options in [&mut key, &mut password, &mut wrong] {
                options.ssh_debug_level = debug;
            }
            let key = master.connect(&ssh(key)).unwrap();
            let password = master.connect(&ssh(password)).unwrap();
            let wrong = master.connect(&ssh(wrong)).unwrap();
            assert_eq!(uid(&up(&key)), user.uid());
            assert_eq!(uid(&up(&password)), user.uid());
            let error = down(&wrong);
            check(&error, Stage::Authenticate, FailureKind::PasswordIncorrect);
            let shown = error.output.iter().any(|line| line.contains("Password policy"));
            assert_eq!(shown, debug > 0, "{}", error.report());
        }
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
            master.connect(&ssh(options)).unwrap()
        };
        let (right, wrong, missing) = (with(Some("a phrase")), with(Some("no phrase")), with(None));
        assert_eq!(uid(&up(&right)), user.uid());
        for refused in [wrong, missing] {
            check(&down(&refused), Stage::Authenticate, FailureKind::AuthenticationFailed);
        }
        master.shutdown();
    });
}

#[test]
fn configurations_for_logins_by_hand_do_not_break_connections() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let master = master();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(
            &file,
            "IgnoreUnknown UseKeychain\nUseKeychain yes\nRemoteCommand tmux attach\nRequestTTY force\n\
             StdinNull yes\nSessionType none\n",
        )
        .unwrap();
        let mut options = by_key(&server, user.name());
        options.ssh_args[1] = file.display().to_string();
        assert_eq!(uid(&up(&master.connect(&ssh(options)).unwrap())), user.uid());
        master.shutdown();
    });
}

#[test]
fn errors_of_ssh_itself_are_local_and_not_repeated() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let master = master();
        let failing = |option: &str| {
            let mut options = by_key(&server, "root");
            options.ssh_args.extend(["-o".to_owned(), option.to_owned()]);
            down(&master.connect(&ssh(options)).unwrap())
        };
        let long = format!("ControlMaster=auto\nControlPath=/tmp/{}", "x".repeat(200));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(&file, long.replace('=', " ")).unwrap();
        let mut options = by_key(&server, "root");
        options.ssh_args[1] = file.display().to_string();
        check(&down(&master.connect(&ssh(options)).unwrap()), Stage::Spawn, FailureKind::BadOption);
        check(&failing("BindAddress=192.0.2.77"), Stage::Spawn, FailureKind::BadOption);
        master.shutdown();
    });
}

#[test]
fn accounts_that_run_no_commands_are_named() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let master = master();
        let silent = TestUser::options().shell("/bin/false").create().unwrap();
        let error = down(&master.connect(&ssh(by_key(&server, silent.name()))).unwrap());
        check(&error, Stage::Shell, FailureKind::Eof);
        let expired = TestUser::new().unwrap();
        run(&["chage", "-d", "0", expired.name()]).unwrap();
        let server = Sshd::options().line("UsePAM yes").start().unwrap();
        let error = down(&master.connect(&ssh(by_key(&server, expired.name()))).unwrap());
        check(&error, Stage::Authenticate, FailureKind::NotPermitted);
        master.shutdown();
    });
}
